"""Words for where rows went: which of them, of which tensor, and in what order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MatrixRows", "describe_order", "describe_runs", "short"]

_MAX_RUNS = 4
_MAX_NAME = 120


@dataclass(frozen=True, kw_only=True, slots=True)
class MatrixRows:
    """Rows of one matrix: digests, uint64, and which rows they are, int64 and ascending."""

    digests: NDArray[np.uint64]
    numbers: NDArray[np.int64]


def describe_runs(places: NDArray[np.int64], numbers: NDArray[np.int64]) -> str:
    """Which rows these are, as runs of rows.

    Parameters
    ----------
    places : ndarray of int64
        Positions among the rows that are looked at, ascending.
    numbers : ndarray of int64
        Numbers of the rows that are looked at, ascending.

    Examples
    --------
    >>> describe_runs(np.array([0, 1, 2, 7]), np.arange(9))
    '0-2, 7'
    >>> describe_runs(np.arange(3), np.array([4, 10, 11]))
    'all'
    """
    if places.size == numbers.size:
        return "all"
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    ends = np.append(begins[1:], places.size) - 1
    rows = numbers[places]
    runs = [(int(rows[begin]), int(rows[end])) for begin, end in zip(begins, ends, strict=True)]
    words = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:_MAX_RUNS]]
    return ", ".join(words) + (f" and {len(runs) - _MAX_RUNS} more runs" if len(runs) > _MAX_RUNS else "")


def describe_order(here: MatrixRows, there: MatrixRows, places: NDArray[np.int64]) -> str:
    """How rows of one matrix stand in another: in place, moved by some rows, in the same order, or reordered.

    Parameters
    ----------
    here, there : MatrixRows
        Rows of both that are looked at.
    places : ndarray of int64
        Positions of those of the first that were found somewhere, ascending; those that ``there`` does not hold are
        passed over.
    """
    digests, rows = here.digests[places], here.numbers[places]
    same = np.minimum(np.searchsorted(there.numbers, rows), there.numbers.size - 1)
    if np.array_equal(there.numbers[same], rows) and np.array_equal(there.digests[same], digests):
        return "in place"
    order = np.argsort(there.digests, kind="stable")
    position = np.minimum(np.searchsorted(there.digests, digests, sorter=order), there.digests.size - 1)
    held = there.digests[order[position]] == digests
    found, origin = there.numbers[order[position[held]]], rows[held]
    if np.array_equal(found, origin):
        return "in place"
    moves = np.unique(found - origin)
    if moves.size == 1:
        return f"moved by {int(moves[0]):+d}"
    return "in order" if np.all(np.diff(found) > 0) else "reordered"


def short(name: str) -> str:
    """A tensor's name as a table holds it: a statement must stay small enough to be signed, whatever names there are."""
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
