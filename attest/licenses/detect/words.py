"""The words of a license text, without what may differ between two copies of one license.

References
----------
SPDX License List, "Matching guidelines": white space, capitals, punctuation, bullets, comment marks, copyright
notices and varied spellings do not make two texts different.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Words", "words_of"]

_WORD = re.compile(r"\d+(?:\.\d+)+|[\u3400-\u9fff]|[^\W_\u3400-\u9fff]+")
_MARKUP = re.compile(r"<[^<>\n]{1,80}>|&[a-z]{2,8};|\{\\[a-z]+\d*")
_MARK = re.compile(r"\W*(?:(?:dnl|rem)\b\W*)?(?:(?:\d{1,2}(?:\.\d{1,2}){0,3}|[a-z]|[ivx]{1,4})[.):\]](?=\s)\W*)?")
_COPYRIGHT = re.compile(
    r"\W*(?:portions\s+)?(?:copyright|\(c\)|©)\s*:?\s*(?:\(c\)|©)?,?\s*"
    r"(?:(?:19|20)\d\d|[<\[{]|yyyy|year\b|(?<=\(c\)\s)\S|(?<=©\s)\S)|\W*all rights reserved\W*$"
)
_RESUMED = re.compile(
    r"\b(?:redistribution and|permission (?:is|to)|permission is|licensed|this (?:software|program|file|library|work|code)"
    r"|the (?:software|program|contents)|all rights reserved\W+\w)"
)
_SPELLINGS = {
    "https": "http",
    "licence": "license",
    "licences": "licenses",
    "licenced": "licensed",
    "licencing": "licensing",
    "sublicence": "sublicense",
    "acknowledgement": "acknowledgment",
    "favour": "favor",
    "judgement": "judgment",
    "organisation": "organization",
    "owner": "holder",
    "owners": "holders",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Normalized words of a text, and the line of each, counted from 1."""

    words: tuple[str, ...]
    lines: tuple[int, ...]


def words_of(text: str) -> Words:
    r"""Words of a text without case, punctuation, markup, bullets, comment marks and copyright lines.

    Parameters
    ----------
    text : str
        Lines that end in ``\n``.

    Examples
    --------
    >>> words_of("# Copyright (c) 2024 A\n# 1. The Licence, version 2.0").words
    ('the', 'license', 'version', '2.0')

    Notes
    -----
    Takes time linear in the length of the text. A character of a script that does not part its words is a word.
    """
    words: list[str] = []
    lines: list[int] = []
    for number, whole in enumerate(text.casefold().split("\n"), start=1):
        if not whole:
            continue
        line = whole
        if ("copyright" in line or "(c)" in line or "©" in line or "all rights" in line) and (
            statement := _COPYRIGHT.match(line)
        ):
            resumed = _RESUMED.search(line, statement.end())
            if not resumed:
                continue
            line = line[resumed.start() :].removeprefix("all rights reserved")
        bare = _MARKUP.sub(" ", line) if "<" in line or "&" in line or "{" in line else line
        mark = _MARK.match(bare)
        found = _WORD.findall(bare, mark.end() if mark else 0)
        words += found
        lines += [number] * len(found)
    return Words(words=tuple(_SPELLINGS.get(word, word) for word in words), lines=tuple(lines))
