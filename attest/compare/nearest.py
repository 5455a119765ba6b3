"""Nearest neighbors among sketches, by cosine, the same on every machine.

Sketches are small integers: their inner products are integers below 2^24, which binary32 holds exactly, so no order of
summation changes a number.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.cores import usable_cores
from attest.native import Kernel

__all__ = ["Rows", "nearest"]

_BLOCK = 1024
_MOST_FEATURES = 1040
_LEAST_WORK = 1_000_000
"""Pairs of rows above which a few threads search; each row is searched for by itself, so no number depends on it."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of small integers, ready to be searched.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features), int8
        At most 1,040 features.
    """

    values: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.values.shape[1] > _MOST_FEATURES:
            raise ValueError("inner products of so many features may not be exact")

    def columns(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The transposed values, and one over the norm of every row, rounded to binary32; 0 for a row of zeros."""
        columns = np.ascontiguousarray(self.values.T, dtype=np.float32)
        squares = np.zeros(columns.shape[1], np.float32)
        for column in columns:
            squares += column * column
        inverse = 1 / np.sqrt(np.maximum(squares, 1).astype(np.float64))
        return columns, np.where(squares > 0, inverse, 0.0).astype(np.float32)


def nearest(x: NDArray[np.int8], y: Rows, *, absolute: bool) -> NDArray[np.int64]:
    """For every row of ``x`` the row of ``y`` with the greatest cosine; the first among equals.

    Parameters
    ----------
    x : ndarray of shape (n_rows, n_features), int8
    y : Rows
        Of as many features.
    absolute : bool
        Whether a row and its negative count as the same.

    Returns
    -------
    ndarray of shape (n_rows of x,), int64
        -1 where no row has a positive cosine.

    Notes
    -----
    Rows of ``y`` are ranked by the inner product times the inverse norm of the row, in binary32.
    """
    found = np.full(x.shape[0], -1, np.int64)
    if x.shape[1] != y.values.shape[1]:
        raise ValueError("rows of unequal numbers of features have no cosine")
    if found.size and x.shape[1]:
        columns, inverse = y.columns()
        rows = np.ascontiguousarray(x, dtype=np.float32)

        def search(part: slice) -> None:
            sizes = np.array([found[part].size, x.shape[1], inverse.size, absolute], np.int64)
            _NEAREST(rows[part], columns, inverse, sizes, np.empty(_BLOCK, np.float32), found[part])

        parts = usable_cores() if found.size * inverse.size > _LEAST_WORK else 1
        bounds = np.linspace(0, found.size, parts + 1).astype(int).tolist()
        with ThreadPoolExecutor(parts) as pool:
            list(pool.map(search, map(slice, bounds, bounds[1:])))
    return found


def _nearest(x: Any, columns: Any, inverse: Any, sizes: Any, buffer: Any, found: Any) -> None:  # noqa: C901 - one loop
    n_x, width, n_y, absolute = sizes[0], sizes[1], sizes[2], sizes[3]
    for row in range(n_x):
        best, at = np.float32(0), -1
        for first in range(0, n_y, 1024):
            count = min(1024, n_y - first)
            for column in range(count):
                buffer[column] = np.float32(0)
            for feature in range(width):
                value, begin = x[row * width + feature], feature * n_y + first
                for column in range(count):
                    buffer[column] += value * columns[begin + column]
            if absolute:
                for column in range(count):
                    buffer[column] = abs(buffer[column])
            for column in range(count):
                buffer[column] *= inverse[first + column]
            for column in range(count):
                if buffer[column] > best:
                    best, at = buffer[column], first + column
        found[row] = at


_NEAREST = Kernel(_nearest, "float32*", "float32*", "float32*", "int64*", "float32*", "int64*")
