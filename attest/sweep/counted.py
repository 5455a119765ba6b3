"""Exact sums of values of a narrow dtype, from how often each of its codes occurs."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.native import Kernel
from attest.sweep.codes import Codes, codes_of
from attest.sweep.exact import ExactSums

__all__ = ["sums_of_codes"]

_MULTISET = b"attest multiset v1\n"

_QUANTILES = ((1, 1000), (1, 100), (1, 4), (1, 2), (3, 4), (99, 100), (999, 1000))

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
    values, tally = occurring[:, 0].view(np.float64), occurring[:, 1].view(np.int64)
    finite = np.isfinite(values)
    n_special, nans = int(tally[~finite].sum()), int(tally[np.isnan(values)].sum())
    values, tally = values[finite], tally[finite]
    cumulative = np.cumsum(tally)
    n = int(cumulative[-1]) if cumulative.size else 0
    ranks = [max(1, -(-n * part // whole)) for part, whole in _QUANTILES]
    return ExactSums(
        n=n,
        powers=powers,
        scale=table.scale,
        zeros=int(tally[values == 0].sum()),
        nans=nans,
        infinities=n_special - nans,
        minimum=float(values[0]) if n else None,
        maximum=float(values[-1]) if n else None,
        quantiles=tuple(values[np.searchsorted(cumulative, ranks)].tolist()) if n else None,
        distinct=len(values),
        multiset=sha256(_MULTISET + occurring.tobytes()),
    )


def _sum(table: Codes, counts: NDArray[np.int64]) -> tuple[tuple[int, ...], NDArray[np.uint64]]:
    """Sums of the first four powers; and the values that occur, ascending, with how often, shape (n_distinct, 2)."""
    if counts.shape != table.codes.shape:
        raise ValueError(f"shape {counts.shape}, expected {table.codes.shape}")
    occurring = np.empty((counts.size, 2), np.uint64)
    n_distinct = np.zeros(1, np.int64)
    sums = np.zeros((4, _DIGITS), np.int64)
    _SUM_CODES(
        counts, counts.size, table.codes, table.significands, table.shifts, table.bits, np.zeros((256, 4, 4), np.int64),
        _DIGITS, sums, occurring, n_distinct,
    )  # fmt: skip
    digits = sums.astype("<u4")
    powers = tuple(int.from_bytes(one.tobytes(), "little", signed=True) for one in digits)
    return powers, occurring[: int(n_distinct[0])]


def _sum_codes(  # noqa: PLR0913, PLR0917 - one pass over the counts fills all of them
    counts: Any, n_codes: int, codes: Any, significands: Any, shifts: Any, bits: Any, partial: Any, n_digits: int,
    sums: Any, occurring: Any, n_distinct: Any,
) -> None:  # fmt: skip
    """Sums of powers, in digits of 32 bits of which the last has the sign, and the distinct values.

    ``partial`` holds for every shift and power the sums of the products of 22 low bits of the power, or what is
    above them, with 20 low bits of the count, or what is above them: 64 bits hold those of all codes.
    """
    n = last = 0
    for rank in range(n_codes):
        code = codes[rank]
        count: Any = counts[code]
        if count == 0:
            continue
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


_SUM_CODES = Kernel(
    _sum_codes, "int64*", "int64", *("int64*",) * 3, "uint64*", "int64*", "int64", "int64*", "uint64*", "int64*"
)
