"""Who is named in copyright lines, beside who is named in license and notice files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attest.finding import Finding
from attest.licenses.license_file import code_of_name
from attest.licenses.source import cut
from attest.licenses.whole.gathered import WHOLE, Gathered

__all__ = ["Statement", "foreign_copyrights", "holder_key", "notices", "statement_of"]

_SIGN = re.compile(r"copyright(?:text)?|copr\.|\(c\)|©|&copy;|&#169;", re.IGNORECASE)
_YEARS = re.compile(r"(?:19|20)\d\d(?:\s*(?:-|\u2013|to|,|and)\s*(?:(?:19|20)?\d\d\b|present|now))*", re.IGNORECASE)
_TAIL = re.compile(
    r"\]\([^)]*\)?|\\[nrt](?!\w).*|\*/.*|all rights reserved.*|licensed under.*|this (?:file|code|software).*|\bunder the\b.*|<[^>]*>|\S+@\S+|https?://\S+",
    re.IGNORECASE | re.DOTALL,
)
_EDGES = " \t.,;:*/#-\u2013\"'()[]{}|!%\\"
_LEGAL = re.compile(
    r"\b(?:inc|incorporated|ltd|limited|co|corp|corporation|company|llc|gmbh|team|authors?|the|and|its|affiliates)\b"
)
_OWN_LICENSE = re.compile(r"(?:licen[cs]e|copying)(?:\.(?:txt|md|rst))?", re.IGNORECASE)
_MAX_HOLDERS = 50
_MAX_NAME = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """Years and holder of a copyright line, as they are written; either may be empty."""

    years: str
    holder: str


def statement_of(line: str) -> Statement:
    """Years and holder of a copyright line.

    Examples
    --------
    >>> statement_of("# Copyright (c) 2024-2025 The Qwen team, Alibaba Group. All rights reserved.")
    Statement(years='2024-2025', holder='The Qwen team, Alibaba Group')
    """
    signs = list(_SIGN.finditer(line))
    rest = line[signs[0].end() :] if signs else line
    years = _YEARS.search(rest)
    bare = _SIGN.sub(" ", _YEARS.sub(" ", rest))
    holder = re.sub(r"\s+", " ", _TAIL.sub(" ", bare)).strip(_EDGES)
    holder = re.sub(r"^(?:by|portions)\s+", "", holder, flags=re.IGNORECASE)
    return Statement(years=years[0].strip() if years else "", holder=holder[:_MAX_NAME])


def holder_key(holder: str) -> str:
    """A holder's name without legal forms and punctuation."""
    bare = _LEGAL.sub(" ", re.sub(r"[^\w ]", " ", holder.casefold()))
    return " ".join(bare.split())


def _holders(gathered: Gathered) -> dict[str, list[Finding]]:
    """Copyright lines of files that are neither licenses nor notices, by holder."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in gathered.of("copyright", "spdx-copyright"):
        key = holder_key(statement_of(finding.text).holder)
        if key and code_of_name(finding.path) is None:
            found[key].append(finding)
    return found


def _main(gathered: Gathered, holders: Mapping[str, Sequence[Finding]]) -> tuple[str | None, str]:
    """The one holder whom the license file at the top names, else who is named in most files: key, and where."""
    top = {
        key: statement_of(finding.text).holder
        for finding in gathered.of("copyright", "spdx-copyright")
        if _OWN_LICENSE.fullmatch(finding.path) and (key := holder_key(statement_of(finding.text).holder))
    }
    if len(top) == 1:
        ((key, holder),) = top.items()
        return key, f"{holder} in the license file at the top"
    files = Counter({key: len({finding.path for finding in lines}) for key, lines in holders.items()})
    most = min(files, key=lambda key: (-files[key], key), default=None)
    return most, _in_files(holders[most]) if most is not None else ""


def _in_files(lines: Sequence[Finding]) -> str:
    """A holder, and how many files name them."""
    files = len({finding.path for finding in lines})
    return f"{statement_of(lines[0].text).holder} in {files} {'file' if files == 1 else 'files'}"


def foreign_copyrights(gathered: Gathered) -> Iterator[Finding]:
    """One finding for each holder beside the main one."""
    holders = _holders(gathered)
    main, where = _main(gathered, holders)
    for key in sorted(holders)[:_MAX_HOLDERS]:
        if main is not None and key != main:
            first = holders[key][0]
            words = f"{_in_files(holders[key])}; {where}"
            yield Finding(code="foreign-copyright", path=first.path, line=first.line, text=cut(words))


def notices(gathered: Gathered) -> Iterator[Finding]:
    """Holders whom copyright lines of files name, and no license or notice file."""
    named = "".join(
        f" {holder_key(finding.text)} |"
        for finding in gathered.of("copyright", "spdx-copyright", "notice-file", "license-file")
        if code_of_name(finding.path)
    )
    has_notice = bool(gathered.of("notice-file"))
    holders = _holders(gathered)
    main, _ = _main(gathered, holders)
    missing = [key for key in sorted(holders) if key != main and f" {key} " not in named][:_MAX_HOLDERS]
    for key in missing if has_notice else ():
        first = holders[key][0]
        words = f"{statement_of(first.text).holder}, named in files, is not named in the notice and license files"
        yield Finding(code="notice-incomplete", path=first.path, line=first.line, text=cut(words))
    if missing and not has_notice:
        names = ", ".join(statement_of(holders[key][0].text).holder for key in missing)
        words = f"no notice file; no license file names these holders of copyright lines: {names}"
        yield Finding(code="notice-missing", path=WHOLE, line=None, text=cut(words))
