"""Exact sums of values of a narrow dtype, from how often each of its codes occurs."""

from __future__ import annotations

import hashlib
from collections import defaultdict, deque
from struct import Struct
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel, expect_shape
from attest.sweep.codes import RUN, codes_of
from attest.sweep.exact import ExactSums

__all__ = ["begin_counts", "sums_of_codes"]

_MULTISET = b"attest multiset v1\n"

_SHARES = ((1, 1000), (1, 100), (1, 4), (1, 2), (3, 4), (99, 100), (999, 1000))
"""Of the values that a quantile is not less than, ascending; a numerator and a denominator each."""

_DIGITS = 40
"""Digits of 32 bits of a sum of powers: the fourth of BF16 take 1,117 bits, and what is added last ends 3 digits on."""

_FOUND = Struct(f"<8q{len(_SHARES) + 2}d" + 4 * f"{4 * _DIGITS}s")
"""What ``_describe_codes`` finds: rows of what occurs, codes, finite values, zeros, NaNs, infinities, distinct finite
values and the exponent of their unit; the least value, the quantiles, the greatest; the sums of four powers."""

_OCCURRING: Final = _FOUND.size // 8
"""Where the rows begin of what occurs, in words of 8 bytes."""

_MAX_SPARE = 16
_COUNTS: defaultdict[int, deque[NDArray[np.int64]]] = defaultdict(lambda: deque(maxlen=_MAX_SPARE))
_ROOMS: defaultdict[int, deque[NDArray[np.int64]]] = defaultdict(lambda: deque(maxlen=_MAX_SPARE))
"""Memory that was used before and can be again, by number of codes: new pages cost more than a small tensor."""


def begin_counts(dtype: str) -> NDArray[np.int64]:
    """Counts of all codes of a dtype in ``NARROW``, 0 each, shape (n_codes,)."""
    n_codes = len(codes_of(dtype).rows)
    try:
        return _COUNTS[n_codes].pop()
    except IndexError:
        return np.zeros(n_codes, np.int64)


def sums_of_codes(counts: NDArray[np.int64], dtype: str) -> ExactSums:
    """Sums from the number of occurrences of every code.

    Parameters
    ----------
    counts : ndarray of shape (n_codes,), int64
        At most 2**40 in all. Taken over: ``begin_counts`` gives it to others.
    dtype : str
        One of ``NARROW``.

    Returns
    -------
    ExactSums
        With powers up to the fourth, quantiles and distinct values.
    """
    table = codes_of(dtype)
    expect_shape(counts, table.rows.shape[:1])
    try:
        room = _ROOMS[counts.size].pop()
    except IndexError:
        room = np.empty(_OCCURRING + 4 * counts.size + 4 * _DIGITS, np.int64)
    _DESCRIBE_CODES(counts, table.runs.size, table.scale, table.runs, table.rows, room)
    n_rows, _, n, zeros, nans, infinities, distinct, scale, *values = _FOUND.unpack_from(room.data)
    multiset = hashlib.sha256(_MULTISET)
    multiset.update(room[_OCCURRING : _OCCURRING + 2 * n_rows].data)
    sums = ExactSums(
        n=n,
        powers=tuple(int.from_bytes(power, "little", signed=True) for power in values[-4:]),
        scale=scale,
        zeros=zeros,
        nans=nans,
        infinities=infinities,
        minimum=values[0] if n else None,
        maximum=values[-5] if n else None,
        quantiles=tuple(values[1:-5]) if n else None,
        distinct=distinct,
        multiset=multiset.hexdigest(),
    )
    _ROOMS[counts.size].append(room)
    _COUNTS[counts.size].append(counts)
    return sums


def _describe_codes(counts: Any, n_runs: int, scale: int, runs: Any, rows: Any, room: Any) -> None:
    """Fill ``_FOUND`` and, behind it, what occurs: its bits as binary64 and how often, two words a row.

    Behind that lie two words for each code that occurs, and digits. Counts become 0.
    """
    ranks = _OCCURRING + 2 * RUN * n_runs
    _list_codes(counts, n_runs, runs, rows, ranks, room)
    _describe_values(room)
    _sum_codes(rows, ranks, scale, room)


def _list_codes(counts: Any, n_runs: int, runs: Any, rows: Any, ranks: int, room: Any) -> None:
    """Rows of the codes that occur, with their counts, which become 0; and the values. Most runs are empty."""
    place, row = ranks, _OCCURRING - 2
    bits: Any = 1  # of no value
    for run in range(n_runs):
        least = runs[run]
        begin, some = max(least, 0), np.int64(least < 0)
        for code in range(RUN):
            some |= counts[begin + code]
        if not some:
            continue
        for rank in range(run * RUN, (run + 1) * RUN):
            count = counts[rows[4 * rank]]
            if count:
                counts[rows[4 * rank]] = 0
                room[place], room[place + 1] = rank, count
                place += 2
                if rows[4 * rank + 3] != bits:
                    bits = rows[4 * rank + 3]
                    row += 2
                    room[row], room[row + 1] = bits, 0
                room[row + 1] += count
    room[0], room[1] = (row + 2 - _OCCURRING) // 2, (place - ranks) // 2


