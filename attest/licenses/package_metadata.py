"""What a Python package's ``METADATA`` or ``PKG-INFO`` declares as the license.

References
----------
PyPA specification, "Core metadata", fields ``License`` and ``License-Expression``.
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_FIELDS = (b"license", b"license-expression")


def detect(source: Source) -> Iterator[Finding]:
    """The value of each license field among the headers, which end at the first empty line."""
    if source.name not in ("METADATA", "PKG-INFO"):
        return
    lines = source.data.partition(b"\n\n")[0].split(b"\n")
    for index, line in enumerate(lines):
        field, _, value = line.partition(b":")
        text = value.decode("utf-8", "replace").strip()
        if field.lower() not in _FIELDS or not text:
            continue
        goes_on = lines[index + 1 : index + 2] and lines[index + 1][:1] in (b" ", b"\t")
        yield source.finding("declared-license-text" if goes_on else "declared-license", index + 1, text)
