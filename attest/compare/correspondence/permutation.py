"""The exact permutation test of a correspondence: unit i of one network with unit i of the other.

Two networks trained apart list their hidden units in no common order: initialization is independent and exchangeable,
and training treats all units alike. Under that hypothesis the pairing by index is a uniformly random one, and what a
statistic would be is known exactly, without any assumption on weights, data or size.

References
----------
Hoeffding, "A Combinatorial Central Limit Theorem", Ann. Math. Statist. 22, 1951 (the moments). Zhu, Ahmed, Kuditipudi,
Liang, "Independence Tests for Language Models", ICML 2025, section 3 (the hypothesis). Phipson and Smyth,
"Permutation P-values Should Never Be Zero", 2010 (the estimator).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.order import center_among_neighbors
from attest.compare.digits import signed_digits
from attest.compare.resampling import MAX_RESAMPLES, MIN_RESAMPLES, WORK, public_source, resampled_test
from attest.comparison import LayerStatistic, Test
from attest.cores import on_all_cores
from attest.native import Kernel

__all__ = ["Centered", "Pairing", "layer_statistics", "permutation_test", "sums_of_shifts", "tells_apart"]

_BY_SHIFTS = ", the halves of a random order shifted"
_BATCH = 64
_AT_ONCE = 8
"""Features that are transformed together: few, so that they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Units of one layer in both networks, paired by index; what is computed of them is kept, so there are no slots.

    Parameters
    ----------
    layer : int
        -1 for an axis that all layers share.
    x, y : ndarray of shape (n_units, n_features), float64
        Finite. Row i of ``x`` is paired with row i of ``y``.
    """

    layer: int
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @cached_property
    def centered(self) -> tuple[Centered, Centered]:
        """Both sides around their means; there are two units or more."""
        return Centered.of(self.x), Centered.of(self.y)

    @cached_property
    def statistic(self) -> tuple[float, float]:
        """The statistic, and its standard deviation under the null."""
        mine, theirs = self.centered
        return mine.statistic(theirs)

    def only(self, units: NDArray[np.bool_]) -> Pairing:
        """The pairing of some of the units, given by a mask."""
        return self if units.all() else Pairing(layer=self.layer, x=self.x[units], y=self.y[units])

    @classmethod
    def beside(cls, pairings: Sequence[Pairing]) -> Pairing:
        """One pairing of the units of several layers, to be exchanged together; it is called by the first."""
        if len(pairings) == 1:
            return pairings[0]
        x, y = np.hstack([one.x for one in pairings]), np.hstack([one.y for one in pairings])
        return cls(layer=pairings[0].layer, x=x, y=y)

    def among_neighbors(self) -> Pairing:
        """The pairing of what is each unit's own, without what its neighbors have too."""
        return Pairing(layer=self.layer, x=center_among_neighbors(self.x), y=center_among_neighbors(self.y))


def tells_apart(features: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which units differ from all others of their network, shape (n_units,).

    Sums modulo 2^64 find units that may be the same; those are compared.

    Examples
    --------
    >>> tells_apart(np.array([[1.0, 2.0], [0.0, 0.0], [-0.0, 0.0], [1.0, 3.0]])).tolist()
    [True, False, False, True]
    """
    rows = np.ascontiguousarray(features) + 0.0
    codes = rows.view(np.uint64)
    odd = np.random.Philox(key=0).random_raw(codes.shape[1]) | np.uint64(1)
    apart = ~_repeated(codes @ odd)
    suspects = np.flatnonzero(~apart)
    whole = rows[suspects].view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
    apart[suspects] = ~_repeated(whole)
    return apart


def _repeated(values: NDArray[Any]) -> NDArray[np.bool_]:
    ordered = np.sort(values)
    if not (ordered[1:] == ordered[:-1]).any():
        return np.zeros(values.size, bool)
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    repeated: NDArray[np.bool_] = counts[which] > 1
    return repeated


def layer_statistics(pairings: Sequence[Pairing]) -> tuple[LayerStatistic, ...]:
    """Statistic and z of each pairing by itself; those that do not vary are left out."""
    standardized = [(one, *one.statistic) for one in pairings if one.x.shape[0] > 1]
    return tuple(
        LayerStatistic(
            layer=one.layer, n=one.x.shape[0], statistic=signed_digits(statistic), z=signed_digits(statistic / spread)
        )
        for one, statistic, spread in standardized
        if spread > 0
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Centered:
    """Features of one network's units around their mean, shape (n_units, n_features), and their sums of products."""

    values: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, features: NDArray[np.float64]) -> Centered:
        """Centered features; there are two units or more."""
        values = np.ascontiguousarray(features - features.mean(axis=0))
        return cls(values=values, products=values.T @ values)

    def statistic(self, other: Centered) -> tuple[float, float]:
        """Statistic of the pairing by index, and its standard deviation under the null."""
        variance = float(np.sum(self.products * other.products)) / (self.values.shape[0] - 1)
        return float(np.einsum("ij,ij->", self.values, other.values)), math.sqrt(max(variance, 0.0))

    def z(self, other: Centered) -> float | None:
        """Statistic in standard deviations; None where one of the two does not vary."""
        statistic, spread = self.statistic(other)
        return statistic / spread if spread > 0 else None


