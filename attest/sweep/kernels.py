"""Loops over values: integers that add exactly, and sums in one fixed order.

No sum is reordered by the compiler, and so no result depends on the machine, the number of threads, or where blocks
are cut.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel, expect_shape

__all__ = ["LANES", "count_codes", "digest_rows", "sum_rows"]

LANES = 64
"""Interleaved partial sums of one row: column j goes to lane j mod 64, and lanes are added in order."""

_TOGETHER = 4 * LANES
"""Columns of a row that are added at once."""


def count_codes(codes: NDArray[Any], counts: NDArray[np.int64]) -> None:
    """Add the number of occurrences of every code.

    Parameters
    ----------
    codes : ndarray of uint8 or uint16, any shape, contiguous
    counts : ndarray of shape (256,) or (65536,), int64
        Changed in place.
    """
    expect_shape(counts, (1 << (8 * codes.itemsize),))
    (_COUNT_8 if codes.itemsize == 1 else _COUNT_16)(codes, codes.size, counts)


def digest_rows(bits: NDArray[Any], digests: NDArray[np.uint64]) -> None:
    """XXH64 with seed 0 of every row, as BF16.

    Parameters
    ----------
    bits : ndarray of shape (n_rows, n_columns), uint16 or uint32
        BF16, or binary32, which is rounded to the nearest BF16 value, ties to even; NaN becomes 0x7FC0.
    digests : ndarray of shape (n_rows,), uint64
        Becomes the digests of the rows' little-endian bytes.

    Notes
    -----
    64 bits, and no cryptographic digest: rows can be made that share one.

    References
    ----------
    xxHash fast digest algorithm, v0.2.0, section "XXH64 algorithm description".
    """
    n_rows, n_columns = bits.shape
    expect_shape(digests, (n_rows,))
    if bits.dtype == np.uint32:
        narrow = np.empty(bits.shape, np.uint16)
        _ROUND(bits, bits.size, narrow)
        bits = narrow
    if n_columns % 4:
        bits = np.pad(bits, ((0, 0), (0, 4 - n_columns % 4)))
    _DIGEST_ROWS(bits.view(np.uint64), n_rows, n_columns, digests)


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
        expect_shape(array, shape)
    if LANES % n_buckets or (buckets.size and not 0 <= int(buckets.min()) <= int(buckets.max()) < n_buckets):
        raise ValueError(f"{n_buckets} buckets")
    (_SUM_ROWS_16 if bits.dtype == np.uint16 else _SUM_ROWS_32)(
        bits, n_rows, n_columns, shift, weights, weights.size, signs, buckets, signs.size, n_buckets, row_squares,
        weighted_squares, row_sketch, column_squares, column_sketch, np.empty(3 * LANES),
    )  # fmt: skip


def _count(codes: Any, n: int, counts: Any) -> None:
    for position in range(n):
        counts[codes[position]] += 1


def _round(bits: Any, n: int, rounded: Any) -> None:
    for position in range(n):
        value: Any = np.int64(bits[position])
        if (value & 0x7FFFFFFF) > 0x7F800000:
            rounded[position] = np.uint16(0x7FC0)
        else:
            rounded[position] = np.uint16((value + 0x7FFF + ((value >> 16) & 1)) >> 16)


_P1, _P2, _P3, _P4, _P5 = (np.uint64(prime) for prime in (
    0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
))  # fmt: skip
_STARTS = (np.uint64((int(_P1) + int(_P2)) % 2**64), _P2, np.uint64(0), np.uint64(2**64 - int(_P1)))
_S1, _S7, _S11, _S12, _S18, _S23, _S27, _S29, _S31, _S32, _S33 = (
    np.uint64(bits) for bits in (1, 7, 11, 12, 18, 23, 27, 29, 31, 32, 33)
)


def _digest(words: Any, n_rows: int, n_columns: int, digests: Any) -> None:
    """XXH64 of rows of 16-bit codes, four of them a word; the last word of a row is filled up."""
    n_words = n_columns // 4
    n_stripes = n_words // 4
    for row in range(n_rows):
        first = row * ((n_columns + 3) // 4)
        one, two, three, four = _STARTS
        for stripe in range(first, first + 4 * n_stripes, 4):
            one += words[stripe] * _P2
            two += words[stripe + 1] * _P2
            three += words[stripe + 2] * _P2
            four += words[stripe + 3] * _P2
            one = ((one << _S31) | (one >> _S33)) * _P1
            two = ((two << _S31) | (two >> _S33)) * _P1
            three = ((three << _S31) | (three >> _S33)) * _P1
            four = ((four << _S31) | (four >> _S33)) * _P1
        digest = _P5
        if n_stripes:
            digest = (one << _S1) | (one >> np.uint64(63))
            digest += (two << _S7) | (two >> np.uint64(57))
            digest += (three << _S12) | (three >> np.uint64(52))
            digest += (four << _S18) | (four >> np.uint64(46))
            for lane in (one, two, three, four):
                mixed = lane * _P2
                digest = (digest ^ (((mixed << _S31) | (mixed >> _S33)) * _P1)) * _P1 + _P4
        digest += np.uint64(2 * n_columns)
        for word in range(first + 4 * n_stripes, first + n_words):
            mixed = words[word] * _P2
            digest ^= ((mixed << _S31) | (mixed >> _S33)) * _P1
            digest = ((digest << _S27) | (digest >> np.uint64(37))) * _P1 + _P4
        left = n_columns - 4 * n_words
        tail = words[first + n_words] if left else np.uint64(0)
        if left >= 2:
            digest ^= (tail & np.uint64(0xFFFFFFFF)) * _P1
            digest = ((digest << _S23) | (digest >> np.uint64(41))) * _P2 + _P3
            tail >>= np.uint64(32)
        if left % 2:
            for byte in (tail & np.uint64(255), (tail >> np.uint64(8)) & np.uint64(255)):
                digest ^= byte * _P5
                digest = ((digest << _S11) | (digest >> np.uint64(53))) * _P1
        digest = (digest ^ (digest >> _S33)) * _P2
        digest = (digest ^ (digest >> _S29)) * _P3
        digests[row] = digest ^ (digest >> _S32)


def _sum_along(  # noqa: PLR0913, PLR0917 - one pass over hot bytes fills all of them
    bits: Any, n_rows: int, n_columns: int, shift: int, weights: Any, n_weights: int, signs: Any, buckets: Any,
    n_signs: int, n_buckets: int, row_squares: Any, weighted_squares: Any, row_sketch: Any, column_squares: Any,
    column_sketch: Any, lanes: Any,
) -> None:  # fmt: skip
    """Each row adds to ``lanes``: its squares; then, where there are weights, its products and their squares."""
    for row in range(n_rows):
        begin = row * n_columns
        for lane in range(3 * LANES):
            lanes[lane] = 0.0
        if n_weights:
            _add_weighted(bits, begin, n_columns, shift, weights, column_squares, lanes)
            weighted_squares[row] = _sum_lanes(lanes, 2 * LANES, 1)
            for bucket in range(n_buckets):
                row_sketch[row * n_buckets + bucket] = _sum_lanes(lanes, LANES + bucket, n_buckets)
        else:
            _add_squares(bits, begin, n_columns, shift, column_squares, lanes)
        row_squares[row] = _sum_lanes(lanes, 0, 1)
        if n_signs:
            sums = buckets[row] * n_columns
            for column in range(n_columns):
                column_sketch[sums + column] += signs[row] * _widen(bits[begin + column], shift)


def _widen(code: Any, shift: int) -> Any:
    return np.float64(np.uint32(np.uint32(code) << np.uint32(shift & 31)).view(np.float32))


def _sum_lanes(lanes: Any, first: int, step: int) -> Any:
    total = 0.0
    for lane in range(first, first // LANES * LANES + LANES, step):
        total += lanes[lane]
    return total


def _add_squares(bits: Any, begin: int, n_columns: int, shift: int, column_squares: Any, lanes: Any) -> None:
    """Add one row: many columns to a lane while it is in a register, then the last columns one by one."""
    together = n_columns // _TOGETHER * _TOGETHER
    for start in range(0, together, _TOGETHER):
        for lane in range(LANES):
            squares = lanes[lane]
            for column in range(start + lane, start + lane + _TOGETHER, LANES):
                value = _widen(bits[begin + column], shift)
                column_squares[column] += value * value
                squares += value * value
            lanes[lane] = squares
    for start in range(together, n_columns, LANES):
        for column in range(start, min(start + LANES, n_columns)):
            value = _widen(bits[begin + column], shift)
            column_squares[column] += value * value
            lanes[column - start] += value * value


def _add_weighted(
    bits: Any, begin: int, n_columns: int, shift: int, weights: Any, column_squares: Any, lanes: Any
) -> None:
    """Add one row as ``_add_squares`` does, and its products with the weights."""
    together = n_columns // _TOGETHER * _TOGETHER
    for start in range(0, together, _TOGETHER):
        for lane in range(LANES):
            squares, products, weighted = lanes[lane], lanes[LANES + lane], lanes[2 * LANES + lane]
            for column in range(start + lane, start + lane + _TOGETHER, LANES):
                value = _widen(bits[begin + column], shift)
                product = value * weights[column]
                column_squares[column] += value * value
                squares += value * value
                products += product
                weighted += product * product
            lanes[lane], lanes[LANES + lane], lanes[2 * LANES + lane] = squares, products, weighted
    for start in range(together, n_columns, LANES):
        for column in range(start, min(start + LANES, n_columns)):
            value = _widen(bits[begin + column], shift)
            product = value * weights[column]
            column_squares[column] += value * value
            lanes[column - start] += value * value
            lanes[LANES + column - start] += product
            lanes[2 * LANES + column - start] += product * product


_COUNT_8 = Kernel(_count, "uint8*", "int64", "int64*")
_COUNT_16 = Kernel(_count, "uint16*", "int64", "int64*")
_ROUND = Kernel(_round, "uint32*", "int64", "uint16*")
_DIGEST_ROWS = Kernel(_digest, "uint64*", "int64", "int64", "uint64*")
_AFTER_BITS = (
    *("int64",) * 3, "float64*", "int64", "float64*", "int64*", "int64", "int64", *("float64*",) * 6,
)  # fmt: skip
_SUM_ROWS_16 = Kernel(_sum_along, "uint16*", *_AFTER_BITS)
_SUM_ROWS_32 = Kernel(_sum_along, "uint32*", *_AFTER_BITS)
