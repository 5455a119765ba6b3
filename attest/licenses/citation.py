"""What ``CITATION.cff`` declares as the license of the work.

References
----------
Citation File Format 1.2.0, fields ``license`` (an SPDX id or a list of them) and ``license-url``.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source
from attest.licenses.yaml_scalars import scalars

__all__ = ["detect"]

_CODES = {"license": "declared-license", "license-url": "declared-license-link"}


def detect(source: Source) -> Iterator[Finding]:
    """Each declared value; the items of a list are joined by commas."""
    if source.name.casefold() != "citation.cff":
        return
    lines = source.data.decode("utf-8", "replace").split("\n")
    for field in scalars(lines, frozenset(_CODES)):
        if field.text is None:
            words = f"{lines[field.line]} (neither a scalar nor a list of scalars)"
            yield source.finding("declaration-not-read", field.line + 1, words)
        else:
            yield source.finding(_CODES[field.name], field.line + 1, field.text)
