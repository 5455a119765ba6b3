"""``attention-std-correlation/v1``: the published statistic, for comparison only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run

__all__ = ["attention_std_correlation"]

_ID = "attention-std-correlation/v1"
_STD = "attention-std/v1"


def attention_std_correlation(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Pearson correlation of the per-layer standard deviations of W_Q, W_K, W_V and W_O, averaged over the four.

    Notes
    -----
    Each profile is standardized over layers; where depths differ, the shorter is interpolated linearly, and the note
    says so. Descriptive: both profiles follow depth, so networks trained apart with one recipe agree. It has no null
    distribution here and carries no p-value.

    References
    ----------
    HonestAGI, "Intrinsic Fingerprint of LLMs", 2025, section 3.
    """
    mine, theirs = a.arrays.get(_STD, {}), b.arrays.get(_STD, {})
    correlations = {}
    for role in ("q", "k", "v", "o"):
        if role in mine and role in theirs:
            value = _correlate(mine[role], theirs[role])
            if value is not None:
                correlations[role] = value
    if not correlations:
        return not_run("no profile of two or more layers that varies in both", _ID)
    each = ", ".join(f"{role} {signed_digits(value)}" for role, value in correlations.items())
    depth = "" if a.side.layers == b.side.layers else "; the shorter profile was interpolated"
    test = descriptive(
        _ID,
        sum(correlations.values()) / len(correlations),
        max(a.side.layers, b.side.layers),
        f"mean of the correlations {each}{depth}; networks trained apart with one recipe reached 0.99,"
        " so it is no evidence by itself",
    )
    return Outcome(tests=(test,))


def _correlate(left: NDArray[np.float64], right: NDArray[np.float64]) -> float | None:
    """Pearson correlation of two profiles; None where one is constant, not finite, or shorter than two layers."""
    length = max(left.size, right.size)
    if min(left.size, right.size) < 2 or not (np.isfinite(left).all() and np.isfinite(right).all()):
        return None
    scaled = (one / (np.abs(one).max() or 1.0) for one in (left, right))  # squares of the greatest values overflow
    x, y = (np.interp(np.linspace(0, 1, length), np.linspace(0, 1, one.size), one) for one in scaled)
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    return float(np.sum(x * y)) / scale if scale > 0 else None
