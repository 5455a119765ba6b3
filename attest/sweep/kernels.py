"""Loops over values: integers that add exactly, and sums in one fixed order.

No sum is reordered by the compiler, and so no result depends on the machine, the number of threads, or where blocks
are cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["LANES", "count_codes", "sum_exponents", "sum_rows"]

LANES = 64
"""Interleaved partial sums of one row: column j goes to lane j mod 64, and lanes are added in order."""

_TILE = 1024
"""Columns that are worked on at once, so that their values stay in the nearest cache; a multiple of ``LANES``."""


def count_codes(codes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Add the number of occurrences of every 16-bit code.

    Parameters
    ----------
    codes : ndarray of uint16, any shape, contiguous
    counts : ndarray of shape (65536,), int64
        Changed in place.
    """
    _expect(counts, (65536,))
    _COUNT_CODES(codes, codes.size, counts)


def sum_exponents(
    bits: NDArray[Any],
    signed: NDArray[np.int64],
    squares: NDArray[np.uint64],
    counts: NDArray[np.int64],
    extremes: NDArray[np.int64],
) -> None:
    """Add significands and their squares, apart for every exponent; exact for up to 2**39 values.

    Parameters
    ----------
    bits : ndarray of uint32, any shape, contiguous
        Binary32 values.
    signed : ndarray of shape (256,), int64
        Sums of signed 24-bit significands.
    squares : ndarray of shape (256, 2), uint64
        Sums of the low 24 bits and of the high 24 bits of squared significands.
    counts : ndarray of shape (3,), int64
        Zeros, NaNs, infinities.
    extremes : ndarray of shape (2,), int64
        Least and greatest finite value, as integers in the order of the values.
    """
    for array, shape in ((signed, (256,)), (squares, (256, 2)), (counts, (3,)), (extremes, (2,))):
        _expect(array, shape)
    _SUM_EXPONENTS(bits, bits.size, signed, squares, counts, extremes)


