"""Lists of SHA-256 digests that a publisher put beside its files, such as ``SHA256SUMS`` or ``checklist.chk``."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["LINE", "detect"]

_NAME = re.compile(
    r"sha256sums?(?:\.txt)?|checklist\.chk|checksums?(?:\.(?:txt|sha256))?|.*\.sha256(?:sum)?", re.IGNORECASE
)
LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](\S.{0,400})")
"""A line of ``sha256sum``: digest and path."""


def detect(source: Source) -> Iterator[Finding]:
    """Each line of a list, verbatim."""
    if not _NAME.fullmatch(source.name):
        return
    for number, line in enumerate(source.text.split("\n"), start=1):
        if LINE.fullmatch(line.rstrip()):
            yield source.finding("vendor-checksum", number, line)
