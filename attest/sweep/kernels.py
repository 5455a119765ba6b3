"""Loops over values: integers that add exactly, and sums in one fixed order.

Compiled by numba without fast-math, so that no sum is reordered and no result depends on the machine, the number of
threads, or where blocks are cut. The lock on the interpreter is released while they run.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["LANES", "count_codes", "sum_exponents", "sum_rows"]

Kernel = Callable[..., None]

LANES = 64
"""Interleaved partial sums of one row: column j goes to lane j mod 64, and lanes are added in order."""


def _compiled(function: Kernel) -> Kernel:
    """The function as machine code, kept on disk for the next run where there is a folder for it."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither this package's folder nor the user's can be written
        return njit(nogil=True)(function)


@_compiled
def count_codes(codes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Add the number of occurrences of every 16-bit code.

    Parameters
    ----------
    codes : ndarray of uint16, any shape, contiguous
    counts : ndarray of shape (65536,), int64
        Changed in place.
    """
    flat = codes.reshape(-1)
    even = np.zeros(65536, np.uint32)
    odd = np.zeros(65536, np.uint32)
    whole = flat.size - flat.size % 4
    for word in flat[:whole].view(np.uint64):
        even[word & np.uint64(0xFFFF)] += np.uint32(1)
        odd[(word >> np.uint64(16)) & np.uint64(0xFFFF)] += np.uint32(1)
        even[(word >> np.uint64(32)) & np.uint64(0xFFFF)] += np.uint32(1)
        odd[word >> np.uint64(48)] += np.uint32(1)
    for position in range(whole, flat.size):
        even[flat[position]] += np.uint32(1)
    for code in range(65536):
        counts[code] += np.int64(even[code]) + np.int64(odd[code])


@_compiled
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
    flat = bits.reshape(-1)
    for position in range(flat.size):
        value = np.int64(flat[position])
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
        squares[exponent, 0] += square & np.uint64(0xFFFFFF)
        squares[exponent, 1] += square >> np.uint64(24)
        extremes[0] = min(extremes[0], ordered)
        extremes[1] = max(extremes[1], ordered)


@_compiled
def sum_rows(  # noqa: C901, PLR0912, PLR0913, PLR0917 - one pass over hot bytes fills all of them
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
    widened = np.empty(n_columns, np.uint32)
    singles = widened.view(np.float32)
    values = np.zeros(((n_columns + LANES - 1) // LANES) * LANES, np.float64)
    padded_weights = np.zeros(values.size, np.float64)
    padded_weights[: weights.size] = weights
    lanes = np.empty(LANES, np.float64)
    sketch_lanes = np.empty(LANES, np.float64)
    weighted_lanes = np.empty(LANES, np.float64)
    n_buckets = row_sketch.shape[1]
    for row in range(n_rows):
        line = bits[row]
        for column in range(n_columns):
            widened[column] = np.uint32(line[column]) << np.uint32(shift)
        for column in range(n_columns):
            values[column] = np.float64(singles[column])
        for column in range(n_columns):
            column_squares[column] += values[column] * values[column]
        if signs.size:
            sums = column_sketch[buckets[row]]
            sign = signs[row]
            for column in range(n_columns):
                sums[column] += sign * values[column]
        lanes[:] = 0.0
        for start in range(0, values.size, LANES):
            part = values[start : start + LANES]
            for lane in range(LANES):
                lanes[lane] += part[lane] * part[lane]
        total = 0.0
        for lane in range(LANES):
            total += lanes[lane]
        row_squares[row] = total
        if weights.size:
            sketch_lanes[:] = 0.0
            weighted_lanes[:] = 0.0
            for start in range(0, values.size, LANES):
                part = values[start : start + LANES]
                factors = padded_weights[start : start + LANES]
                for lane in range(LANES):
                    product = part[lane] * factors[lane]
                    sketch_lanes[lane] += product
                    weighted_lanes[lane] += product * product
            total = 0.0
            for lane in range(LANES):
                total += weighted_lanes[lane]
            weighted_squares[row] = total
            for bucket in range(n_buckets):
                total = 0.0
                for lane in range(bucket, LANES, n_buckets):
                    total += sketch_lanes[lane]
                row_sketch[row, bucket] = total
