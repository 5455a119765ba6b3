"""A proposal put to the test: every code of the child is made again out of the parent, and compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.replay.matrix import BAND, Matrix
from attest.compare.weights.replay.proposal import Piece, Proposal

__all__ = ["Remade", "remake"]

Places = NDArray[np.int64]
Codes = NDArray[np.unsignedinteger]

_BINS = 1 << 16
_FOLD = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True)
class Remade:
    """A child of which lines were made again, bit for bit.

    Parameters
    ----------
    child : Matrix
    proposal : Proposal
    values : int
        Values that were made again and are the same.
    distinct : int
        Different codes among those, at least, and at most 65,536.
    commonest : float
        Share of the commonest code, at most.
    """

    child: Matrix
    proposal: Proposal
    values: int
    distinct: int
    commonest: float


def remake(child: Matrix, proposal: Proposal) -> Remade | None:
    """What a proposal makes again, or None where a single code differs."""
    counts = np.zeros(_BINS, np.int64)
    for piece in proposal.pieces:
        for mine, made in _both(child, proposal.axis, piece):
            if not np.array_equal(mine, made):
                return None
            counts += np.bincount(_fold(mine).ravel(), minlength=_BINS)
    total = int(counts.sum())
    return Remade(
        child=child,
        proposal=proposal,
        values=total * child.tensor.size // (child.rows * child.columns),
        distinct=int(np.count_nonzero(counts)),
        commonest=float(counts.max() / total),
    )


def _fold(codes: Codes) -> Codes:
    """Codes in 16 bits: different ones may fall together, equal ones always do."""
    if codes.itemsize <= 2:
        return codes
    return (codes.astype(np.uint64) * _FOLD) >> np.uint64(48)


def _both(child: Matrix, axis: int, piece: Piece) -> Iterator[tuple[Codes, Codes]]:
    """The child's codes and those made out of the parent, part after part."""
    parent = piece.made.matrix
    n_places = child.size_along(axis)[1]
    within = np.arange(n_places) if piece.within is None else piece.within
    n_lines = piece.lines.size
    row_bytes = max(child.row_bytes, parent.row_bytes, piece.made.columns * child.codes.itemsize)
    step = max(1, BAND // row_bytes)
    by_line = step if 0 in {axis, piece.axis} else n_lines
    by_place = step if 1 in {axis, piece.axis} else n_places
    for begin in range(0, n_lines, by_line):
        lines = slice(begin, begin + by_line)
        for first in range(0, n_places, by_place):
            places = slice(first, first + by_place)
            yield (
                _child_part(child, axis, piece.lines[lines], np.arange(n_places)[places]),
                _made_part(piece, piece.origins[lines], within[places]),
            )


def _child_part(child: Matrix, axis: int, lines: Places, places: Places) -> Codes:
    if axis == 0:
        return _columns(child.take(lines), places)
    return _columns(child.take(places), lines).T


def _made_part(piece: Piece, lines: Places, places: Places) -> Codes:
    made = piece.made
    rows = lines if piece.axis == 0 else places
    codes = made.operation.apply(made.matrix.take(rows), made.largest)
    return _columns(codes, places) if piece.axis == 0 else _columns(codes, lines).T


def _columns(codes: Codes, columns: Places) -> Codes:
    if columns.size == codes.shape[1] and np.array_equal(columns, np.arange(columns.size)):
        return codes
    return codes[:, columns]
