"""The rows that an adapter makes out of those of a base.

Every number follows from one order of evaluation: products of float32 values, which float64 holds exactly, are added
to zero in float64 in the order of the rank; the sum times the scale is added to the base's value in float64; DoRA then
divides the row's magnitude by the root of the sum of the row's squares, added from its first value on, and multiplies.
The result is rounded once to the dtype of the base, to nearest, ties to even.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.adapter import Change, LowRank
from attest.checkpoint.checkpoint import Checkpoint
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import as_float32, nearest_bits
from attest.native import Kernel

__all__ = ["ChangedRows"]


class ChangedRows:
    """One changed tensor of a base, row by row.

    Parameters
    ----------
    adapter : Checkpoint
    tensor : Tensor
        Of the base.
    change : Change
    """

    def __init__(self, adapter: Checkpoint, tensor: Tensor, change: Change) -> None:
        def read(one: Tensor) -> NDArray[np.float32]:
            return as_float32(adapter.read_bits(one), one.dtype)

        n_columns = tensor.shape[-1] if len(tensor.shape) > 1 else 1
        self._dtype = tensor.dtype
        self._change = change
        self._own = None if change.own is None else read(change.own).reshape(-1, n_columns)
        if not isinstance(change, LowRank):
            return
        a, b = read(change.a), read(change.b)
        self._left, right = (a.T, b.T) if change.turned else (b, a)
        self._right = np.ascontiguousarray(right, np.float64)
        self._magnitude = None if change.magnitude is None else read(change.magnitude).astype(np.float64)

    def of(self, bits: NDArray[Any], first_row: int) -> NDArray[Any]:
        """New bits of some rows, given those of the base."""
        here = slice(first_row, first_row + len(bits))
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            own = as_float32(bits, self._dtype) if self._own is None else self._own[here]
            values = own.astype(np.float64)
            if isinstance(self._change, LowRank):
                self._change_rows(values, here, self._change.scale)
        return nearest_bits(values, self._dtype)

    def _change_rows(self, values: NDArray[np.float64], here: slice, scale: float) -> None:
        left = np.ascontiguousarray(self._left[here], np.float64)
        delta = np.zeros(values.shape)
        _ADD_PRODUCTS(left, self._right, *left.shape, values.shape[1], delta)
        values += scale * delta
        if self._magnitude is not None:
            norms = np.sqrt(np.add.accumulate(values * values, axis=1)[:, -1])
            values *= (self._magnitude[here] / norms)[:, None]


def _add_products(left: Any, right: Any, n_rows: int, rank: int, n_columns: int, sums: Any) -> None:
    """Add the products of two matrices, the first column of ``left`` first: products of float32 are exact."""
    for row in range(n_rows):
        for k in range(rank):
            weight = left[row * rank + k]
            for column in range(n_columns):
                sums[row * n_columns + column] += weight * right[k * n_columns + column]


_ADD_PRODUCTS = Kernel(_add_products, "float64*", "float64*", "int64", "int64", "int64", "float64*")
