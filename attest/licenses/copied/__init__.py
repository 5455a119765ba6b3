"""Comments that name where code was copied from, held against that place where it is at hand.

Equal code does not show who copied from whom, and it says nothing about weights.
"""

from __future__ import annotations

from attest.licenses.copied.claim import CopyClaim, claims_of
from attest.licenses.copied.compare import Reader, compare_copies

__all__ = ["CopyClaim", "Reader", "claims_of", "compare_copies"]
