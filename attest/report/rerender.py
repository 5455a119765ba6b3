"""A report rendered again from the bundles and the policy that lie in it, and compared byte for byte.

It answers one question: is this page what this version's template makes of these? It checks no signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from attest.envelope import b64decode
from attest.errors import DocumentError, InputError
from attest.policy_file import DEFAULT_POLICY, Policy, parse_policy
from attest.report.render import GENERATOR, MAX_REPORT, POLICY_MEDIA_TYPE, TEMPLATE_VERSION, render
from attest.report.source import MAX_SOURCES, Source, read_sources

__all__ = ["Difference", "Rerendered", "embedded_bundles", "rerender"]

_VERSION = re.compile(rb'<meta name="generator" content="%b ([0-9]{1,9})">' % GENERATOR.encode())
_LINK = re.compile(rb'<a [^<>]{0,400}?href="data:application/json;base64,([A-Za-z0-9+/=]*)"')
_POLICY = re.compile(rb'href="data:%b;base64,([A-Za-z0-9+/=]*)"' % re.escape(POLICY_MEDIA_TYPE.encode()))
_AROUND = 60


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """The first line that differs, counted from 1: what the page has, and what its bundles give.

    Long lines are cut to what stands around the first differing character. Hostile text.
    """

    line: int
    found: str
    expected: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Rerendered:
    """Outcome of rendering a report again; ``difference`` is None where every byte is the same."""

    sources: tuple[Source, ...]
    policy: Policy
    template: int
    difference: Difference | None


def _not_a_report(message: str, where: str) -> DocumentError:
    return DocumentError("not-a-report", message, fix="give a whole page that attest report wrote", where=where)


def embedded_bundles(page: bytes, *, where: str = "page") -> tuple[bytes, ...]:
    """Bundles that lie in a page's download links.

    Raises
    ------
    DocumentError
        There is none, there are too many, or one is not canonical base64.
    """
    found = _LINK.findall(page)
    if not 1 <= len(found) <= MAX_SOURCES:
        raise _not_a_report(f"holds {len(found)} bundles; a report holds 1 to {MAX_SOURCES}", where)
    return tuple(b64decode(text.decode("ascii"), where=f"bundle {n}") for n, text in enumerate(found, start=1))


def _embedded_policy(page: bytes, where: str) -> Policy:
    """Policy that a page was read by; the default one where it shows no comparison."""
    found = _POLICY.findall(page)
    if len(found) > 1:
        raise _not_a_report("holds more than one policy", where)
    if not found:
        return DEFAULT_POLICY
    return parse_policy(b64decode(found[0].decode("ascii"), where="policy"), where="policy")


def _first_difference(found: bytes, expected: bytes) -> Difference | None:
    if found == expected:
        return None
    ours, theirs = expected.split(b"\n"), found.split(b"\n")
    shared = min(len(ours), len(theirs))
    index = next((i for i in range(shared) if ours[i] != theirs[i]), shared)
    mine, other = (lines[index] if index < len(lines) else b"" for lines in (ours, theirs))
    at = next(
        (i for i, pair in enumerate(zip(mine, other, strict=False)) if pair[0] != pair[1]), min(len(mine), len(other))
    )
    cut = slice(max(0, at - _AROUND), at + _AROUND)
    return Difference(
        line=index + 1, found=other[cut].decode("utf-8", "replace"), expected=mine[cut].decode("utf-8", "replace")
    )


def rerender(page: bytes, *, where: str = "page") -> Rerendered:
    """Render a report again and compare.

    Parameters
    ----------
    page : bytes
        The file, byte for byte.
    where : str
        What errors call it.

    Returns
    -------
    Rerendered

    Raises
    ------
    DocumentError
        Not a report, or a bundle or the policy in it cannot be read.
    InputError
        Another version of the template made it: nothing can be said.
    """
    if len(page) > MAX_REPORT:
        raise _not_a_report(f"larger than the {MAX_REPORT} bytes that are read", where)
    version = _VERSION.search(page)
    if version is None:
        raise _not_a_report("names no version of the report template", where)
    if int(version[1]) != TEMPLATE_VERSION:
        raise InputError(
            "other-template",
            f"made by report template {int(version[1])}; this version of attest renders template {TEMPLATE_VERSION}",
            fix="use the version of attest whose changelog names that template",
            where=where,
        )
    bundles, policy = embedded_bundles(page, where=where), _embedded_policy(page, where)
    return Rerendered(
        sources=read_sources(bundles),
        policy=policy,
        template=TEMPLATE_VERSION,
        difference=_first_difference(page, render(bundles, policy)),
    )
