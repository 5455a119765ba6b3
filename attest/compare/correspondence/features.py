"""Features of units: numbers that a permutation test pairs, robust against single extreme values."""

from __future__ import annotations

from functools import cache
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["normal_scores", "unit_rows"]


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
    values : ndarray of shape (..., n_units)
        Vectors, each ranked by itself. Values that are not finite get the score 0, the middle.

    Returns
    -------
    ndarray of shape (..., n_units), float64
        All zero for a constant vector.

    Notes
    -----
    A few residual dimensions of most networks are far larger than the rest. On raw values two unrelated networks
    whose largest dimensions coincide, one pair in d_model, would look related; on ranks they do not.

    References
    ----------
    Blom, "Statistical Estimates and Transformed Beta-Variables", 1958 (the constant 3/8).
    """
    finite = np.isfinite(values)
    if finite.all():
        return _scores_of(np.ascontiguousarray(values, np.float64))
    if values.ndim > 1:
        return np.stack([normal_scores(vector) for vector in values])
    scores = np.zeros(values.shape)
    scores[finite] = _scores_of(values[finite].astype(np.float64))
    return scores


def _scores_of(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scores of finite values."""
    scores = np.zeros(values.shape)
    if values.size:
        n_units = values.shape[-1]
        order = np.argsort(values, axis=-1)
        _SCORE(values, order, values.size // n_units, n_units, _summed_scores(n_units), scores)
    return scores


def _score(values: Any, order: Any, n_vectors: int, n_units: int, sums: Any, scores: Any) -> None:
    """Give every run of equal values, in the order of size, its mean score; a run that is a whole vector keeps 0."""
    for vector in range(n_vectors):
        at = vector * n_units
        begin = 0
        while begin < n_units:
            value = values[at + order[at + begin]]
            end = begin + 1
            while end < n_units and values[at + order[at + end]] == value:
                end += 1
            if end - begin < n_units:
                score = (sums[end] - sums[begin]) / np.float64(end - begin)
                for place in range(begin, end):
                    scores[at + order[at + place]] = score
            begin = end


_SCORE = Kernel(_score, "float64*", "int64*", "int64", "int64", "float64*", "float64*")


def unit_rows(rows: NDArray[Any]) -> NDArray[np.float64]:
    """Rows divided by their Euclidean norm, so that no unit outweighs the others; rows without one become zero."""
    values = rows.astype(np.float64)
    norms = np.sqrt(np.sum(values * values, axis=1, keepdims=True))
    usable = np.isfinite(norms) & (norms > 0)
    return np.where(usable, values, 0.0) / np.where(usable, norms, 1.0)
