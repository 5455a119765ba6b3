"""Identifying license texts: normalized words, an index of known texts, and verdicts that round nothing away."""

from __future__ import annotations

from attest.licenses.detect.found import Change, FoundText, Identification
from attest.licenses.detect.identify import identify
from attest.licenses.detect.index import index
from attest.licenses.detect.nearest import twins
from attest.licenses.detect.sketch import sketches

__all__ = ["Change", "FoundText", "Identification", "identify", "index", "sketches", "twins"]
