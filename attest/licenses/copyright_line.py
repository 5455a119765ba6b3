"""Copyright lines, verbatim, without the sentences of license texts that only speak about copyright."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Excerpt, Source

__all__ = ["detect"]

_WORDS = (b"copyright", b"copr.", b"(c)", b"&copy", b"&#169;", b"\xc2\xa9")
_PIECE = r"[\u00a1-\u00a8\u00aa-\u00c1\u00c3-\u0143]"
"""Letters that stand for bytes in the vocabularies of tokenizers, where © is a byte, too."""

_C = rf"(?<!{_PIECE})©(?!\s{{0,4}}{_PIECE}{{2}})"
_SIGN = rf"(?i:\(c\)|{_C}|&copy;?|&#169;)"
_NO_NAME_OF_CODE = r"(?<!--)(?<!\w_)"
_WORD = _NO_NAME_OF_CODE + r"(?i:copyright(?:ed)?|copr\.)"
_YEAR = r"(?:19|20)\d\d(?!\d|-\d\d-\d\d)"
_CAPITAL = r"[^\W\d_a-z]"
_NO_HOLDER = (
    r"(?!(?i:[eouy]|acts?|agents?|agreements?|and|as|assignments?|claims?|clauses?|date|disclaimers?|files?|for|grants?|headers?"
    r"|holders?|i[ns]|information|infringements?|interests?|issues?|laws?|licen[cs]e[ds]?|lines?|logo|man|messages?|names?"
    r"|notices?|o[fr]|office|owners?|owned|page|permission|policy|protection|registration|sections?|statements?|status"
    r"|strings?|symbol|terms?|text|to|transfers?|treat(?:y|ies)|violations?|y{2,4}|year\(?s?\)?)(?!\w))"
)
_NO_CLAUSE = r"(?!(?i:all|an?|any|each|every|except|if|in|no|not|the|this|to|you|your|where|when|such)\s)"
_FORM = r"(?i:authors|co|company|contributors|corp|corporation|foundation|gmbh|inc|incorporated|limited|llc|ltd|project|team|university)\b"
_NAMES = rf"(?:(?:{_CAPITAL}[\w.'&/-]*|&|and|by|de|der|du|for|of|the|van|von)[\s,]{{1,3}}){{0,8}}"
_STATEMENT = re.compile(
    rf"(?:{_WORD}|{_SIGN})(?!\"\s?:|-\d)\W{{0,12}}{_YEAR}"
    rf"|{_WORD}:?\s{{0,4}}{_SIGN}(?:[\s,.?|*]|%[ds]){{0,12}}(?i:by\s)?{_NO_HOLDER}[^\W\d_]"
    rf"|(?:{_C}|&copy;)\s{{0,4}}(?:the\s)?{_NO_HOLDER}{_CAPITAL}"
    rf"|(?:{_SIGN}\s?(?i:c?opyright(?:ed)?)|(?i:copyrighted|copr\.))\s{{1,4}}(?:(?i:by)\s{{1,4}})?(?:the\s)?(?:{_YEAR}|{_NO_HOLDER}{_CAPITAL})"
    rf"|{_NO_NAME_OF_CODE}(?i:copyright)(?:\s{{1,4}}(?i:by))?(?:\s{{0,8}}:)?\s{{1,8}}(?:the\s)?{_NO_HOLDER}{_CAPITAL}"
    rf"|(?<!\w){_SIGN}\s{{0,4}}(?:{_NO_CLAUSE}|(?i:the)\s){_NO_HOLDER}{_NAMES}(?:{_YEAR}|{_FORM}|(?i:all rights reserved))"
    rf"|(?:(?i:portions|parts)\s{{1,8}}{_SIGN}\s{{0,4}}|{_SIGN}\s{{1,4}}by\s{{1,4}}(?:the\s)?){_NO_HOLDER}{_CAPITAL}"
    rf"|(?<=[^\W\d_]\s)(?<!\band\s)(?<!\bor\s){_SIGN}{_NO_CLAUSE}{_NO_HOLDER}{_CAPITAL}{{2}}"
)
"""A year behind the word or the sign; a name behind both, or, with a capital, behind the word or ©; behind (c) alone
a name that ends in a year, in a form of company or in "all rights reserved"."""

_TAG = re.compile(r"</?[A-Za-z][^<>]{0,100}>")
_OPEN = re.compile(
    rf"(?:(?:{_WORD}|{_SIGN})[\s:,]*+(?:{_SIGN}[\s:,]*+)?(?:{_YEAR}(?:\s?(?:-|\u2013|,|and)\s?(?:(?:19|20)\d\d|present|now)){{0,40}})?"
    r"[\s,.:`'\"]*+(?i:by)?|,|(?i:\b(?:and|by)))$"
)
"""A statement whose holder is yet to come: nothing but signs and years up to the end of its line, or a last "by"."""

_NEXT = re.compile(
    rf"[\s*/#;|!%-]{{0,40}}(?:{_YEAR}|(?:by\s|[Tt]he\s){{0,2}}{_NO_HOLDER}{_NO_CLAUSE}{_CAPITAL}[\w.'-]*[\s,]\S)"
)
_LISTED = re.compile(rf"[\s*/#;|!%-]{{0,40}}{_YEAR}[\d\s,\u2013-]{{0,40}}{_CAPITAL}")
_EDGES = " \t*/#"
_MAX_LISTED = 50


def detect(source: Source) -> Iterator[Finding]:
    """Each line that states a copyright.

    A line counts when the word or sign is followed by a year, when the word and the sign are followed by a name, or
    when either is followed by a name with a capital. ``(c)`` alone, which also numbers clauses, needs a year, a form of
    company or "all rights reserved" with the name. Of a statement that goes on, the lines that give its holders count
    too, each by itself. SPDX tags are left to their own detector.
    """
    last = 0
    for excerpt in source.excerpts(*_WORDS):
        text = _TAG.sub(" ", excerpt.text) if "<" in excerpt.text else excerpt.text
        if excerpt.line <= last or "copyrighttext:" in text.casefold():
            continue
        stated = _STATEMENT.search(text) or _STATEMENT.search(excerpt.text)
        if stated:
            yield source.finding("copyright", excerpt.line, excerpt.text)
        for after in _continued(source, excerpt, text, stated=bool(stated)):
            last = after.line
            yield source.finding("copyright", after.line, after.text)


def _continued(source: Source, excerpt: Excerpt, text: str, *, stated: bool) -> Iterator[Excerpt]:
    """The lines in which a statement goes on: that of its holder, and then those that begin with years, too."""
    is_open = _OPEN.search(text.rstrip(_EDGES))
    line = source.line_after(excerpt) if stated or is_open else None
    pattern = _NEXT if stated and is_open else _LISTED
    for _ in range(_MAX_LISTED):
        if line is None or _STATEMENT.search(line.text) or not pattern.match(_TAG.sub(" ", line.text)):
            return
        yield line
        line, pattern = source.line_after(line), _LISTED