def sum_rows(  # noqa: PLR0913, PLR0917 - one pass over hot bytes fills all of them
    bits: NDArray[Any],
    shift: int,
    weights: NDArray[np.float64],
    signs: NDArray[np.float64],
    buckets: NDArray[np.int64],
    row_squares: NDArray[np.float64],
    weighted_squares: NDArray[np.float64],
    row_sketch: NDArray[np.float64],
    column_squares: NDArray[np.float64],
    column_sketch: NDArray[np.float64],
) -> None:
    """Sums along rows and columns of a block of a matrix, in float64 and one fixed order.

    Parameters
    ----------
    bits : ndarray of shape (n_rows, n_columns), uint16 or uint32
        BF16 with ``shift`` 16, or binary32 with ``shift`` 0.
    weights : ndarray of shape (n_columns,) or (0,)
        Signed weights for the row sketch; none is made where empty.
    signs, buckets : ndarray of shape (n_rows,) or (0,)
        Sign and bucket of every row for the column sketch; none is made where empty.
    row_squares : ndarray of shape (n_rows,)
        Becomes the sum of squares of each row.
    weighted_squares : ndarray of shape (n_rows,) or (0,)
        Becomes the sum of squares of each row times ``weights``.
    row_sketch : ndarray of shape (n_rows, n_buckets) or (0, n_buckets)
        Becomes the sum of each row times ``weights`` over the columns j with j mod n_buckets = bucket.
        ``n_buckets`` divides 64.
    column_squares : ndarray of shape (n_columns,)
        Sums of squares of each column, added to, row after row.
    column_sketch : ndarray of shape (n_buckets, n_columns) or (n_buckets, 0)
        Signed sums of rows, added to, row after row.
    """
    n_rows, n_columns = bits.shape
    if not n_rows:
        return
    n_buckets = row_sketch.shape[1]
    n_weighted = n_rows if weights.size else 0
    for array, shape in (
        (weights, (n_columns if weights.size else 0,)),
        (signs, (n_rows if signs.size else 0,)),
        (buckets, signs.shape),
        (row_squares, (n_rows,)),
        (weighted_squares, (n_weighted,)),
        (row_sketch, (n_weighted, n_buckets)),
        (column_squares, (n_columns,)),
        (column_sketch, (n_buckets, n_columns if signs.size else 0)),
    ):
        _expect(array, shape)
    if LANES % n_buckets or (buckets.size and not 0 <= int(buckets.min()) <= int(buckets.max()) < n_buckets):
        raise ValueError(f"{n_buckets} buckets")
    padded = np.zeros(-(-n_columns // LANES) * LANES if weights.size else 0)
    padded[: weights.size] = weights
    widened = np.zeros(_TILE, np.uint32)
    (_SUM_ROWS_16 if bits.dtype == np.uint16 else _SUM_ROWS_32)(
        bits, n_rows, n_columns, shift, padded, padded.size, signs, buckets, signs.size, n_buckets, row_squares,
        weighted_squares, row_sketch, column_squares, column_sketch, widened, widened.view(np.float32),
        np.zeros(_TILE), np.zeros(3 * LANES),
    )  # fmt: skip


def _expect(array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"shape {array.shape}, expected {shape}")


def _count(codes: Any, n: int, counts: Any) -> None:
    for position in range(n):
        counts[codes[position]] += 1


def _sum(bits: Any, n: int, signed: Any, squares: Any, counts: Any, extremes: Any) -> None:
    for position in range(n):
        value = np.int64(bits[position])
        magnitude = value & 0x7FFFFFFF
        exponent = magnitude >> 23
        if exponent == 255:
            counts[1 if magnitude & 0x7FFFFF else 2] += 1
            continue
        if magnitude == 0:
            counts[0] += 1
        significand = magnitude & 0x7FFFFF
        if exponent:
            significand |= 0x800000
        ordered = magnitude if value < 0x80000000 else -magnitude
        signed[exponent] += significand if value < 0x80000000 else -significand
        square = np.uint64(significand) * np.uint64(significand)
        squares[2 * exponent] += square & np.uint64(0xFFFFFF)
        squares[2 * exponent + 1] += square >> np.uint64(24)
        extremes[0] = min(extremes[0], ordered)
        extremes[1] = max(extremes[1], ordered)


def _sum_along(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one pass over hot bytes fills all of them
    bits: Any, n_rows: int, n_columns: int, shift: int, weights: Any, n_weights: int, signs: Any, buckets: Any,
    n_signs: int, n_buckets: int, row_squares: Any, weighted_squares: Any, row_sketch: Any, column_squares: Any,
    column_sketch: Any, widened: Any, singles: Any, values: Any, lanes: Any,
) -> None:  # fmt: skip
    for row in range(n_rows):
        for lane in range(3 * LANES):
            lanes[lane] = 0.0
        for begin in range(0, n_columns, _TILE):
            here = row * n_columns + begin
            width = min(_TILE, n_columns - begin)
            padded_width = (width + LANES - 1) // LANES * LANES
            for column in range(width):
                widened[column] = np.uint32(bits[here + column]) << np.uint32(shift)
            for column in range(width):
                values[column] = np.float64(singles[column])
            for column in range(width, padded_width):
                values[column] = 0.0
            for column in range(width):
                column_squares[begin + column] += values[column] * values[column]
            if n_signs:
                sign = signs[row]
                sums = buckets[row] * n_columns + begin
                for column in range(width):
                    column_sketch[sums + column] += sign * values[column]
            for start in range(0, padded_width, LANES):
                for lane in range(LANES):
                    lanes[lane] += values[start + lane] * values[start + lane]
            if n_weights:
                for start in range(0, padded_width, LANES):
                    for lane in range(LANES):
                        product = values[start + lane] * weights[begin + start + lane]
                        lanes[LANES + lane] += product
                        lanes[2 * LANES + lane] += product * product
        total = 0.0
        for lane in range(LANES):
            total += lanes[lane]
        row_squares[row] = total
        if n_weights:
            total = 0.0
            for lane in range(LANES):
                total += lanes[2 * LANES + lane]
            weighted_squares[row] = total
            for bucket in range(n_buckets):
                total = 0.0
                for lane in range(bucket, LANES, n_buckets):
                    total += lanes[LANES + lane]
                row_sketch[row * n_buckets + bucket] = total


_COUNT_CODES = Kernel(_count, "uint16*", "int64", "int64*")
_SUM_EXPONENTS = Kernel(_sum, "uint32*", "int64", "int64*", "uint64*", "int64*", "int64*")
_AFTER_BITS = (
    *("int64",) * 3, "float64*", "int64", "float64*", "int64*", "int64", "int64", *("float64*",) * 5, "uint32*",
    "float32*", "float64*", "float64*",
)  # fmt: skip
_SUM_ROWS_16 = Kernel(_sum_along, "uint16*", *_AFTER_BITS)
_SUM_ROWS_32 = Kernel(_sum_along, "uint32*", *_AFTER_BITS)
