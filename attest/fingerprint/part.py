"""Collecting from a part of a tensor: the query's rows of a fused matrix as if they were a tensor of their own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Part
from attest.fingerprint.fingerprint import Makers, Results
from attest.sweep import Accumulator, row_shape

__all__ = ["PartAccumulator", "collect_part", "collected", "whole_rows"]


class PartAccumulator:
    """Shows another accumulator the rows, or the columns, of one part.

    Parameters
    ----------
    part : Part
        With ``rows``.
    inner : Accumulator
        Sees blocks of ``part.stored_shape``, in order.
    """

    def __init__(self, part: Part, inner: Accumulator) -> None:
        if part.rows is None:
            raise ValueError("a whole tensor has no part to select")
        self._rows = part.rows
        self._inner = inner
        self._by_column = part.axis == 1 or len(part.tensor.shape) == 1

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """See a block of the tensor; the inner accumulator gets a copy of what is of the part."""
        if self._by_column:
            self._inner.update(np.ascontiguousarray(rows[:, self._rows.positions(0, rows.shape[1])]), first_row)
            return
        picked = rows[self._rows.positions(first_row, first_row + rows.shape[0])]
        if len(picked):
            self._inner.update(picked, self._rows.before(first_row))

    def result(self) -> Any:
        """What the inner accumulator collected."""
        return self._inner.result()


def whole_rows(part: Part) -> bool:
    """Whether a sweep shows the tensor of a part as it is: a vector as one row, a matrix with its own rows."""
    shape = part.tensor.shape
    return row_shape(part.tensor) == (shape if len(shape) == 2 else (1, *shape))


def collect_part(name: str, part: Part, make: Callable[[], Accumulator]) -> Makers:
    """The maker of an accumulator for a part; for a whole tensor under the plain name, so that others share it."""
    if part.rows is None:
        return {name: make}
    return {_key(name, part): partial(_make, part, make)} if whole_rows(part) else {}


def _make(part: Part, make: Callable[[], Accumulator]) -> PartAccumulator:
    return PartAccumulator(part, make())


def collected(name: str, part: Part, results: Results) -> Any:
    """What was collected from a part under a name, or None."""
    return results[part.tensor.name].collected.get(_key(name, part))


def _key(name: str, part: Part) -> str:
    return name if part.rows is None else f"{name} of {part.role}"
