"""What tests draw at random: from public text, so that anybody can draw it again; and the record of what was drawn."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.comparison import LayerStatistic, NullDistribution, Test

__all__ = [
    "MAX_RESAMPLES",
    "MIN_RESAMPLES",
    "WORK",
    "normal_pvalue",
    "public_order",
    "public_seed",
    "public_source",
    "resampled_test",
]

MAX_RESAMPLES = 9_999
MIN_RESAMPLES = 999
WORK = 2_000_000_000
"""Products that the resamples of one test may take; permutations that would take more are shifts."""

_SMALLEST_NORMAL_P = 1e-6
_EDGES = tuple(edge / 4 for edge in range(-20, 21))


def public_seed(test_id: str, a: Fingerprints, b: Fingerprints) -> str:
    """Text that fixes what a test draws: its id and both tree digests, in order, so that neither side comes first."""
    return " ".join((test_id, *sorted((a.side.tree_digest, b.side.tree_digest))))


def public_source(seed: str) -> Any:
    """Philox-4x64 keyed by SHA-256 of a public text."""
    return np.random.Philox(key=np.frombuffer(hashlib.sha256(seed.encode()).digest()[:16], np.uint64))


def public_order(n: int, seed: str, *, count: int | None = None) -> NDArray[np.int64]:
    """A public random order of n things: 64-bit words of Philox-4x64 keyed by SHA-256 of the seed, sorted.

    ``count`` asks for the first of the order only, which is faster.
    """
    words = public_source(seed).random_raw(n)
    if count is None or not 0 < count < n:
        return _stable_order(words)[:count]
    first = np.flatnonzero(words <= np.partition(words, count - 1)[count - 1])
    return first[_stable_order(words[first])][:count]


def _stable_order(words: NDArray[np.uint64]) -> NDArray[np.int64]:
    """A stable sort's order, faster where no two words are the same, as 64 random bits hardly ever are."""
    order: NDArray[np.int64] = np.argsort(words)
    ordered = words[order]
    return np.argsort(words, kind="stable") if (ordered[1:] == ordered[:-1]).any() else order


def resampled_test(  # noqa: PLR0913 - what a test is, in words and in numbers
    test_id: str, observed: float, null: NDArray[np.float64], *,
    least: float, n: int, layers: tuple[LayerStatistic, ...], method: str, seed: str, note: str,
) -> Test:  # fmt: skip
    """An exact test out of its statistic, and of what the same was on resamples.

    Parameters
    ----------
    observed : float
        In standard deviations of the null.
    null : ndarray of shape (n_resamples,), float64
    least : float
        Chance of the farthest outcome among all that may be drawn: no p-value can be less.
    n, layers
        As the test has them.
    method, seed : str
        What was drawn, in words, and the public text that fixes it.

    Notes
    -----
    The p-value is two-sided, (C + 1) / (n_resamples + 1).
    """
    z = signed_digits(observed)
    extreme = int(np.count_nonzero(np.abs(null) >= abs(observed) - 1e-9))
    return Test(
        id=test_id,
        calibration="exact",
        statistic=z,
        z=z,
        pvalue=signed_digits((extreme + 1) / (null.size + 1)),
        smallest_pvalue=signed_digits(max(1 / (null.size + 1), least)),
        normal_pvalue=normal_pvalue(z),
        n=n,
        layers=layers,
        null_distribution=_describe_null(null, method, seed),
        note=note,
    )


def _describe_null(null: NDArray[np.float64], method: str, seed: str) -> NullDistribution:
    """The record of what was resampled: its moments, and a histogram from -5 to 5."""
    inside = np.clip(null, _EDGES[0], _EDGES[-1])
    counts, _ = np.histogram(inside, bins=np.array(_EDGES))
    return NullDistribution(
        method=method,
        resamples=null.size,
        seed=seed,
        mean=signed_digits(float(null.mean())),
        sd=signed_digits(float(null.std(ddof=1))),
        edges=_EDGES,
        counts=tuple(int(count) for count in counts),
    )


def normal_pvalue(z: float) -> float:
    """Two-sided tail of the normal distribution, never below 1e-6: beyond that, quote z."""
    return signed_digits(max(math.erfc(abs(z) / math.sqrt(2)), _SMALLEST_NORMAL_P))
