"""Who is named in copyright lines, beside who is named in license and notice files."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from attest.finding import Finding
from attest.licenses import copyright_line, spdx_tag
from attest.licenses.license_file import code_of_name
from attest.licenses.source import Source, cut
from attest.licenses.whole.gathered import WHOLE, Gathered
from attest.terminal import amount

__all__ = ["Statement", "foreign_copyrights", "holder_key", "holder_lines", "names_in", "notices", "statement_of"]

_SIGN = re.compile(r"copyright(?:text|ed)?(?!\w)|copr\.|\(c\)|©|&copy;|&#169;", re.IGNORECASE)
_YEARS = re.compile(r"(?:19|20)\d\d(?:\s*(?:-|\u2013|to|,|and)\s*(?:(?:19|20)?\d\d\b|present|now))*", re.IGNORECASE)
_TAIL = re.compile(
    r"\]\([^)]*\)?|\\[nrt](?!\w).*|\*/.*|all rights reserved.*|licensed under.*|this (?:file|code|software).*|\bunder the\b.*"
    r"|\((?:for|authors?:?|authored by|written by) [^()]*\)?|<[^>]*>|\S+@\S+|https?://\S+",
    re.IGNORECASE | re.DOTALL,
)
_EDGES = " \t.,;:*/#=`-\u2013\"'()[]{}|!%\\"
_LEGAL = re.compile(
    r"\b(?:inc|incorporated|ltd|limited|co|corp|corporation|company|llc|gmbh|team|authors?|the|and|its|affiliates)\b"
)
_OWN_LICENSE = re.compile(r"(?:licen[cs]e|copying)(?:\.(?:txt|md|rst))?", re.IGNORECASE)
_VERBATIM = b"everyone is permitted to copy and distribute verbatim copies"
_HOLD_WORDS = {
    "european union": b"eupl",
    "free software foundation": _VERBATIM,
    "mongodb": _VERBATIM,
    "perl foundation": _VERBATIM,
}
"""Holders of the words of a license, who hold nothing of what is under it; and words by which such a text is known."""

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
    closed = f"{holder})" if holder.count("(") > holder.count(")") else holder
    return Statement(years=years[0].strip() if years else "", holder=closed[:_MAX_NAME])


def holder_key(holder: str) -> str:
    """A holder's name without legal forms, punctuation, and who is named in brackets behind it."""
    return _plain(re.sub(r"(?<=\w)\s*\([^()]*\)$", "", holder))


def names_in(lines: Iterable[str]) -> str:
    """Lines without legal forms and punctuation: a holder is named where its key stands between blanks."""
    return "".join(f" {_plain(line)} |" for line in lines)


def _plain(words: str) -> str:
    bare = _LEGAL.sub(" ", re.sub(r"[^\w ]", " ", words.casefold()))
    return " ".join(bare.split())


def holder_lines(source: Source) -> Iterator[tuple[str, Finding]]:
    """Lines of a file that name a holder, who does more than hold the words of a license: key of the holder, and line."""
    for detect in (copyright_line.detect, spdx_tag.detect):
        for finding in detect(source):
            key = holder_key(statement_of(finding.text).holder)
            only_words = key in _HOLD_WORDS and _HOLD_WORDS[key] in source.lowered
            if key and finding.code in ("copyright", "spdx-copyright") and not only_words:
                yield key, finding


def _holders(gathered: Gathered) -> dict[str, list[Finding]]:
    """Copyright lines of files that are neither licenses nor notices, by holder."""
    found: dict[str, list[Finding]] = defaultdict(list)
    for finding in gathered.of("copyright", "spdx-copyright"):
        key = holder_key(statement_of(finding.text).holder)
        if key and code_of_name(finding.path) is None:
            found[key].append(finding)
    return found


def _main(gathered: Gathered, holders: Mapping[str, Sequence[Finding]]) -> tuple[frozenset[str], str]:
    """The one holder whom the license file at the top names, else all who are named in most files, and where.

    Most are more than half of those that name any.
    """
    top = {
        key: statement_of(finding.text).holder
        for finding in gathered.of("copyright", "spdx-copyright")
        if _OWN_LICENSE.fullmatch(finding.path) and (key := holder_key(statement_of(finding.text).holder))
        if key not in _HOLD_WORDS
    }
    if len(top) == 1:
        return frozenset(top), f"{''.join(top.values())} in the license file at the top"
    files = Counter({key: len({finding.path for finding in lines}) for key, lines in holders.items()})
    naming = len({finding.path for lines in holders.values() for finding in lines})
    most = [key for key, count in files.most_common() if 2 * count > naming]
    return frozenset(most), " and ".join(_in_files(holders[key]) for key in most)


def _in_files(lines: Sequence[Finding]) -> str:
    """A holder, and how many files name them."""
    files = len({finding.path for finding in lines})
    return f"{statement_of(lines[0].text).holder} in {amount(files, 'file')}"


def foreign_copyrights(gathered: Gathered) -> Iterator[Finding]:
    """One finding for each holder beside the main one."""
    holders = _holders(gathered)
    main, where = _main(gathered, holders)
    for key in sorted(holders)[:_MAX_HOLDERS]:
        if main and key not in main:
            first = holders[key][0]
            words = f"{_in_files(holders[key])}; {where}"
            yield Finding(code="foreign-copyright", path=first.path, line=first.line, text=cut(words))


def notices(gathered: Gathered) -> Iterator[Finding]:
    """Holders whom copyright lines of files name, and no license or notice file."""
    codes = ("copyright", "spdx-copyright", "notice-file", "license-file")
    named = names_in(finding.text for finding in gathered.of(*codes) if code_of_name(finding.path))
    has_notice = bool(gathered.of("notice-file"))
    holders = _holders(gathered)
    main, _ = _main(gathered, holders)
    missing = [key for key in sorted(holders) if key not in main and f" {key} " not in named][:_MAX_HOLDERS]
    for key in missing if has_notice else ():
        first = holders[key][0]
        words = f"{statement_of(first.text).holder}, named in files, is not named in the notice and license files"
        yield Finding(code="notice-incomplete", path=first.path, line=first.line, text=cut(words))
    if missing and not has_notice:
        names = ", ".join(statement_of(holders[key][0].text).holder for key in missing)
        words = f"no notice file; no license file names these holders of copyright lines: {names}"
        yield Finding(code="notice-missing", path=WHOLE, line=None, text=cut(words))