def _describe_values(room: Any) -> None:
    """Fill ``_FOUND`` but for the sums. What is not finite lies in the first and the last rows."""
    n: Any = np.int64(0)
    begin: Any = np.int64(0)
    end: Any = np.int64(0)
    zeros = nans = infinities = np.int64(0)
    for row in range(_OCCURRING, _OCCURRING + 2 * room[0], 2):
        magnitude, count = room[row] & 0x7FFFFFFFFFFFFFFF, room[row + 1]
        if magnitude > 0x7FF0000000000000:
            nans += count
        elif magnitude == 0x7FF0000000000000:
            infinities += count
        else:
            begin, end = begin or row, row + 2
            n += count
            if magnitude == 0:
                zeros += count
    room[2], room[3], room[4], room[5], room[6] = n, zeros, nans, infinities, (end - begin) // 2
    if not n:
        return
    room[8], room[9 + len(_SHARES)] = room[begin], room[end - 2]
    row, seen = begin, room[begin + 1]
    for share in range(len(_SHARES)):
        rank = max(np.int64(1), -((-n * _SHARES[share][0]) // _SHARES[share][1]))
        while seen < rank:
            row += 2
            seen += room[row + 1]
        room[9 + share] = room[row]


def _sum_codes(rows: Any, ranks: int, scale: int, room: Any) -> None:
    """Fill the sums: digits of 32 bits, of which the last has the sign, two a word.

    Their unit is the least that occurs: moments of small integers take less time. Codes of one shift follow each
    other. Of the product of a power and a count, 22 low bits of the power, or what is above them, are multiplied with
    20 low bits of the count, or what is above them: 64 bits hold such sums of all codes.
    """
    end, least, above = ranks + 2 * room[1], scale, np.int64(0)
    for digit in range(end, end + 4 * _DIGITS):
        room[digit] = 0
    for code in range(ranks, end, 2):
        above |= room[code + 1] >> 20
        if rows[4 * room[code] + 1]:
            least = min(least, rows[4 * room[code] + 2])
    room[7] = scale - least
    for half in range(2 if above else 1):
        code = ranks
        while code < end:
            shift = rows[4 * room[code] + 2]
            low_1 = low_2 = low_3 = low_4 = high_2 = high_3 = high_4 = np.int64(0)
            while code < end and rows[4 * room[code] + 2] == shift:
                first = rows[4 * room[code] + 1]
                count = room[code + 1] >> 20 if half else room[code + 1] & 0xFFFFF
                second, third, fourth = first**2, first**3, first**4
                low_1 += first * count
                low_2 += (second & 0x3FFFFF) * count
                low_3 += (third & 0x3FFFFF) * count
                low_4 += (fourth & 0x3FFFFF) * count
                high_2 += (second >> 22) * count
                high_3 += (third >> 22) * count
                high_4 += (fourth >> 22) * count
                code += 2
            sums = ((low_1, np.int64(0)), (low_2, high_2), (low_3, high_3), (low_4, high_4))
            for power in range(4):
                for part in range(2):
                    place = (power + 1) * max(shift - least, 0) + 22 * part + 20 * half
                    _add_digits(room, end + power * _DIGITS + place // 32, sums[power][part], place % 32)
    for power in range(4):
        _settle_digits(room, end + power * _DIGITS, _OCCURRING - (4 - power) * _DIGITS // 2)


def _add_digits(room: Any, digit: int, total: Any, shift: int) -> None:
    low, high = (total & 0xFFFFFFFF) << shift, (total >> 32) << shift
    room[digit] += low & 0xFFFFFFFF
    room[digit + 1] += (low >> 32) + (high & 0xFFFFFFFF)
    room[digit + 2] += high >> 32


def _settle_digits(room: Any, begin: int, word: int) -> None:
    """Carry what is above 32 bits of each digit, and put two into a word."""
    for digit in range(begin, begin + _DIGITS - 1):
        room[digit + 1] += room[digit] >> 32
        room[digit] &= 0xFFFFFFFF
    for pair in range(_DIGITS // 2):
        room[word + pair] = room[begin + 2 * pair] | (room[begin + 2 * pair + 1] << 32)


_DESCRIBE_CODES = Kernel(_describe_codes, "int64*", "int64", "int64", *("int64*",) * 3)
