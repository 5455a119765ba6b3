"""Whether p-values behave: Kolmogorov's test against the uniform law, and binomial bounds on rejections."""

from __future__ import annotations

import math
from collections.abc import Sequence

__all__ = ["binomial_bound", "kolmogorov", "quantiles"]


def kolmogorov(pvalues: Sequence[float]) -> tuple[float, float]:
    """Largest distance of the empirical distribution from the uniform one, and its asymptotic p-value.

    References
    ----------
    Stephens, "Use of the Kolmogorov-Smirnov Statistics without Extensive Tables", 1970 (the correction for small n).
    """
    ordered, n = sorted(pvalues), len(pvalues)
    distance = max(max((i + 1) / n - p, p - i / n) for i, p in enumerate(ordered))
    scaled = distance * (math.sqrt(n) + 0.12 + 0.11 / math.sqrt(n))
    tail = 2 * sum((-1) ** (k - 1) * math.exp(-2 * (k * scaled) ** 2) for k in range(1, 101))
    return distance, min(1.0, max(0.0, tail)) if scaled > 0.2 else 1.0


def binomial_bound(n: int, level: float, *, confidence: float = 0.99) -> int:
    """Most rejections at a level that ``n`` independent true null hypotheses give with this confidence."""
    below = 0.0
    for k in range(n + 1):
        below += math.comb(n, k) * level**k * (1 - level) ** (n - k)
        if below >= confidence:
            return k
    return n


def quantiles(pvalues: Sequence[float]) -> list[tuple[float, float]]:
    """Points of a QQ plot: the uniform law's expected order statistics, and the p-values in order."""
    n = len(pvalues)
    return [((i + 1) / (n + 1), p) for i, p in enumerate(sorted(pvalues))]
