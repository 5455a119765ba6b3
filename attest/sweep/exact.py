"""Exact power sums of floating-point values, and the moments that follow from them.

Every finite binary float is an integer times a power of two. Sums of values and of their powers are therefore kept as
integers; moments are ratios of such integers and are rounded once, when they are turned into a float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactSums", "sqrt_fraction", "sums_of_codes", "sums_of_exponents"]

_QUANTILES = (Fraction(1, 1000), Fraction(1, 100), Fraction(1, 4), Fraction(1, 2), Fraction(3, 4), Fraction(99, 100),
              Fraction(999, 1000))  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactSums:
    """What is known exactly of a tensor's finite values.

    Parameters
    ----------
    n : int
        Finite values.
    powers : tuple of int
        Sum of the k-th powers of the values times 2**(k * scale), for k = 1, 2 (and 3, 4 where counted).
    scale : int
        Exponent of the unit.
    zeros, nans, infinities : int
    minimum, maximum : float or None
        None without finite values.
    quantiles : tuple of float or None
        At 0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999: the least value that at least this share of the values does
        not exceed. None where values were not counted one by one.
    distinct : int or None
        Distinct finite values, -0 and 0 being one.
    """

    n: int
    powers: tuple[int, ...]
    scale: int
    zeros: int
    nans: int
    infinities: int
    minimum: float | None
    maximum: float | None
    quantiles: tuple[float, ...] | None
    distinct: int | None

    def mean(self) -> Fraction:
        """Arithmetic mean; 0 without values."""
        return Fraction(self.powers[0], self.n) / 2**self.scale if self.n else Fraction(0)

    def central(self, order: int) -> Fraction:
        """Central moment of order 2, 3 or 4 with denominator n, in units of 2**(-order * scale)."""
        n = self.n
        raw = [Fraction(1), *(Fraction(power, n) for power in self.powers)]
        mean = raw[1]
        terms = (math.comb(order, k) * raw[k] * Fraction((-mean) ** (order - k)) for k in range(order + 1))
        return Fraction(sum(terms))

    def variance(self) -> Fraction:
        """Variance with denominator n - 1 (as ``torch.std`` has it); 0 for fewer than two values."""
        if self.n < 2:
            return Fraction(0)
        return self.central(2) * Fraction(self.n, (self.n - 1) << (2 * self.scale))

    def std(self) -> float:
        """Standard deviation, rounded once."""
        return sqrt_fraction(self.variance())

    def skewness(self) -> float | None:
        """Third standardized moment m3 / m2**1.5; None where not counted or all values are equal."""
        if len(self.powers) < 4 or self.n < 2 or not self.central(2):
            return None
        third = self.central(3)
        return math.copysign(sqrt_fraction(third * third / self.central(2) ** 3), third)

    def excess_kurtosis(self) -> float | None:
        """Fourth standardized moment m4 / m2**2 minus 3; None where not counted or all values are equal."""
        if len(self.powers) < 4 or self.n < 2 or not self.central(2):
            return None
        return float(self.central(4) / self.central(2) ** 2 - 3)


def sqrt_fraction(value: Fraction) -> float:
    """Square root of a non-negative fraction, to the last bit of binary64 but for the rarest ties."""
    if not value:
        return 0.0
    shift = max(0, 64 - (value.numerator.bit_length() - value.denominator.bit_length()) // 2)
    root = math.isqrt((value.numerator << (2 * shift)) // value.denominator)
    return float(Fraction(root, 1 << shift))


def sums_of_codes(counts: NDArray[np.int64], *, significand_bits: int) -> ExactSums:
    """Sums from the number of occurrences of every 16-bit code.

    Parameters
    ----------
    counts : ndarray of shape (65536,), int64
        At most 2**40 in all.
    significand_bits : int
        Explicit bits: 7 for BF16, 10 for F16.

    Returns
    -------
    ExactSums
        With powers up to the fourth, quantiles and distinct values.
    """
    exponents = 1 << (15 - significand_bits)
    scale = exponents // 2 - 2 + significand_bits
    signs = counts.reshape(2, 32768)
    infinity = (exponents - 1) << significand_bits
    seen = np.flatnonzero(signs[:, :infinity].any(axis=0))
    positive, negative = signs[:, seen]
    significands = seen & ((1 << significand_bits) - 1)
    significands[seen >= 1 << significand_bits] += 1 << significand_bits
    shifts = np.maximum(seen >> significand_bits, 1) - 1
    magnitudes = np.ldexp(significands.astype(np.float64), shifts - scale)
    ordered = np.concatenate([-magnitudes[::-1], magnitudes])
    tally = np.concatenate([negative[::-1], positive])
    ordered, tally = ordered[tally > 0], tally[tally > 0]
    n = int(tally.sum())
    return ExactSums(
        n=n,
        powers=tuple(_power_sum(positive, negative, significands, shifts, power) for power in (1, 2, 3, 4)),
        scale=scale,
        zeros=int(signs[:, 0].sum()),
        nans=int(signs[:, infinity + 1 :].sum()),
        infinities=int(signs[:, infinity].sum()),
        minimum=float(ordered[0]) + 0.0 if n else None,
        maximum=float(ordered[-1]) + 0.0 if n else None,
        quantiles=_quantiles(ordered, tally, n) if n else None,
        distinct=len(ordered) - int(bool(signs[0, 0]) and bool(signs[1, 0])),
    )


def _power_sum(
    positive: NDArray[np.int64],
    negative: NDArray[np.int64],
    significands: NDArray[np.int64],
    shifts: NDArray[np.int64],
    power: int,
) -> int:
    """Sum of the values' powers as an integer; products are split so that 64 bits hold every partial sum.

    ``shifts`` ascend: what has one shift is added in 64 bits, and the sums as integers of any length.
    """
    if not shifts.size:
        return 0
    counts = positive - negative if power % 2 else positive + negative
    powers = significands**power
    firsts = np.flatnonzero(np.diff(shifts, prepend=-1))
    total = 0
    for half, bits in ((powers & 0x3FFFFF, 0), (powers >> 22, 22)):
        low = np.add.reduceat(half * (counts & 0xFFFFF), firsts).tolist()
        high = np.add.reduceat(half * (counts >> 20), firsts).tolist()
        for shift, lower, upper in zip(shifts[firsts].tolist(), low, high, strict=True):
            total += (lower + (upper << 20)) << (bits + power * shift)
    return total


def _quantiles(ordered: NDArray[np.float64], tally: NDArray[np.int64], n: int) -> tuple[float, ...]:
    cumulative = np.cumsum(tally)
    ranks = [math.ceil(share * n) for share in _QUANTILES]
    return tuple(float(ordered[np.searchsorted(cumulative, max(rank, 1))]) + 0.0 for rank in ranks)


def sums_of_exponents(
    n: int,
    signed: NDArray[np.int64],
    squares: NDArray[np.uint64],
    counts: NDArray[np.int64],
    extremes: NDArray[np.int64],
) -> ExactSums:
    """Sums from what ``sum_exponents`` collected over ``n`` binary32 values."""
    zeros, nans, infinities = (int(count) for count in counts)
    first = second = 0
    for exponent in range(255):
        shift = max(exponent - 1, 0)
        first += int(signed[exponent]) << shift
        second += (int(squares[exponent, 0]) + (int(squares[exponent, 1]) << 24)) << (2 * shift)
    finite = n - nans - infinities
    return ExactSums(
        n=finite,
        powers=(first, second),
        scale=149,
        zeros=zeros,
        nans=nans,
        infinities=infinities,
        minimum=_binary32(int(extremes[0])) if finite else None,
        maximum=_binary32(int(extremes[1])) if finite else None,
        quantiles=None,
        distinct=None,
    )


def _binary32(ordered: int) -> float:
    """Value of a binary32 given as an integer in the order of the values."""
    magnitude = float(np.array(abs(ordered), np.uint32).view(np.float32))
    return -magnitude if ordered < 0 else magnitude
