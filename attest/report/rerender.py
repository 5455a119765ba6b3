"""A report rendered again from the bundles that lie in it, and compared byte for byte.

It answers one question: is this page what this version's template makes of these bundles? It checks no signature.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from attest.envelope import b64decode
from attest.errors import DocumentError, InputError
from attest.report.render import GENERATOR, MAX_REPORT, TEMPLATE_VERSION, render
from attest.report.source import MAX_SOURCES, Source, read_sources

__all__ = ["Difference", "Rerendered", "embedded_bundles", "rerender"]

_VERSION = re.compile(rb'<meta name="generator" content="%b ([0-9]{1,9})">' % GENERATOR.encode())
_LINK = re.compile(rb'<a [^<>]{0,400}?href="data:application/json;base64,([A-Za-z0-9+/=]*)"')
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
    template: int
    difference: Difference | None


def _not_a_report(message: str) -> DocumentError:
    return DocumentError("not-a-report", message, fix="give a page that attest report wrote")


def embedded_bundles(page: bytes) -> tuple[bytes, ...]:
    """Bundles that lie in a page's download links.

    Raises
    ------
    DocumentError
        There is none, there are too many, or one is not canonical base64.
    """
    found = _LINK.findall(page)
    if not 1 <= len(found) <= MAX_SOURCES:
        raise _not_a_report(f"holds {len(found)} bundles; a report holds 1 to {MAX_SOURCES}")
    return tuple(b64decode(text.decode("ascii"), where=f"bundle {n}") for n, text in enumerate(found, start=1))


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


def rerender(page: bytes) -> Rerendered:
    """Render a report again and compare.

    Parameters
    ----------
    page : bytes
        The file, byte for byte.

    Returns
    -------
    Rerendered

    Raises
    ------
    DocumentError
        Not a report, or a bundle in it cannot be read.
    InputError
        Another version of the template made it: nothing can be said.
    """
    if len(page) > MAX_REPORT:
        raise _not_a_report(f"larger than the {MAX_REPORT} bytes that are read")
    version = _VERSION.search(page)
    if version is None:
        raise _not_a_report("names no version of the report template")
    if int(version[1]) != TEMPLATE_VERSION:
        raise InputError(
            "other-template",
            f"made by report template {int(version[1])}; this version of attest renders template {TEMPLATE_VERSION}",
            fix="use the version of attest whose changelog names that template",
        )
    bundles = embedded_bundles(page)
    return Rerendered(
        sources=read_sources(bundles), template=TEMPLATE_VERSION, difference=_first_difference(page, render(bundles))
    )
