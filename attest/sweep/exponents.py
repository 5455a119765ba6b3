"""Exact sums of binary32 and binary64 values and of their squares, as integers that stand beside exponents.

A value is its significand, an integer, in the unit of its exponent. Sums are kept as such integers, some for each
exponent, and ``attest.sweep.exact`` adds them up once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel, expect_shape

__all__ = ["TILE", "sum_exponents"]

TILE = 1024
"""Values of binary32 that are brought to one unit where they lie near one another."""

_INTEGERS, _SIGNED_INTEGERS = 2.0**52, 1.5 * 2.0**52
"""Added to an integer, leave it in the low bits of the float: of 52 bits, and of 51 with a sign."""
_SIGNED_ZERO = int(np.float64(_SIGNED_INTEGERS).view(np.int64))


def sum_exponents(
    bits: NDArray[Any],
    signed: NDArray[np.int64],
    squares: NDArray[np.uint64],
    counts: NDArray[np.int64],
    extremes: NDArray[np.int64],
) -> None:
    """Add values and their squares, in units of exponents; exact for up to 2**35 values.

    Parameters
    ----------
    bits : ndarray of uint32 or uint64, any shape, contiguous
        Binary32 or binary64 values.
    signed : ndarray of shape (256, 1) or (2048, 2), int64
        Digits of sums of values in units of each exponent's least significant bit. Binary64 has two, of 27 bits, the
        less significant first.
    squares : ndarray of shape (256, 2) or (2048, 4), uint64
        Digits of sums of squares in units of the square of that bit, the least significant first, of 24 or 27 bits.
    counts : ndarray of shape (3,), int64
        Zeros, NaNs, infinities.
    extremes : ndarray of shape (2,), int64
        Least and greatest finite value, as integers in the order of the values.

    Notes
    -----
    Where tiles of binary32 begin depends on how the values are cut into blocks, and so does the exponent beside which
    a part of a sum stands. The sums do not.
    """
    wide = bits.itemsize == 8
    n_exponents = 2048 if wide else 256
    for array, shape in (
        (signed, (n_exponents, 2 if wide else 1)),
        (squares, (n_exponents, 4 if wide else 2)),
        (counts, (3,)),
        (extremes, (2,)),
    ):
        expect_shape(array, shape)
    sums = (bits, bits.size, signed, squares, counts, extremes)
    if wide:
        _SUM_64(*sums)
        return
    far = np.zeros(1 + -(-bits.size // TILE), np.int64)
    _SUM_NEAR(*sums, far)
    if far[0]:
        _SUM_FAR(*sums, far, np.empty(256, np.uint64))


def _sum_near(bits: Any, n: int, signed: Any, squares: Any, counts: Any, extremes: Any, far: Any) -> None:
    """Sum tiles of normal values whose exponents span at most 25, zeros aside, and list where the others begin.

    The values of a tile become integers of at most 48 bits in the unit of its exponent ``bottom``. The low 24 bits of
    their sum stand beside that exponent and the rest beside the one 24 above, which is at most 254; so do squares.
    Floats hold such integers exactly; values that are not normal are left out, since a processor can be told to take
    them for zeros.

    Notes
    -----
    Nothing overflows: over the 2**10 values of a tile ``first``, ``lows``, ``crosses`` and ``highs`` stay below 2**58
    and twice ``crosses`` below 2**59. For each of its values a tile adds at most 2**24 to an entry of ``signed`` and
    2**26 to one of ``squares``, whichever digits come to stand there: 2**59 and 2**61 over 2**35 values.
    """
    digit, width = np.uint64(0xFFFFFF), np.uint64(24)
    for begin in range(0, n, TILE):
        end = min(begin + TILE, n)
        least: Any = np.int32(0x7FFFFFFF)
        greatest: Any = np.int32(-0x7FFFFFFF)
        nearest_zero: Any = np.int32(0x7FFFFFFF)
        zeros: Any = np.int32(0)
        for position in range(begin, end):
            code: Any = np.int32(bits[position])
            magnitude, sign = np.int32(code & 0x7FFFFFFF), np.int32(code >> 31)
            ordered = np.int32((magnitude ^ sign) - sign)
            least, greatest = min(least, ordered), max(greatest, ordered)
            nearest_zero = min(nearest_zero, np.int32((magnitude - 1) & 0x7FFFFFFF))
            zeros = np.int32(zeros + (magnitude == 0))
        top = max(greatest, -least) >> 23
        bottom = max(1, top - 24)
        if top == 255 or nearest_zero + 1 < bottom << 23:
            far[0] += 1
            far[far[0]] = begin
            continue
        unit = np.uint64((1023 + 150 - bottom) << 52).view(np.float64)
        first = np.int64(0)
        lows, crosses, highs = np.uint64(0), np.uint64(0), np.uint64(0)
        for position in range(begin, end):
            value = np.float64(np.uint32(bits[position]).view(np.float32)) * unit
            first += np.float64(value + _SIGNED_INTEGERS).view(np.int64) - _SIGNED_ZERO
            fixed = np.float64(abs(value) + _INTEGERS).view(np.uint64)
            low, high = fixed & digit, (fixed >> width) & digit
            lows += low * low
            crosses += low * high
            highs += high * high
        crosses += crosses
        signed[bottom] += first & 0xFFFFFF
        signed[bottom + 24] += first >> 24
        squares[2 * bottom] += lows & digit
        squares[2 * bottom + 1] += (lows >> width) + (crosses & digit)
        squares[2 * (bottom + 24)] += (crosses >> width) + (highs & digit)
        squares[2 * (bottom + 24) + 1] += highs >> width
        counts[0] += zeros
        extremes[0], extremes[1] = min(extremes[0], least), max(extremes[1], greatest)


def _sum_far(
    bits: Any, n: int, signed: Any, squares: Any, counts: Any, extremes: Any, far: Any, partial: Any
) -> None:  # fmt: skip
    """Sum the tiles that ``far`` lists; ``partial`` holds the squares of 2**15 values, below 2**63."""
    least, greatest = extremes[0], extremes[1]
    zeros = nans = infinities = 0
    for group in range(1, far[0] + 1, 32):
        for exponent in range(256):
            partial[exponent] = 0
        for place in range(group, min(group + 32, far[0] + 1)):
            for position in range(far[place], min(far[place] + TILE, n)):
                value: Any = np.int64(bits[position])
                magnitude = value & 0x7FFFFFFF
                exponent = magnitude >> 23
                if exponent == 255:
                    if magnitude & 0x7FFFFF:
                        nans += 1
                    else:
                        infinities += 1
                    continue
                significand = magnitude & 0x7FFFFF
                if exponent:
                    significand |= 0x800000
                elif not magnitude:
                    zeros += 1
                sign = -(value >> 31)
                ordered = (magnitude ^ sign) - sign
                least, greatest = min(least, ordered), max(greatest, ordered)
                signed[exponent] += (significand ^ sign) - sign
                partial[exponent] += np.uint64(significand * significand)
        for exponent in range(256):
            squares[2 * exponent] += partial[exponent] & np.uint64(0xFFFFFF)
            squares[2 * exponent + 1] += partial[exponent] >> np.uint64(24)
    extremes[0], extremes[1] = least, greatest
    counts[0] += zeros
    counts[1] += nans
    counts[2] += infinities


def _sum_64(bits: Any, n: int, signed: Any, squares: Any, counts: Any, extremes: Any) -> None:
    for position in range(n):
        value: Any = np.int64(bits[position])
        magnitude = value & 0x7FFFFFFFFFFFFFFF
        exponent = magnitude >> 52
        if exponent == 2047:
            counts[1 if magnitude & 0xFFFFFFFFFFFFF else 2] += 1
            continue
        if magnitude == 0:
            counts[0] += 1
        significand = magnitude & 0xFFFFFFFFFFFFF
        if exponent:
            significand |= 0x10000000000000
        low, high = significand & 0x7FFFFFF, significand >> 27
        ordered = magnitude if value >= 0 else -magnitude
        signed[2 * exponent] += low if value >= 0 else -low
        signed[2 * exponent + 1] += high if value >= 0 else -high
        squares[4 * exponent] += np.uint64((low * low) & 0x7FFFFFF)
        squares[4 * exponent + 1] += np.uint64(((low * low) >> 27) + ((2 * low * high) & 0x7FFFFFF))
        squares[4 * exponent + 2] += np.uint64(((2 * low * high) >> 27) + ((high * high) & 0x7FFFFFF))
        squares[4 * exponent + 3] += np.uint64((high * high) >> 27)
        extremes[0] = min(extremes[0], ordered)
        extremes[1] = max(extremes[1], ordered)


_SUMS = ("int64", "int64*", "uint64*", "int64*", "int64*")
_SUM_NEAR = Kernel(_sum_near, "uint32*", *_SUMS, "int64*")
_SUM_FAR = Kernel(_sum_far, "uint32*", *_SUMS, "int64*", "uint64*")
_SUM_64 = Kernel(_sum_64, "uint64*", *_SUMS)
