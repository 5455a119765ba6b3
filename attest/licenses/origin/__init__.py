"""Where code may come from: files of one repository beside those of another, with what unrelated files give.

It never speaks of weights: code reuse is not weight reuse.
"""

from __future__ import annotations

from attest.licenses.origin.common import NOTHING, Common, common_of
from attest.licenses.origin.compare import METHOD, Origins, compare_code
from attest.licenses.origin.releases import date_files
from attest.licenses.origin.report import origin_text, origin_value

__all__ = [
    "METHOD",
    "NOTHING",
    "Common",
    "Origins",
    "common_of",
    "compare_code",
    "date_files",
    "origin_text",
    "origin_value",
]
