"""Comments by which authors say where code comes from: copied, modified, adapted, ported, forked, based on."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_WORDS = (b"copied from", b"modified from", b"adapted from", b"ported from", b"forked from", b"based on")
_THING = r"(?:class|code|codebase|file|function|implementation|library|method|model|module|package|project|script|work)"
_FILLER = (
    rf"(?:{_THING}|all|and|are|been|directly|has|have|heavily|here|implementations|is|largely|lightly|loosely|mainly"
    r"|mostly|of|originally|part|partially|partly|parts|portions|slightly|some|the|these|this|was|were)"
)
_COMMENT = re.compile(
    rf"[\W_]*(?:{_FILLER}\s{{1,4}}){{0,8}}(?:(?:copied|modified|adapted)\s(?:and|or|/)\s)?"
    r"(?:copied|modified|adapted|ported|forked)\sfrom\b"
    rf"|[\W_]*(?:{_FILLER}\s{{1,4}}){{0,6}}{_THING}\s(?:is|was)\s(?:\w{{1,20}}\s){{0,2}}based\son\b",
    re.IGNORECASE,
)


def detect(source: Source) -> Iterator[Finding]:
    """Each line that opens with such a sentence, after the marks of its comment."""
    for excerpt in source.excerpts(*_WORDS):
        if _COMMENT.match(excerpt.text):
            yield source.finding("provenance-comment", excerpt.line, excerpt.text)