def permutation_test(
    test_id: str, pairings: Sequence[Pairing], *, seed: str, method: str, note: str,
    max_resamples: int = MAX_RESAMPLES, exchanged: bool = False,
) -> Test | None:  # fmt: skip
    """Test whether units correspond by index.

    Parameters
    ----------
    test_id : str
    pairings : sequence of Pairing
        Permuted independently of each other; put what shares an axis into one.
    seed : str
        Public text that fixes the resamples.
    method : str
        What is permuted, in words.
    note : str
    max_resamples : int
        At least 999.
    exchanged : bool
        Whether the units of x are drawn anew, and not those of y.

    Returns
    -------
    Test or None
        None where no pairing varies. z is Stouffer's sum of the pairings' standardized statistics: mean 0 and variance 1
        under the null, exactly.

    Notes
    -----
    With features centered over units, T = sum_i <x_i, y_i> has mean 0 and variance
    tr((X'X)(Y'Y)) / (n - 1) over all n! pairings; z = T / sqrt(variance). Resamples come from Philox-4x64 keyed by
    SHA-256 of the seed and Fisher and Yates' shuffle; where that takes too long, from shifts along shuffled
    orders, a group of pairings over which the test is exact too.

    References
    ----------
    Hemerik and Goeman, "Exact testing with random permutations", TEST 27, 2018, section 3 (subgroups).
    """
    usable = [one for one in pairings if one.x.shape[0] > 1 and one.statistic[1] > 0]
    if not usable:
        return None
    resamples = max(MIN_RESAMPLES, max_resamples)
    by_shifts = resamples * sum(one.x.size for one in usable) > WORK
    scale = math.sqrt(len(usable))
    observed = sum(statistic / spread for statistic, spread in (one.statistic for one in usable)) / scale
    null = np.zeros(resamples)

    def draw(one: Pairing) -> NDArray[np.float64]:
        x, y = (side.values for side in (one.centered[::-1] if exchanged else one.centered))
        return (_shift if by_shifts else _resample)(x, y, resamples, f"{seed} {one.layer}")

    for one, sums in zip(usable, on_all_cores(draw, usable), strict=True):
        null += sums / (one.statistic[1] * scale)
    sizes = [one.x.shape[0] for one in usable]
    return resampled_test(
        test_id,
        observed,
        null,
        least=_fewest_pairings(sizes, by_shifts=by_shifts),
        n=sum(sizes),
        layers=layer_statistics(usable),
        method=f"{method}{_BY_SHIFTS if by_shifts else ''}",
        seed=seed,
        note=note,
    )


def _fewest_pairings(sizes: Sequence[int], *, by_shifts: bool) -> float:
    """Chance of the identity among all pairings that are drawn from: no permutation test can give less."""
    if by_shifts:
        return 1 / math.prod((n // 2) * (n - n // 2) for n in sizes)
    return math.exp(-sum(math.lgamma(n + 1) for n in sizes))


def _resample(x: NDArray[np.float64], y: NDArray[np.float64], resamples: int, seed: str) -> NDArray[np.float64]:
    """Statistic of ``resamples`` random pairings."""
    source = public_source(seed)
    order = np.arange(x.shape[0])
    sums, lanes = np.empty(resamples), np.empty(x.shape[1])
    for begin in range(0, resamples, _BATCH):
        here = sums[begin : begin + _BATCH]
        draws = source.random_raw(here.size * order.size) >> np.uint64(32)
        _SHUFFLE_AND_SUM(x, y, order.size, x.shape[1], draws, order, lanes, here, here.size)
    return sums


def _shift(x: NDArray[np.float64], y: NDArray[np.float64], resamples: int, seed: str) -> NDArray[np.float64]:
    """Statistic of ``resamples`` random shifts of both halves of one random order of the units.

    Notes
    -----
    Within a half of n units, unit half[i] is paired with unit half[(i + shift) mod n]. A Fourier transform gives the
    sums of all n shifts at the cost of a few resamples.
    """
    source, order = public_source(seed), np.arange(x.shape[0])
    draws = source.random_raw(order.size) >> np.uint64(32)
    _SHUFFLE_AND_SUM(x, y, order.size, x.shape[1], draws, order, np.empty(x.shape[1]), np.empty(1), 1)
    total = np.zeros(resamples)
    for half in _halves(order):
        sums = sums_of_shifts(np.take(x, half, axis=0), np.take(y, half, axis=0))
        shifts = ((source.random_raw(resamples) >> np.uint64(32)) * np.uint64(half.size)) >> np.uint64(32)
        total += sums[shifts.astype(np.int64)]
    return total


def _halves(order: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return order[: order.size // 2], order[order.size // 2 :]


def sums_of_shifts(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over i of the inner products of row i of x and row i + s of y, cyclically, for every s."""
    spectrum = np.zeros(x.shape[0] // 2 + 1, np.complex128)
    for begin in range(0, x.shape[1], _AT_ONCE):
        features = slice(begin, begin + _AT_ONCE)
        one, other = (np.fft.rfft(np.ascontiguousarray(side[:, features].T)) for side in (x, y))
        spectrum += np.einsum("ij,ij->j", one.conj(), other)
    return np.fft.irfft(spectrum, x.shape[0])


def _shuffle_and_sum(  # noqa: PLR0913, PLR0917 - a compiled loop takes addresses and sizes
    x: Any, y: Any, n: int, width: int, draws: Any, order: Any, lanes: Any, sums: Any, resamples: int
) -> None:
    for resample in range(resamples):
        for position in range(n - 1, 0, -1):
            other = np.int64((draws[resample * n + position] * np.uint64(position + 1)) >> np.uint64(32))
            order[position], order[other] = order[other], order[position]
        for feature in range(width):
            lanes[feature] = 0.0
        for unit in range(n):
            mine, theirs = unit * width, order[unit] * width
            for feature in range(width):
                lanes[feature] += x[mine + feature] * y[theirs + feature]
        total = 0.0
        for feature in range(width):
            total += lanes[feature]
        sums[resample] = total


_SHUFFLE_AND_SUM = Kernel(
    _shuffle_and_sum, "float64*", "float64*", "int64", "int64", "uint64*", "int64*", "float64*", "float64*", "int64"
)
