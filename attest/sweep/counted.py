"""Exact sums of values of a narrow dtype, from how often each of its codes occurs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.native import Kernel
from attest.sweep.codes import RUN, Codes, codes_of
from attest.sweep.exact import ExactSums

__all__ = ["sums_of_codes"]

_MULTISET = b"attest multiset v1\n"

_SHARES = np.array([(1, 1000), (1, 100), (1, 4), (1, 2), (3, 4), (99, 100), (999, 1000)], np.int64)
"""Of the values that a quantile is not less than, ascending; a numerator and a denominator each."""

_DIGITS = 40
"""Digits of 32 bits of a sum of powers: the fourth of BF16 take 1,117 bits, and what is added last ends 3 digits on."""


def sums_of_codes(counts: NDArray[np.int64], dtype: str) -> ExactSums:
    """Sums from the number of occurrences of every code.

    Parameters
    ----------
    counts : ndarray of shape (n_codes,), int64
        At most 2**40 in all.
    dtype : str
        One of ``NARROW``.

    Returns
    -------
    ExactSums
        With powers up to the fourth, quantiles and distinct values.
    """
    table = codes_of(dtype)
    powers, occurring = _sum(table, counts)
    found, values = np.zeros(5, np.int64), np.zeros(len(_SHARES) + 2)
    _DESCRIBE(occurring, len(occurring), _SHARES, len(_SHARES), found, values.view(np.uint64))
    n, zeros, nans, infinities, distinct = found.tolist()
    minimum, *quantiles, maximum = values.tolist()
    return ExactSums(
        n=n,
        powers=powers,
        scale=table.scale,
        zeros=zeros,
        nans=nans,
        infinities=infinities,
        minimum=minimum if n else None,
        maximum=maximum if n else None,
        quantiles=tuple(quantiles) if n else None,
        distinct=distinct,
        multiset=sha256(_MULTISET + occurring.tobytes()),
    )


def _sum(table: Codes, counts: NDArray[np.int64]) -> tuple[tuple[int, ...], NDArray[np.uint64]]:
    """Sums of the first four powers; and the values that occur, ascending, with how often, shape (n_distinct, 2)."""
    if counts.shape != table.codes.shape:
        raise ValueError(f"shape {counts.shape}, expected {table.codes.shape}")
    ranks, n_found = np.empty(counts.size, np.int64), np.zeros(2, np.int64)
    _FIND_RANKS(counts, table.runs.size, table.codes, table.runs, ranks, n_found)
    occurring = np.empty((int(n_found[0]), 2), np.uint64)
    sums = np.zeros((4, _DIGITS), np.int64)
    _SUM_CODES(
        counts, len(occurring), ranks, table.codes, table.significands, table.shifts, table.bits,
        np.zeros((256, 4, 4), np.int64), _DIGITS, sums, occurring, n_found[1:],
    )  # fmt: skip
    digits = sums.astype("<u4").tobytes()
    size = 4 * _DIGITS
    powers = tuple(int.from_bytes(digits[row : row + size], "little", signed=True) for row in range(0, 4 * size, size))
    return powers, occurring[: int(n_found[1])]


def _describe(occurring: Any, n_rows: int, shares: Any, n_shares: int, found: Any, values: Any) -> None:
    """Finite values, zeros, NaNs, infinities, distinct finite values; bits of the least, the quantiles, the greatest.

    The first and the last rows hold what is not finite.
    """
    begin = n_rows
    for row in range(n_rows):
        magnitude = occurring[2 * row] & np.uint64(0x7FFFFFFFFFFFFFFF)
        count = np.int64(occurring[2 * row + 1])
        if magnitude > np.uint64(0x7FF0000000000000):
            found[2] += count
        elif magnitude == np.uint64(0x7FF0000000000000):
            found[3] += count
        else:
            begin = min(begin, row)
            found[0] += count
            found[4] += 1
            if magnitude == 0:
                found[1] += count
            values[n_shares + 1] = occurring[2 * row]
    if begin == n_rows:
        return
    values[0] = occurring[2 * begin]
    row, seen = begin, np.int64(occurring[2 * begin + 1])
    for share in range(n_shares):
        rank = max(np.int64(1), -((-found[0] * shares[2 * share]) // shares[2 * share + 1]))
        while seen < rank:
            row += 1
            seen += np.int64(occurring[2 * row + 1])
        values[share + 1] = occurring[2 * row]


def _find_ranks(counts: Any, n_runs: int, codes: Any, runs: Any, ranks: Any, n_found: Any) -> None:
    """Places in the order of values of the codes that occur; most runs of a small tensor are empty."""
    n = 0
    for run in range(n_runs):
        least = runs[run]
        some = np.int64(least < 0)
        if least >= 0:
            for code in range(least, least + RUN):
                some |= counts[code]
        if some:
            for rank in range(run * RUN, (run + 1) * RUN):
                if counts[codes[rank]]:
                    ranks[n] = rank
                    n += 1
    n_found[0] = n


def _sum_codes(  # noqa: PLR0913, PLR0917 - one pass over the counts fills all of them
    counts: Any, n_ranks: int, ranks: Any, codes: Any, significands: Any, shifts: Any, bits: Any, partial: Any,
    n_digits: int, sums: Any, occurring: Any, n_distinct: Any,
) -> None:  # fmt: skip
    """Sums of powers, in digits of 32 bits of which the last has the sign, and the distinct values.

    ``partial`` holds for every shift and power the sums of the products of 22 low bits of the power, or what is
    above them, with 20 low bits of the count, or what is above them: 64 bits hold those of all codes.
    """
    n = last = 0
    for position in range(n_ranks):
        rank = ranks[position]
        count: Any = counts[codes[rank]]
        if n and occurring[2 * last] == bits[rank]:
            occurring[2 * last + 1] += np.uint64(count)
        else:
            last = n
            n += 1
            occurring[2 * last] = bits[rank]
            occurring[2 * last + 1] = np.uint64(count)
        low, high = count & 0xFFFFF, count >> 20
        power: Any = np.int64(1)
        place = 16 * shifts[rank]
        for first in range(place, place + 16, 4):
            power *= significands[rank]
            partial[first] += (power & 0x3FFFFF) * low
            partial[first + 1] += (power >> 22) * low
            if high:
                partial[first + 2] += (power & 0x3FFFFF) * high
                partial[first + 3] += (power >> 22) * high
    n_distinct[0] = n
    for place in range(256 * 16):
        total = partial[place]
        if total:
            row = place // 4 % 4
            shift = (row + 1) * (place // 16) + 22 * (place % 2) + 20 * (place // 2 % 2)
            digit, within = row * n_digits + shift // 32, shift % 32
            low, high = (total & 0xFFFFFFFF) << within, (total >> 32) << within
            sums[digit] += low & 0xFFFFFFFF
            sums[digit + 1] += (low >> 32) + (high & 0xFFFFFFFF)
            sums[digit + 2] += high >> 32
    for row in range(4):
        for digit in range(row * n_digits, (row + 1) * n_digits - 1):
            sums[digit + 1] += sums[digit] >> 32
            sums[digit] &= 0xFFFFFFFF


_FIND_RANKS = Kernel(_find_ranks, "int64*", "int64", *("int64*",) * 4)
_SUM_CODES = Kernel(
    _sum_codes, "int64*", "int64", *("int64*",) * 4, "uint64*", "int64*", "int64", "int64*", "uint64*", "int64*"
)
_DESCRIBE = Kernel(_describe, "uint64*", "int64", "int64*", "int64", "int64*", "uint64*")
