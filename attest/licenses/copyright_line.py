"""Copyright lines, verbatim, without the sentences of license texts that only speak about copyright."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_WORDS = (b"copyright", b"copr.", b"(c)", b"&copy;", b"\xc2\xa9")
_SIGN = r"(?i:\(c\)|©|&copy;)"
_YEAR = r"(?:19|20)\d\d(?!\d)"
_NO_HOLDER = (
    r"(?!(?i:acts?|and|as|claims?|disclaimers?|for|headers?|holders?|i[ns]|information|infringements?|interests?|laws?"
    r"|licen[cs]e[ds]?|lines?|messages?|names?|notices?|o[fr]|owners?|owned|permission|policy|protection|registration"
    r"|statements?|status|symbol|terms?|to|treat(?:y|ies)|violations?|y{2,4}|year\(?s?\)?)(?!\w))"
)
_STATEMENT = re.compile(
    rf"(?:(?i:copyright|copr\.)|{_SIGN})(?!\"\s?:|-\d)\W{{0,12}}{_YEAR}"
    rf"|(?i:copyright|copr\.):?\s{{0,4}}{_SIGN},?\s{{0,4}}(?i:by\s)?{_NO_HOLDER}[^\W\d_]"
    rf"|(?:©|&copy;)\s{{0,4}}(?:the\s)?{_NO_HOLDER}[^\W\d_a-z]"
    rf"|(?i:\(c\)\s?c?opyright(?:ed)?|copyrighted|copr\.)\s{{1,4}}(?:(?i:by)\s{{1,4}})?(?:the\s)?(?:{_YEAR}|{_NO_HOLDER}[^\W\d_a-z])"
    rf"|(?i:copyright)(?:\s{{1,4}}(?i:by))?:?\s{{1,4}}(?:the\s)?{_NO_HOLDER}[^\W\d_a-z]"
)


def detect(source: Source) -> Iterator[Finding]:
    """Each line that states a copyright.

    A line counts when the word or sign is followed by a year, when the word and the sign are followed by a name, or
    when either is followed by a name with a capital. ``(c)`` alone, which also numbers clauses, needs a year. A
    statement that goes on in the next line is given by its first line; SPDX tags are left to their own detector.
    """
    for excerpt in source.excerpts(*_WORDS):
        if _STATEMENT.search(excerpt.text) and "copyrighttext:" not in excerpt.text.casefold():
            yield source.finding("copyright", excerpt.line, excerpt.text)
