"""Where the foreign test data lies, which is no part of the project; tests skip where it is absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_BESIDE = Path(__file__).resolve().parents[2].glob("*/vectors/sigstore-conformance")
VECTORS = Path(os.environ.get("ATTEST_FOREIGN_VECTORS") or next((path.parent for path in _BESIDE), Path("missing")))
"""Folder that ``ATTEST_FOREIGN_VECTORS`` names, else one beside the project."""

needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the foreign test data is not at hand")


def cases(*pattern: str) -> list[Path]:
    """Paths that match, sorted; none where the data is absent."""
    return sorted(VECTORS.glob("/".join(pattern)))
