"""Quantized tensors: their codes and scales counted as they are, and exact sums of the values they stand for.

A block of ggml's simple types stands for the values scale * level + minimum, with a scale and a minimum in binary16
and levels that are small integers. In units of 2**-24, the least binary16, each of these is an integer, and so is
every value: nothing is rounded. A program that computes in binary32 rounds the sum where there is a minimum, so its
values may differ in the last of 24 bits.

References
----------
ggml, ``ggml-quants.c`` (``dequantize_row_q4_0`` and the others) and ``ggml-common.h`` (layout of the blocks).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.tensor import BLOCKS, DTYPE_BITS
from attest.native import Kernel
from attest.sweep.counted import sums_of_codes
from attest.sweep.exact import ExactSums

__all__ = ["QuantizedAccumulator", "QuantizedSums", "Scales", "ScalesAccumulator"]

_VALUES: Final = 32
"""Values of a block whose codes are counted."""

_SCALE: Final = 24
_BATCH = 1 << 20
"""Most blocks that are unpacked at once; the sums have room for 2**31 of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Form:
    """Where the parts of a block lie, by offset in bytes, and the level of every code.

    ``levels`` is empty for types whose codes are not counted; ``high`` is where fifth bits lie; a block has ``count``
    scales of the dtype ``kind``.
    """

    scale: int
    count: int = 1
    kind: str = "F16"
    minimum: int | None = None
    high: int | None = None
    codes: int = 0
    levels: Sequence[int] = ()


