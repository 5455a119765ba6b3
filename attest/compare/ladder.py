"""From numbers to words: a ladder that a reader's policy climbs, never a score.

References
----------
ENFSI guideline for evaluative reporting in forensic science, 2015.
"""

from __future__ import annotations

from typing import Literal

from attest.document import record

__all__ = ["Conclusion", "Policy", "Rung"]

Rung = Literal["identical", "exact-rejected", "matched-above-panel", "inconclusive", "no-evidence"]


@record
class Policy:
    """How numbers become a rung.

    Parameters
    ----------
    id : str
        Name and version of the policy.
    alpha : float
        Level at which an exact test counts as rejected, after Holm's correction over the exact tests that ran.
    inconclusive_alpha : float
        Level below which a result is too small to be called no evidence.
    """

    id: str
    alpha: float
    inconclusive_alpha: float


@record
class Conclusion:
    """The rung a policy reaches, and the sentences that carry it there."""

    rung: Rung
    policy: Policy
    because: tuple[str, ...]
