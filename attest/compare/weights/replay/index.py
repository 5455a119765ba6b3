"""Every line that a checkpoint's matrices give under every operation, by its sums."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.replay.matrix import LineSums, Matrix
from attest.compare.weights.replay.mlx import Grid
from attest.compare.weights.replay.operation import BLOCKS_MADE, Operation, largest_of, operations

__all__ = ["LEAST_LINE", "Index", "Made", "sums_of"]

LEAST_LINE = 16
"""Codes of the shortest line that is looked for, in a matrix of more than one."""

Sums = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True)
class Made:
    """What an operation makes of a matrix.

    Parameters
    ----------
    matrix : Matrix
    operation : Operation
    largest : ndarray
        What the operation's scales need.
    sums : LineSums
    columns : int
        Codes in a row of what is made.
    """

    matrix: Matrix
    operation: Operation
    largest: NDArray[np.float32]
    sums: LineSums
    columns: int

    def size_along(self, axis: int) -> tuple[int, int]:
        """Lines along an axis (0: rows, 1: columns), and the codes in each."""
        return (self.matrix.rows, self.columns) if axis == 0 else (self.columns, self.matrix.rows)


@dataclass(frozen=True, kw_only=True)
class _Shelf:
    """Lines of one dtype and length: sums in ascending order, and for each the entry and the line."""

    entries: tuple[tuple[Made, int], ...]
    sums: Sums
    owners: NDArray[np.int64]
    lines: NDArray[np.int64]

    def find(self, sums: Sums) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """First and behind the last position of each sum."""
        return np.searchsorted(self.sums, sums), np.searchsorted(self.sums, sums, "right")


class Index:
    """Lines of all matrices of a parent, under all operations that could make a child's.

    Parameters
    ----------
    parents : iterable of Matrix
    wanted : mapping of str to set of int
        Lengths of the lines that the child has, by dtype.
    fused : mapping of str to sequence of Matrix
        Which matrices may have one scale together, by the name of each tensor among them.
    grids : sequence of Grid
        Which MLX may have quantized the child on.
    """

    def __init__(
        self,
        parents: Iterable[Matrix],
        wanted: Mapping[str, set[int]],
        fused: Mapping[str, Sequence[Matrix]],
        grids: Sequence[Grid],
    ) -> None:
        largest = _Largest(fused)
        made = [one for matrix in parents for one in _make(matrix, wanted, largest, grids)]
        self._ordered, self._unordered = (_shelve(made, wanted, ordered=ordered) for ordered in (True, False))

    def ordered(self, dtype: str, length: int) -> _Shelf | None:
        """Lines by their ordered sums."""
        return self._ordered.get((dtype, length))

    def unordered(self, dtype: str, length: int) -> _Shelf | None:
        """Lines by their unordered sums."""
        return self._unordered.get((dtype, length))


def sums_of(matrix: Matrix) -> LineSums:
    """Sums over the lines of a matrix as it is."""
    sums = LineSums(matrix.rows, matrix.columns)
    for first, codes in matrix.bands():
        sums.add(first, codes)
    return sums


class _Largest:
    """Largest magnitudes that scales follow from: of a matrix, and of those that it may have one scale with."""

    def __init__(self, fused: Mapping[str, Sequence[Matrix]]) -> None:
        self._fused = fused
        self._known: dict[str, NDArray[np.float32]] = {}

    def of(self, operation: Operation, matrix: Matrix) -> Iterator[NDArray[np.float32]]:
        """Its own, and that of all together where it is another one."""
        if not operation.may_be_fused:
            yield operation.prepare(matrix)
            return
        own = self._one(matrix)
        yield own
        together = max([own, *map(self._one, self._fused.get(matrix.tensor.name, ()))], key=np.max)
        if together > own:
            yield together

    def _one(self, matrix: Matrix) -> NDArray[np.float32]:
        name = matrix.tensor.name
        if name not in self._known:
            self._known[name] = largest_of(matrix)
        return self._known[name]


def _make(matrix: Matrix, wanted: Mapping[str, set[int]], largest: _Largest, grids: Sequence[Grid]) -> Iterator[Made]:
    for dtype, lengths in wanted.items():
        for operation in operations(matrix.tensor.dtype, dtype, matrix.columns, grids):
            columns = operation.apply(matrix.take(np.zeros(1, np.int64)), np.ones((1, 1), np.float32)).shape[1]
            if columns not in lengths and (operation.by_row or matrix.rows not in lengths):
                continue
            for scale in largest.of(operation, matrix):
                sums = LineSums(matrix.rows, columns)
                for first, codes in matrix.bands():
                    sums.add(first, operation.apply(codes, scale))
                yield Made(matrix=matrix, operation=operation, largest=scale, sums=sums, columns=columns)


def _shelve(made: Sequence[Made], wanted: Mapping[str, set[int]], *, ordered: bool) -> dict[tuple[str, int], _Shelf]:
    entries = defaultdict(list)
    for one in made:
        for axis in (0, 1):
            lines, length = one.size_along(axis)
            whole = one.operation.writes not in BLOCKS_MADE or axis == 0
            if whole and length in wanted[one.operation.writes] and (length >= LEAST_LINE or lines == 1):
                entries[one.operation.writes, length].append((one, axis))
    return {key: _sort(its, ordered=ordered) for key, its in entries.items()}


def _sort(entries: Sequence[tuple[Made, int]], *, ordered: bool) -> _Shelf:
    each = [(one.sums.ordered if ordered else one.sums.unordered)[axis] for one, axis in entries]
    sums = np.concatenate(each)
    order = np.argsort(sums, kind="stable")
    owners = np.repeat(np.arange(len(each)), [one.size for one in each])
    lines = np.concatenate([np.arange(one.size) for one in each])
    return _Shelf(entries=tuple(entries), sums=sums[order], owners=owners[order], lines=lines[order])
