"""Nearest neighbors among sketches, by cosine, the same on every machine.

Sketches are small integers: their inner products are integers below 2^24, which binary32 holds exactly, so no order of
summation changes a number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["Rows", "are_nearest", "nearest"]

_BLOCK = 512
_MOST_FEATURES = 1040


@dataclass(frozen=True)
class Rows:
    """Rows of small integers, to be searched; how they are searched is kept, so there are no slots.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_features), int8
        At most 1,040 features.
    """

    values: NDArray[np.int8]

    def __post_init__(self) -> None:
        if self.values.shape[1] > _MOST_FEATURES:
            raise ValueError("inner products of so many features may not be exact")

    @cached_property
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
    _search(x, y, found, absolute=absolute, given=False)
    return found


def are_nearest(x: NDArray[np.int8], y: Rows, places: NDArray[np.int64], *, absolute: bool) -> NDArray[np.bool_]:
    """Which rows of ``x`` have their nearest row of ``y``, as ``nearest`` gives it, at these places.

    Parameters
    ----------
    places : ndarray of shape (n_rows of x,), int64
        Of rows of ``y``.

    Notes
    -----
    The search for a row ends where one is nearer, which most often is soon: what is asked costs far less than ``nearest``.
    """
    found = places.copy()
    _search(x, y, found, absolute=absolute, given=True)
    held: NDArray[np.bool_] = found >= 0
    return held


def _search(x: NDArray[np.int8], y: Rows, found: NDArray[np.int64], *, absolute: bool, given: bool) -> None:
    """Fill in the nearest, or make -1 of those that are ``given`` and not the nearest."""
    if x.shape[1] != y.values.shape[1]:
        raise ValueError("rows of unequal numbers of features have no cosine")
    if not found.size or not x.shape[1]:
        found[:] = -1
        return
    columns, inverse = y.columns
    products = np.empty(_BLOCK, np.float32)
    sizes = np.array([found.size, x.shape[1], inverse.size, absolute, given], np.int64)
    rows = np.ascontiguousarray(x, dtype=np.float32)
    _NEAREST(rows, columns, inverse, sizes, products, products.view(np.int32), np.empty(found.size, np.int32), found)


def _nearest(  # noqa: C901, PLR0912 - one loop
    x: Any, columns: Any, inverse: Any, sizes: Any, products: Any, bits: Any, best: Any, found: Any
) -> None:
    """Look at all columns, 512 at a time for every row that is still open.

    ``bits`` are those of ``products``, and ``best`` those of the nearest yet: positive floats stand in the order of their
    bits, and the greatest of integers is found faster.
    """
    n_x, width, n_y, absolute, given = sizes[0], sizes[1], sizes[2], sizes[3], sizes[4]
    for row in range(n_x):
        best[row] = 0
        if given:
            product, at = np.float32(0), found[row]
            for feature in range(width):
                product += x[row * width + feature] * columns[feature * n_y + at]
            products[0] = (abs(product) if absolute else product) * inverse[at]
            best[row] = bits[0] if bits[0] > 0 else -1
    for first in range(0, n_y, 512):
        count = min(512, n_y - first)
        for row in range(n_x):
            if best[row] < 0:
                continue
            for column in range(count):
                products[column] = np.float32(0)
            by_four = width - width % 4
            for feature in range(0, by_four, 4):
                place, begin = row * width + feature, feature * n_y + first
                one, two, three, four = x[place], x[place + 1], x[place + 2], x[place + 3]
                for column in range(count):
                    at = begin + column
                    products[column] += (one * columns[at] + two * columns[at + n_y]) + (
                        three * columns[at + 2 * n_y] + four * columns[at + 3 * n_y]
                    )
            for feature in range(by_four, width):
                value, begin = x[row * width + feature], feature * n_y + first
                for column in range(count):
                    products[column] += value * columns[begin + column]
            if absolute:
                for column in range(count):
                    products[column] = abs(products[column])
            for column in range(count):
                products[column] *= inverse[first + column]
            greatest = np.int32(0)
            for column in range(count):
                greatest = max(greatest, bits[column])
            if greatest < best[row] or greatest == 0:
                continue
            at = 0
            while bits[at] != greatest:
                at += 1
            if given:
                if greatest > best[row] or first + at < found[row]:
                    best[row] = -1
            elif greatest > best[row]:
                best[row], found[row] = greatest, first + at
    if given:
        for row in range(n_x):
            if best[row] < 0:
                found[row] = -1


_NEAREST = Kernel(_nearest, "float32*", "float32*", "float32*", "int64*", "float32*", "int32*", "int32*", "int64*")
