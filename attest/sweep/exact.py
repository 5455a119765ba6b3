"""Exact power sums of floating-point values, and the moments that follow from them.

Every finite binary float is an integer times a power of two. Sums of values and of their powers are therefore kept as
integers; moments are ratios of such integers and are rounded once, when they are turned into a float.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["ExactSums", "sqrt_ratio", "sums_of_exponents"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ExactSums:
    r"""What is known exactly of a tensor's finite values.

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
    multiset : str or None
        SHA-256 over ``"attest multiset v1\n"`` and, for every value that occurs, its 8 bytes as binary64 and its
        number of occurrences as 8 bytes, both little-endian, values ascending, -0 counted as 0 and NaN last, as
        0x7FF8000000000000. Equal for the same numbers in another order, shape or wider dtype. None where values
        were not counted one by one.
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
    multiset: str | None

    def mean(self) -> float:
        """Arithmetic mean, rounded once; 0 without values."""
        return self.powers[0] / (self.n << self.scale) if self.n else 0.0

    def _central(self, order: int) -> int:
        """Central moment of order 2, 3 or 4 with denominator n, times n**order, in units of 2**(-order * scale)."""
        n, (first, second, *higher) = self.n, self.powers
        if order == 2:
            return n * second - first**2
        if order == 3:
            return n**2 * higher[0] - 3 * n * first * second + 2 * first**3
        return n**3 * higher[1] - 4 * n**2 * first * higher[0] + 6 * n * first**2 * second - 3 * first**4

    def std(self, *, exponent: int = 0) -> float:
        """Standard deviation with denominator n - 1 (as ``torch.std`` has it) in units of 2**exponent, rounded once.

        0 for fewer than two values. In units of 1 it can leave binary64, by less than a factor of 2: then it is infinite.
        Mean, quantiles, skewness and kurtosis cannot.
        """
        if self.n < 2:
            return 0.0
        return sqrt_ratio(self._central(2), (self.n * (self.n - 1)) << (2 * (self.scale + exponent)))

    def skewness(self) -> float | None:
        """Third standardized moment m3 / m2**1.5; None where not counted or all values are equal."""
        if len(self.powers) < 4 or self.n < 2 or not (second := self._central(2)):
            return None
        third = self._central(3)
        return math.copysign(sqrt_ratio(third**2, second**3), third)

    def excess_kurtosis(self) -> float | None:
        """Fourth standardized moment m4 / m2**2 minus 3; None where not counted or all values are equal."""
        if len(self.powers) < 4 or self.n < 2 or not (second := self._central(2)):
            return None
        square = second**2
        return (self._central(4) - 3 * square) / square


def sqrt_ratio(numerator: int, denominator: int) -> float:
    """Square root of a ratio that is not negative, to the last bit of binary64 but for the rarest ties; infinite beyond.

    The ratio is reduced first: what becomes of a tie depends on how many bits the two have.
    """
    if not numerator:
        return 0.0
    common = math.gcd(numerator, denominator)
    numerator, denominator = numerator // common, denominator // common
    shift = max(0, 64 - (numerator.bit_length() - denominator.bit_length()) // 2)
    root = math.isqrt((numerator << (2 * shift)) // denominator)
    try:
        return root / (1 << shift)
    except OverflowError:
        return math.inf


def sums_of_exponents(
    n: int,
    signed: NDArray[np.int64],
    squares: NDArray[np.uint64],
    counts: NDArray[np.int64],
    extremes: NDArray[np.int64],
) -> ExactSums:
    """Sums from what ``sum_exponents`` collected, in the shapes that it names, over ``n`` values.

    They are binary64 where there are 2,048 exponents, else binary32.
    """
    wide = len(signed) == 2048
    digit = 27 if wide else 24
    zeros, nans, infinities = (int(count) for count in counts)
    first = second = 0
    for exponent in np.flatnonzero(signed.any(axis=1) | squares.any(axis=1)).tolist():
        shift = max(exponent - 1, 0)
        first += _digits(signed[exponent], digit) << shift
        second += _digits(squares[exponent], digit) << (2 * shift)
    finite = n - nans - infinities
    return ExactSums(
        n=finite,
        powers=(first, second),
        scale=1074 if wide else 149,
        zeros=zeros,
        nans=nans,
        infinities=infinities,
        minimum=_ordered(int(extremes[0]), wide=wide) if finite else None,
        maximum=_ordered(int(extremes[1]), wide=wide) if finite else None,
        quantiles=None,
        distinct=None,
        multiset=None,
    )


def _digits(sums: NDArray[Any], digit: int) -> int:
    """Integer from sums of its digits, the least significant first, of so many bits."""
    return sum(int(one) << (digit * position) for position, one in enumerate(sums.tolist()))


def _ordered(ordered: int, *, wide: bool) -> float:
    """Value of a float given as an integer in the order of the values."""
    kinds = (np.uint64, np.float64) if wide else (np.uint32, np.float32)
    magnitude = float(np.array([abs(ordered)], kinds[0]).view(kinds[1])[0])
    return -magnitude if ordered < 0 else magnitude
