"""Words for where rows went: which of them, of which tensor, and in what order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["describe_order", "describe_runs", "short"]

_MAX_RUNS = 4
_MAX_NAME = 120


def describe_runs(places: NDArray[np.int64], n_rows: int) -> str:
    """Which of ``n_rows`` rows these are, as runs.

    Examples
    --------
    >>> describe_runs(np.array([0, 1, 2, 7]), 9)
    '0-2, 7'
    >>> describe_runs(np.arange(9), 9)
    'all'
    """
    if places.size == n_rows:
        return "all"
    begins = np.flatnonzero(np.diff(places, prepend=-2) != 1)
    ends = np.append(begins[1:], places.size) - 1
    runs = [(int(places[begin]), int(places[end])) for begin, end in zip(begins, ends, strict=True)]
    words = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:_MAX_RUNS]]
    return ", ".join(words) + (f" and {len(runs) - _MAX_RUNS} more runs" if len(runs) > _MAX_RUNS else "")


def describe_order(here: NDArray[np.uint64], there: NDArray[np.uint64], places: NDArray[np.int64]) -> str:
    """How rows of one matrix stand in another: in place, moved by some rows, in the same order, or reordered.

    Parameters
    ----------
    here, there : ndarray of uint64
        Digests of all rows of both.
    places : ndarray of int64
        Rows of the first that were found somewhere, ascending; those that ``there`` does not hold are passed over.
    """
    within = places[places < there.size]
    if within.size == places.size and np.array_equal(here[within], there[within]):
        return "in place"
    order = np.argsort(there, kind="stable")
    digests = here[places]
    position = np.minimum(np.searchsorted(there, digests, sorter=order), there.size - 1)
    held = there[order[position]] == digests
    found, origin = order[position[held]], places[held]
    if np.array_equal(found, origin):
        return "in place"
    moves = np.unique(found - origin)
    if moves.size == 1:
        return f"moved by {int(moves[0]):+d}"
    return "in order" if np.all(np.diff(found) > 0) else "reordered"


def short(name: str) -> str:
    """A tensor's name as a table holds it: a statement must stay small enough to be signed, whatever names there are."""
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
