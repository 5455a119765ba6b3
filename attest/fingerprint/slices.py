"""Collecting from a tensor that holds several matrices of one shape: each as if it were a tensor of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from numpy.typing import NDArray

from attest.sweep import Accumulator

__all__ = ["SlicesAccumulator"]


class SlicesAccumulator:
    """Shows every slice to accumulators of its own, which are dropped when it has passed.

    Parameters
    ----------
    n_rows : int
        Stored rows of one slice.
    make : mapping of str to callable
        Makers of the accumulators of one slice, by name.
    """

    def __init__(self, n_rows: int, make: Mapping[str, Callable[[], Accumulator]]) -> None:
        self._n_rows = n_rows
        self._make = make
        self._current: Mapping[str, Accumulator] = {}
        self._results: list[Mapping[str, Any]] = []

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """See a block of rows, of one slice or of several."""
        while len(rows):
            within = first_row % self._n_rows
            if within == 0:
                self._current = {name: make() for name, make in self._make.items()}
            own = rows[: self._n_rows - within]
            for one in self._current.values():
                one.update(own, within)
            if within + len(own) == self._n_rows:
                self._results.append({name: one.result() for name, one in self._current.items()})
            rows, first_row = rows[len(own) :], first_row + len(own)

    def result(self) -> tuple[Mapping[str, Any], ...]:
        """What was collected of each slice, by name."""
        return tuple(self._results)
