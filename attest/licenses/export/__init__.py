"""What a scan found in the formats of others. A new one is a file in this folder, and a line here.

Each is a function from the same content to text. Equal content gives equal bytes, and nothing outside ASCII but
printable characters, so that it may be shown. None of them says more than the scan: what was found in a file, what was
declared, and nothing about which license applies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attest.licenses.export.content import Content
from attest.licenses.export.cyclonedx import to_cyclonedx
from attest.licenses.export.reuse import to_reuse
from attest.licenses.export.sarif import to_sarif
from attest.licenses.export.spdx import to_spdx

__all__ = ["EXPORTS", "Content"]

EXPORTS: Mapping[str, Callable[[Content], str]] = {
    "cyclonedx": to_cyclonedx,
    "reuse": to_reuse,
    "sarif": to_sarif,
    "spdx": to_spdx,
}
