"""Features of units: numbers that a permutation test pairs, robust against single extreme values."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["normal_scores", "unit_rows"]


@cache
def _single_scores(n: int) -> NDArray[np.float64]:
    """Scores of n values, no two of which are equal, from the least on."""
    return np.diff(_summed_scores(n))


@cache
def _summed_scores(n: int) -> NDArray[np.float64]:
    """Sums of the scores of the least 0, 1, … n of n values."""
    quantile = NormalDist().inv_cdf
    scores = np.array([quantile((rank - 0.375) / (n + 0.25)) for rank in range(1, n + 1)])
    return np.concatenate([[0.0], np.cumsum(scores)])


def normal_scores(values: NDArray[Any]) -> NDArray[np.float64]:
    """Expected normal order statistics of the values' ranks; equal values share their mean score.

    Parameters
    ----------
    values : ndarray of shape (n_units,)
        Values that are not finite get the score 0, the middle.

    Returns
    -------
    ndarray of shape (n_units,), float64
        All zero for a constant vector.

    Notes
    -----
    A few residual dimensions of most networks are far larger than the rest. On raw values two unrelated networks
    whose largest dimensions coincide, one pair in d_model, would look related; on ranks they do not.

    References
    ----------
    Blom, "Statistical Estimates and Transformed Beta-Variables", 1958 (the constant 3/8).
    """
    scores = np.zeros(values.size)
    finite = np.flatnonzero(np.isfinite(values))
    if not finite.size:
        return scores
    order = np.argsort(values[finite])
    ordered = values[finite[order]]
    differs = ordered[1:] != ordered[:-1]
    if differs.all() and finite.size > 1:
        scores[finite[order]] = _single_scores(finite.size)
    elif differs.any():
        begins = np.flatnonzero(np.concatenate([[True], differs]))
        sizes = np.diff(begins, append=finite.size)
        sums = _summed_scores(finite.size)
        scores[finite[order]] = np.repeat((sums[begins + sizes] - sums[begins]) / sizes, sizes)
    return scores


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows divided by their Euclidean norm, so that no unit outweighs the others; rows without one become zero."""
    values = rows.astype(np.float64)
    norms = np.sqrt(np.sum(values * values, axis=1, keepdims=True))
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, values, 0.0) / np.where(usable, norms, 1.0)
