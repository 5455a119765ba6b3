"""Where code may come from: files of one repository beside those of another, with what unrelated files give.

It never speaks of weights: code reuse is not weight reuse.
"""

from __future__ import annotations

from attest.licenses.origin.compare import Origin, Origins, compare_code
from attest.licenses.origin.releases import Release, releases
from attest.licenses.origin.report import origin_text, origin_value

__all__ = ["Origin", "Origins", "Release", "compare_code", "origin_text", "origin_value", "releases"]
