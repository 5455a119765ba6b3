"""Files that say of themselves that a program made them, and carry no copyright line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses import copyright_line
from attest.licenses.source import Source

__all__ = ["detect"]

_SENTENCE = re.compile(
    r"\W*(?:this|the) file (?:was|is|has been)\W+(?:auto\w*\W+)?generated|\W*(?:@|auto-?)generated", re.IGNORECASE
)
_HEAD_LINES = 20


def detect(source: Source) -> Iterator[Finding]:
    """The line that says so, where it is one of the first twenty and no line of the file states a copyright."""
    for excerpt in source.excerpts(b"generated"):
        if excerpt.line > _HEAD_LINES:
            return
        if _SENTENCE.match(excerpt.text):
            if next(copyright_line.detect(source), None) is None:
                yield source.finding("generated-without-header", excerpt.line, excerpt.text)
            return