_FORMS: Mapping[str, _Form] = {
    "Q4_0": _Form(scale=0, codes=2, levels=range(-8, 8)),
    "Q4_1": _Form(scale=0, minimum=2, codes=4, levels=range(16)),
    "Q5_0": _Form(scale=0, high=2, codes=6, levels=range(-16, 16)),
    "Q5_1": _Form(scale=0, minimum=2, high=4, codes=8, levels=range(32)),
    "Q8_0": _Form(scale=0, codes=2, levels=range(-128, 128)),
    "IQ4_NL": _Form(scale=0),
    "Q2_K": _Form(scale=80, minimum=82),
    "Q3_K": _Form(scale=108),
    "Q4_K": _Form(scale=0, minimum=2),
    "Q5_K": _Form(scale=0, minimum=2),
    "Q6_K": _Form(scale=208),
    "MXFP4": _Form(scale=0, kind="F8_E8M0"),
    "NVFP4": _Form(scale=0, count=4, kind="F8_E4M3"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Scales:
    """What is known exactly of the scales of a quantized tensor's blocks.

    Parameters
    ----------
    scales : ExactSums
        A negative one turns the levels of its block round.
    minima : ExactSums or None
        As they are written: ``Q4_K`` and its like subtract them. None for types without.
    """

    scales: ExactSums
    minima: ExactSums | None


class ScalesAccumulator:
    """Counts the scales of blocks, and minima in binary16, whatever the codes are.

    Parameters
    ----------
    dtype : str
        One of ``DTYPES``.
    """

    DTYPES = frozenset(_FORMS)

    def __init__(self, dtype: str) -> None:
        self._form = _FORMS[dtype]
        self._block_bytes = BLOCKS[dtype][1]
        self._scales = np.zeros(1 << DTYPE_BITS[self._form.kind], np.int64)
        self._minima = np.zeros(65536, np.int64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - order does not matter here
        """Count the blocks of a few rows."""
        blocks = _as_bytes(rows, self._block_bytes)
        item = np.dtype(f"u{DTYPE_BITS[self._form.kind] // 8}")
        end = self._form.scale + self._form.count * item.itemsize
        codes = np.ascontiguousarray(blocks[:, self._form.scale : end]).view(item.newbyteorder("<"))
        self._scales += np.bincount(codes.ravel(), minlength=self._scales.size)
        if self._form.minimum is not None:
            self._minima += np.bincount(_binary16(blocks, self._form.minimum).view(np.uint16), minlength=65536)

    def result(self) -> Scales:
        """Exact sums of the scales and minima."""
        return Scales(
            scales=sums_of_codes(self._scales, self._form.kind),
            minima=None if self._form.minimum is None else sums_of_codes(self._minima, "F16"),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedSums(ExactSums):
    """Exact sums of the values that a quantized tensor stands for, with two powers, and its codes.

    Parameters
    ----------
    codes : tuple of int
        Occurrences of every level, the least first; also in blocks whose scale is not finite.
    """

    codes: tuple[int, ...]


class QuantizedAccumulator:
    """Counts the codes of a quantized tensor, and sums scale * level + minimum before any rounding.

    Parameters
    ----------
    dtype : str
        One of ``DTYPES``: types with scales of scales (``Q4_K`` and its like) or with levels that are not evenly
        spaced (``IQ4_NL``) are not among them.
    """

    DTYPES = frozenset(dtype for dtype, form in _FORMS.items() if form.levels)

    def __init__(self, dtype: str) -> None:
        self._form = _FORMS[dtype]
        self._block_bytes = BLOCKS[dtype][1]
        self._counts = np.zeros(4 * 256, np.int64)
        self._blocks = 0
        self._sums = np.zeros(8, np.int64)
        self._zeros = np.zeros(1, np.int64)
        self._not_finite = [0, 0]
        self._extremes = np.array([2**62, -(2**62)], np.int64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - order does not matter here
        """Count and sum the blocks of a few rows."""
        blocks = _as_bytes(rows, self._block_bytes)
        for start in range(0, len(blocks), _BATCH):
            self._sum(blocks[start : start + _BATCH])

    def _sum(self, blocks: NDArray[np.uint8]) -> None:
        levels, scales = self._unpack(blocks), _binary16(blocks, self._form.scale)
        minima = np.zeros_like(scales) if self._form.minimum is None else _binary16(blocks, self._form.minimum)
        finite = np.isfinite(scales) & np.isfinite(minima)
        if not finite.all():
            self._count_not_finite(levels[~finite], scales[~finite], minima[~finite])
            levels, scales, minima = levels[finite], scales[finite], minima[finite]
        self._blocks += len(levels)
        _SUM_BLOCKS(
            levels, len(levels), _units(scales), _units(minima), self._counts, self._sums, self._zeros, self._extremes
        )

    def _unpack(self, blocks: NDArray[np.uint8]) -> NDArray[np.int8]:
        """Levels of shape (n_blocks, 32), in the order of the values."""
        packed = blocks[:, self._form.codes :]
        if len(self._form.levels) == 256:
            return np.ascontiguousarray(packed).view(np.int8)
        codes = np.empty((len(blocks), _VALUES), np.uint8)
        np.bitwise_and(packed, 15, out=codes[:, : _VALUES // 2])
        np.right_shift(packed, 4, out=codes[:, _VALUES // 2 :])
        if self._form.high is not None:
            high = blocks[:, self._form.high : self._form.high + 4]
            codes |= np.unpackbits(high, axis=1, bitorder="little") << 4
        return codes.view(np.int8) + np.int8(self._form.levels[0])

    def _count_not_finite(
        self, levels: NDArray[np.int8], scales: NDArray[np.float16], minima: NDArray[np.float16]
    ) -> None:
        """Count blocks with a scale or minimum that is not finite: their values are not either."""
        self._counts[:256] += np.bincount(levels.ravel().astype(np.int64) + 128, minlength=256)
        with np.errstate(invalid="ignore"):
            values = scales.astype(np.float64)[:, None] * levels + minima.astype(np.float64)[:, None]
        self._not_finite[0] += int(np.count_nonzero(np.isnan(values)))
        self._not_finite[1] += int(np.count_nonzero(np.isinf(values)))

    def result(self) -> QuantizedSums:
        """Sums and counts of the tensor."""
        total, ones, mixed, highs = (int(self._sums[2 * k]) + (int(self._sums[2 * k + 1]) << 32) for k in range(4))
        minimum, maximum = (float(extreme) / 2**_SCALE for extreme in self._extremes)
        counts = self._counts.reshape(4, 256).sum(axis=0)
        return QuantizedSums(
            n=_VALUES * self._blocks,
            powers=(total, ones + (mixed << 20) + (highs << 40)),
            scale=_SCALE,
            zeros=int(self._zeros[0]),
            nans=self._not_finite[0],
            infinities=self._not_finite[1],
            minimum=minimum if self._blocks else None,
            maximum=maximum if self._blocks else None,
            quantiles=None,
            distinct=None,
            multiset=None,
            codes=tuple(int(counts[128 + level]) for level in self._form.levels),
        )


def _as_bytes(rows: NDArray[Any], block_bytes: int) -> NDArray[np.uint8]:
    """Blocks as a matrix of bytes, one block a row."""
    return rows.reshape(-1).view(np.uint8).reshape(-1, block_bytes)


def _binary16(blocks: NDArray[np.uint8], offset: int) -> NDArray[np.float16]:
    return np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2").ravel()


def _units(values: NDArray[np.float16]) -> NDArray[np.int64]:
    """Finite binary16 values in units of 2**-24."""
    return np.ldexp(values.astype(np.float64), _SCALE).astype(np.int64)


def _sum_blocks(
    levels: Any, n: int, scales: Any, minima: Any, counts: Any, sums: Any, zeros: Any, extremes: Any
) -> None:
    """Sum the values of finite blocks, scale * level + minimum.

    Sums of levels and of their squares come first, and then meet the scale and the minimum, each cut into a high
    part and 20 low bits. What is added to ``sums`` is cut again, into 32 low bits and the rest: values; squares in
    units of 1, 2**20 and 2**40. Levels are counted in four tables in turn, since one would wait for itself.
    """
    least, greatest, no_values = extremes[0], extremes[1], zeros[0]
    for block in range(n):
        first = block * _VALUES
        for position in range(first, first + _VALUES, 4):
            counts[levels[position] + 128] += 1
            counts[levels[position + 1] + 384] += 1
            counts[levels[position + 2] + 640] += 1
            counts[levels[position + 3] + 896] += 1
        total = squares = np.int32(0)
        lowest, highest = np.int32(127), np.int32(-128)
        for position in range(first, first + _VALUES):
            level = np.int32(levels[position])
            total += level
            squares += level * level
            lowest = min(lowest, level)
            highest = max(highest, level)
        scale, minimum = scales[block], minima[block]
        one, other = scale * lowest + minimum, scale * highest + minimum
        least = min(least, one, other)
        greatest = max(greatest, one, other)
        if scale == 0:
            no_values += _VALUES if minimum == 0 else 0
        elif minimum == 0 or minimum % scale == 0:
            zero = np.int32(0) if minimum == 0 else -minimum // scale
            for position in range(first, first + _VALUES):
                no_values += levels[position] == zero
        high, low = scale >> 20, scale & 0xFFFFF
        high_minimum, low_minimum = minimum >> 20, minimum & 0xFFFFF
        values = scale * total + _VALUES * minimum
        ones = low * low * squares + 2 * low * low_minimum * total + _VALUES * low_minimum * low_minimum
        mixed = 2 * high * low * squares + 2 * (high * low_minimum + low * high_minimum) * total
        mixed += 2 * _VALUES * high_minimum * low_minimum
        highs = high * high * squares + 2 * high * high_minimum * total + _VALUES * high_minimum * high_minimum
        sums[0] += values & 0xFFFFFFFF
        sums[1] += values >> 32
        sums[2] += ones & 0xFFFFFFFF
        sums[3] += ones >> 32
        sums[4] += mixed & 0xFFFFFFFF
        sums[5] += mixed >> 32
        sums[6] += highs & 0xFFFFFFFF
        sums[7] += highs >> 32
    extremes[0], extremes[1], zeros[0] = least, greatest, no_values


_SUM_BLOCKS = Kernel(_sum_blocks, "int8*", "int64", *("int64*",) * 6)
