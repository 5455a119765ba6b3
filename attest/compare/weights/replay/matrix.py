"""A tensor of a checkpoint as a matrix of codes, read in bands of rows; and sums that find its lines again."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import BITS, Checkpoint, Tensor
from attest.checkpoint.byte_range import read_range
from attest.checkpoint.tensor import BLOCKS
from attest.native import Kernel

__all__ = ["BAND", "LineSums", "Matrix", "keys"]

BAND = 32 * 1024 * 1024
"""Bytes of a matrix that are in memory at once, but for one row where that is longer."""

_STACK = 3
"""Dimensions of a stack of matrices."""

_MOST = 8 * BAND
"""Bytes of the largest matrix that is transposed."""

_BLOCK_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """A tensor, its last dimension as columns and all others as rows; a vector is one row.

    Codes are the unsigned integers that the values are written as; the rows of a quantized tensor are bytes. Where the
    last two dimensions are blocks and the bytes in each, as gpt-oss has them, both make a row.

    Parameters
    ----------
    checkpoint : Checkpoint
    tensor : Tensor
    turned : bool
        Whether each matrix of a stack is transposed: then columns are the dimension before the last.
    """

    checkpoint: Checkpoint
    tensor: Tensor
    turned: bool = False

    @staticmethod
    def readable(tensor: Tensor) -> bool:
        """Whether a tensor's values have whole bytes, and there are any."""
        if tensor.dtype in BLOCKS:
            return tensor.size > 0 and tensor.shape[-1] % BLOCKS[tensor.dtype][0] == 0
        return tensor.dtype in BITS and tensor.size > 0

    @cached_property
    def codes(self) -> np.dtype[Any]:
        """NumPy dtype of the codes."""
        bits = BITS.get(self.tensor.dtype, "u1")
        return np.dtype(f"<u{np.dtype(bits).itemsize}")

    @cached_property
    def columns(self) -> int:
        """Codes in a row."""
        return self.row_bytes // self.codes.itemsize

    @cached_property
    def rows(self) -> int:
        """Rows."""
        shape = self.tensor.shape
        if self.turned:
            return shape[0] * shape[2]
        return math.prod(shape[:-2] if self._has_blocks else shape[:-1])

    @property
    def _has_blocks(self) -> bool:
        shape = self.tensor.shape
        return self.tensor.name.endswith("_blocks") and len(shape) > 2 and shape[-1] == _BLOCK_BYTES

    @property
    def outputs(self) -> int | None:
        """Rows of one matrix of a stack; None for a tensor that is none."""
        shape = self.tensor.shape[:-1] if self._has_blocks else self.tensor.shape
        return shape[1] if len(shape) == _STACK else None

    @property
    def can_be_turned(self) -> bool:
        """Whether it is a stack of matrices that each fit into memory."""
        n_bytes = self.tensor.end - self.tensor.begin
        return len(self.tensor.shape) == _STACK and not self.quantized and n_bytes <= _MOST * self.tensor.shape[0]

    @cached_property
    def row_bytes(self) -> int:
        """Bytes of a row."""
        return (self.tensor.end - self.tensor.begin) // self.rows

    @property
    def rows_a_band(self) -> int:
        """Rows that are read at once."""
        return max(1, BAND // self.row_bytes)

    @property
    def quantized(self) -> bool:
        """Whether rows are blocks of values, which cannot be taken apart into columns."""
        return self.tensor.dtype in BLOCKS

    def size_along(self, axis: int) -> tuple[int, int]:
        """Lines along an axis (0: rows, 1: columns), and the codes in each."""
        return (self.rows, self.columns) if axis == 0 else (self.columns, self.rows)

    def bands(self) -> Iterator[tuple[int, NDArray[Any]]]:
        """First row and codes of one band after the other."""
        step = self.tensor.shape[2] if self.turned else self.rows_a_band
        with self.checkpoint.tree.open(self.tensor.file) as stream:
            for first in range(0, self.rows, step):
                yield first, self._read(stream, first, min(step, self.rows - first))

    def take(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Codes of some rows, shape (n, n_columns); those that follow one another are read at once."""
        if self.turned:
            return self._take_turned(rows)
        taken = np.empty((rows.size, self.columns), self.codes)
        begins = np.flatnonzero(np.diff(rows, prepend=-2) != 1)
        with self.checkpoint.tree.open(self.tensor.file) as stream:
            for begin, end in zip(begins, [*begins[1:], rows.size], strict=True):
                taken[begin:end] = self._read(stream, int(rows[begin]), int(end - begin))
        return taken

    def _take_turned(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """Rows of transposed matrices, of which each is read once."""
        taken = np.empty((rows.size, self.columns), self.codes)
        count = self.tensor.shape[2]
        with self.checkpoint.tree.open(self.tensor.file) as stream:
            for number in np.unique(rows // count).tolist():
                mine = rows // count == number
                taken[mine] = self._read(stream, number * count, count)[rows[mine] % count]
        return taken

    def _read(self, stream: BinaryIO, first: int, count: int) -> NDArray[Any]:
        begin, size = self.tensor.begin + first * self.row_bytes, count * self.row_bytes
        codes = np.frombuffer(read_range(stream, begin, size, file=self.tensor.file), self.codes)
        return codes.reshape(self.columns, count).T if self.turned else codes.reshape(count, self.columns)


def keys(count: int) -> NDArray[np.uint64]:
    """Odd multipliers, one a position: splitmix64 of 1, 2, 3, … with the last bit set.

    References
    ----------
    Steele, Lea and Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
    """
    state = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (state ^ (state >> np.uint64(31))) | np.uint64(1)


class LineSums:
    """Sums modulo 2^64 over every row and every column of a matrix of codes: where they are equal, look closer.

    ``ordered[axis]`` weighs every code by its position in the line; ``unordered[axis]`` does not.

    Notes
    -----
    They only propose: whatever follows from them is compared code by code, so that a collision costs time and no more.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self.ordered = (np.zeros(rows, np.uint64), np.zeros(columns, np.uint64))
        self.unordered = (np.zeros(rows, np.uint64), np.zeros(columns, np.uint64))
        self._row_keys, self._column_keys = keys(rows), keys(columns)

    def add(self, first: int, codes: NDArray[Any]) -> None:
        """Add a band of rows, shape (n, n_columns)."""
        rows = slice(first, first + codes.shape[0])
        _SUM[codes.itemsize](
            np.ascontiguousarray(codes), codes.shape[0], codes.shape[1], self._row_keys[rows], self._column_keys,
            self.ordered[0][rows], self.ordered[1], self.unordered[0][rows], self.unordered[1],
        )  # fmt: skip


_M1, _M2 = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31 = np.uint64(27), np.uint64(30), np.uint64(31)


def _sum_lines(  # noqa: PLR0913, PLR0917 - one pass over the codes fills all of them
    codes: Any, n_rows: int, n_columns: int, row_keys: Any, column_keys: Any, rows: Any, columns: Any,
    unordered_rows: Any, unordered_columns: Any,
) -> None:  # fmt: skip
    for row in range(n_rows):
        key = row_keys[row]
        ordered = np.uint64(0)
        unordered = np.uint64(0)
        for column in range(n_columns):
            code = np.uint64(codes[row * n_columns + column])
            mixed = code + _M2
            mixed = (mixed ^ (mixed >> _S30)) * _M1
            mixed = (mixed ^ (mixed >> _S27)) * _M2
            mixed ^= mixed >> _S31
            ordered += code * column_keys[column]
            columns[column] += code * key
            unordered += mixed
            unordered_columns[column] += mixed
        rows[row] += ordered
        unordered_rows[row] += unordered


_SUM = {size: Kernel(_sum_lines, f"uint{8 * size}*", "int64", "int64", *("uint64*",) * 6) for size in (1, 2, 4, 8)}
