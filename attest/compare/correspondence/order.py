"""Whether a network lists its units in an order, such as by importance, instead of in none.

The exact tests hold where the units of at least one of the two were left in the order that chance gave them. Nested and
pruned networks, and such that were made ready for fast inference, sort their neurons; two of them agree by index
without having anything else in common. Each network shows by itself whether it did so.

References
----------
Wald and Wolfowitz, "An Exact Test for Randomness in the Non-Parametric Case Based on Serial Correlation", 1943 (the
correlation of neighbors).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["IN_ORDER", "REACH", "center_among_neighbors", "is_in_order", "order_z"]

IN_ORDER = 6.0
"""Standard deviations from which on many units count as listed in an order: see ``is_in_order``."""

_WAVES = 4
_LEAST_DIMENSIONS = 2
"""Units less one below which there is no order but the one and its reverse."""

REACH = 16
"""Units on either side that count as a unit's neighbors."""


def is_in_order(features: Sequence[NDArray[np.float64]], least: float = IN_ORDER) -> bool:
    """Whether a network lists its units in an order: from ``least`` on, or the root of their least number in a layer.

    Notes
    -----
    Less of an order cannot matter: where each of two networks owes a share r^2 of what its n units vary in to one trend, the
    two agree by r^2 sqrt(n) standard deviations at most, and r^2 n is about 20 at an order of 6. So few units agree as soon as
    they show an order, and must be suspected of one earlier. Of 4 units in an order of chance one network in 25 is, of 8 one
    in 100, of 16 one in 1,000; both must be for anything to be left out.
    """
    units = [side.shape[0] for side in features if side.shape[0] > _LEAST_DIMENSIONS]
    return bool(units) and order_z(features) >= min(least, math.sqrt(min(units)))


def order_z(features: Sequence[NDArray[np.float64]]) -> float:
    """How far the order of units is from a random one, in standard deviations; the largest of three statistics.

    Parameters
    ----------
    features : sequence of ndarray of shape (n_units, n_features), float64
        One array for each layer, or one for an axis that all layers share.

    Returns
    -------
    float
        Of the features' products with the slowest cosine along the index (it sees a trend), with the four slowest (they
        see blocks), and of the products of neighbors (they see any smooth order). Under a random order each has mean 0
        and variance near 1, over all layers.
    """
    scales = [z for z in map(_order_of_layer, features) if z is not None]
    if not scales:
        return 0.0
    return float(np.max(np.sum(scales, axis=0)) / math.sqrt(len(scales)))


def _order_of_layer(features: NDArray[np.float64]) -> tuple[float, ...] | None:
    """The three statistics of one layer, each in standard deviations; None where nothing varies."""
    n = features.shape[0]
    d = n - 1
    if d < _LEAST_DIMENSIONS:
        return None
    centered = features - features.mean(axis=0)
    spread = centered.T @ centered / d
    expected, squares = float(np.trace(spread)), float(np.sum(spread * spread))
    if not squares > 0:
        return None
    energy = np.cumsum(np.sum((_slow_waves(n) @ centered) ** 2, axis=1))
    varied = max(squares - expected**2 / d, 1e-9 * squares) * 2 * d / ((d - 1) * (d + 2))
    slow = [
        (float(energy[count - 1]) - count * expected) / math.sqrt(count * (d - count) * varied)
        for count in (1, min(_WAVES, d - 1))
    ]
    products = float(np.sum(centered * np.roll(centered, 1, axis=0)))
    return (*slow, (products + expected) / math.sqrt(n * squares))


@lru_cache(maxsize=4)
def _slow_waves(n: int) -> NDArray[np.float64]:
    """The slowest cosines along an index of n, each of length 1, shape (4, n), or one less than n of fewer units."""
    waves: NDArray[np.float64] = np.cos(np.pi * np.outer(np.arange(1, min(_WAVES, n - 1) + 1), np.arange(n) + 0.5) / n)
    return waves * math.sqrt(2 / n)


def center_among_neighbors(features: NDArray[np.float64]) -> NDArray[np.float64]:
    """What is each unit's own: its features less their mean over itself and the 16 units on either side."""
    n = features.shape[0]
    sums = np.concatenate([np.zeros((1, features.shape[1])), np.cumsum(features, axis=0)])
    begin, end = (np.clip(np.arange(n) + shift, 0, n) for shift in (-REACH, REACH + 1))
    centered: NDArray[np.float64] = features - (sums[end] - sums[begin]) / (end - begin)[:, None]
    return centered
