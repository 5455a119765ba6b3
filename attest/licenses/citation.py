"""What ``CITATION.cff`` declares as the license of the work.

References
----------
Citation File Format 1.2.0, fields ``license`` (an SPDX id or a list of them) and ``license-url``.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source
from attest.licenses.yaml_scalars import declared

__all__ = ["detect"]

_CODES = {"license": "declared-license", "license-url": "declared-license-link"}


def detect(source: Source) -> Iterator[Finding]:
    """Each declared value; the items of a list are joined by commas."""
    if source.name.casefold() != "citation.cff":
        return
    yield from declared(source, source.text.split("\n"), _CODES)
