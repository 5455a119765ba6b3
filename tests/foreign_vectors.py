"""Where the foreign test data lies, which is no part of the project; tests skip where it is absent."""

from __future__ import annotations

from pathlib import Path

import pytest

VECTORS = Path(__file__).resolve().parent.parent.parent / "shared" / "vectors"
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the foreign test data is not at hand")


def cases(*pattern: str) -> list[Path]:
    """Paths that match, sorted; none where the data is absent."""
    return sorted(VECTORS.glob("/".join(pattern)))
