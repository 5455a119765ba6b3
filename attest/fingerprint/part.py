"""Collecting from a part of a tensor: the query's rows of a fused matrix as if they were a tensor of their own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Part
from attest.fingerprint.fingerprint import Makers, Results
from attest.fingerprint.unpacked import OfValues, can_be_unpacked, unpacked
from attest.sweep import Accumulator, row_shape

__all__ = ["PartAccumulator", "TurnedAccumulator", "collect_part", "collected", "whole_rows"]


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


class TurnedAccumulator:
    """Shows another accumulator matrices that are stored as inputs by outputs as outputs by inputs, one after the other.

    Parameters
    ----------
    n_rows : int
        Stored rows of each.
    inner : Accumulator
    """

    def __init__(self, n_rows: int, inner: Accumulator) -> None:
        self._n_rows = n_rows
        self._inner = inner
        self._waiting: list[NDArray[Any]] = []
        self._missing, self._shown = n_rows, 0

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - blocks come in order
        """See a block of stored rows, which wait until their matrix is whole."""
        while len(rows):
            own, rows = rows[: self._missing], rows[self._missing :]
            self._waiting.append(own.copy())
            self._missing -= len(own)
            if not self._missing:
                turned = np.ascontiguousarray(np.concatenate(self._waiting).T)
                self._inner.update(turned, self._shown)
                self._waiting, self._missing, self._shown = [], self._n_rows, self._shown + len(turned)

    def result(self) -> Any:
        """What the inner accumulator collected."""
        return self._inner.result()


def whole_rows(part: Part) -> bool:
    """Whether a sweep shows the tensor of a part as it is: a vector as one row, a matrix with its own rows."""
    shape = part.tensor.shape
    if part.turned is not None:
        shape = (part.tensor.size // part.turned, part.turned)
        return row_shape(replace(part.tensor, shape=shape)) == shape
    return row_shape(part.tensor) == (shape if len(shape) == 2 else (1, *shape))


def collect_part(name: str, part: Part, make: Callable[[], Accumulator]) -> Makers:
    """The maker of an accumulator for a part; for a whole tensor under the plain name, so that others share it.

    Of a packed weight the accumulator sees the values.
    """
    if part.rows is not None and not whole_rows(part):
        return {}
    maker = make if part.rows is None and part.turned is None else partial(_make, part, make)
    if part.packed is None:
        return {_key(name, part): maker}
    return {_key(name, part): OfValues(packed=part.packed, make=maker)} if can_be_unpacked(part.packed) else {}


def _make(part: Part, make: Callable[[], Accumulator]) -> Accumulator:
    return PartAccumulator(part, make()) if part.turned is None else TurnedAccumulator(part.tensor.shape[1], make())


def collected(name: str, part: Part, results: Results) -> Any:
    """What was collected from a part under a name, or None."""
    found = results[part.tensor.name].collected if part.packed is None else unpacked(part.packed, results)
    return found.get(_key(name, part))


def _key(name: str, part: Part) -> str:
    whole = name if part.packed is None else f"{name} of values"
    return whole if part.rows is None else f"{whole} of {part.role}"
