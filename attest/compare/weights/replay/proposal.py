"""Where a child's lines may come from, by their sums: proposals that are yet to be compared code by code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.replay.index import LEAST_LINE, Index, Made
from attest.compare.weights.replay.matrix import LineSums, Matrix

__all__ = ["Piece", "Proposal", "propose"]

_MAX_PIECES = 1024
_MAX_CANDIDATES = 16
_LEAST_LINES = 16

Places = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Lines of the child that are lines of one parent.

    Parameters
    ----------
    made : Made
        The parent and the operation.
    axis : int
        Which lines of what was made: 0 for rows, 1 for columns.
    lines, origins : ndarray of shape (n,), int64
        Line ``lines[i]`` of the child is line ``origins[i]`` of what was made.
    within : ndarray of shape (length,), int64, or None
        Place j of each of these lines is place ``within[j]`` there; None where places are as they were.
    """

    made: Made
    axis: int
    lines: Places
    origins: Places
    within: Places | None


@dataclass(frozen=True, kw_only=True)
class Proposal:
    """How a child's lines along an axis may have been made."""

    axis: int
    pieces: tuple[Piece, ...]

    @property
    def lines(self) -> int:
        """Lines of the child that it explains."""
        return sum(piece.lines.size for piece in self.pieces)


def propose(child: Matrix, sums: LineSums, index: Index) -> Iterator[Proposal]:
    """Ways in which a child may have been made, those that explain most of it first."""
    axes = (0,) if child.quantized else (0, 1)
    found = [one for axis in axes if (one := _from_lines(child, sums, index, axis)) is not None]
    shares = {axis: max(1, child.size_along(axis)[0]) for axis in axes}
    found.sort(key=lambda one: (-one.lines / shares[one.axis], len(one.pieces), one.axis))
    whole = [one for one in found if one.lines == shares[one.axis]]
    yield from whole
    if not child.quantized:
        yield from _from_multisets(child, sums, index)
    yield from (one for one in found if one not in whole and one.lines >= _LEAST_LINES)


def _from_lines(child: Matrix, sums: LineSums, index: Index, axis: int) -> Proposal | None:
    """Lines that are lines of parents as they are: copies, casts, rows, slices, permutations, concatenations."""
    count, length = child.size_along(axis)
    shelf = index.ordered(child.tensor.dtype, length)
    if shelf is None or (length < LEAST_LINE and count > 1):
        return None
    left = np.arange(count)
    pieces: list[Piece] = []
    while left.size and len(pieces) < _MAX_PIECES:
        begin, end = shelf.find(sums.ordered[axis][left])
        left, begin, end = left[end > begin], begin[end > begin], end[end > begin]
        if not left.size:
            break
        counts = np.minimum(end - begin, _MAX_PIECES)
        which = np.repeat(np.arange(left.size), counts)
        places = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(begin, counts)
        owners = shelf.owners[places]
        held = np.bincount(np.unique(owners * left.size + which) // left.size, minlength=len(shelf.entries))
        owner = min(
            np.flatnonzero(held == held.max()).tolist(), key=lambda one: _preference(child, axis, *shelf.entries[one])
        )
        mine = owners == owner
        taken, origins = _pair(left[which[mine]], shelf.lines[places[mine]])
        made, its_axis = shelf.entries[owner]
        pieces.append(Piece(made=made, axis=its_axis, lines=taken, origins=origins, within=None))
        left = left[~np.isin(left, taken, assume_unique=True)]
    return Proposal(axis=axis, pieces=tuple(pieces)) if pieces else None


def _preference(child: Matrix, axis: int, made: Made, its_axis: int) -> tuple[Any, ...]:
    """Among parents that explain as much: not transposed, the same name, the same shape, the first."""
    parent = made.matrix.tensor
    return axis != its_axis, parent.name != child.tensor.name, parent.shape != child.tensor.shape


def _pair(lines: Places, origins: Places) -> tuple[Places, Places]:
    """One origin for each line: the same place where that is one, else the first."""
    order = np.lexsort((origins, origins != lines, lines))
    lines, origins = lines[order], origins[order]
    first = np.ones(lines.size, bool)
    first[1:] = lines[1:] != lines[:-1]
    return lines[first], origins[first]


def _from_multisets(child: Matrix, sums: LineSums, index: Index) -> Iterator[Proposal]:
    """A whole parent whose rows and columns were both reordered."""
    count, length = child.size_along(0)
    shelf = index.unordered(child.tensor.dtype, length)
    if shelf is None:
        return
    begin, end = shelf.find(sums.unordered[0][:1])
    candidates = dict.fromkeys(shelf.owners[int(begin[0]) : int(end[0])][: _MAX_CANDIDATES**2].tolist())
    for owner in list(candidates)[:_MAX_CANDIDATES]:
        made, axis = shelf.entries[owner]
        if made.size_along(axis) != (count, length):
            continue
        origins = _align(sums.unordered[0], made.sums.unordered[axis])
        within = _align(sums.unordered[1], made.sums.unordered[1 - axis])
        if origins is not None and within is not None:
            piece = Piece(made=made, axis=axis, lines=np.arange(count), origins=origins, within=within)
            yield Proposal(axis=0, pieces=(piece,))


def _align(here: NDArray[np.uint64], there: NDArray[np.uint64]) -> Places | None:
    """For every line the one of the other with its sum, each used once; None where the sums are not the same."""
    mine, theirs = np.argsort(here, kind="stable"), np.argsort(there, kind="stable")
    if not np.array_equal(here[mine], there[theirs]):
        return None
    origins = np.empty(here.size, np.int64)
    origins[mine] = theirs
    return origins
