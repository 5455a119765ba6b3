"""Sums of products that a test in closed form needs, made in one pass and outside the interpreter's lock.

Libraries of linear algebra start threads of their own, in each of the threads that a query has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["Products", "inner_products", "may_repeat_rows", "multiply"]

_BLOCK = 512
"""Units that are taken together: their products are summed in 32 bits, and they stay in the processor's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Products:
    """Sums over the units of two sketches: whole numbers, so exact.

    Parameters
    ----------
    crossed : int
        Of the inner products of both sketches' units.
    sums : ndarray of shape (n_features,), int64
        Of the second sketch's features.
    squares : ndarray of shape (n_features, n_features), int64
        Of the products of the second sketch's features with each other.
    """

    crossed: int
    sums: NDArray[np.int64]
    squares: NDArray[np.int64]

    def moments(self, n: int) -> NDArray[np.float64]:
        """Products of the second sketch's features around their means, over n units."""
        sums = self.sums.astype(np.float64)
        return self.squares - np.outer(sums, sums) / n


def multiply(mine: NDArray[np.int8], theirs: NDArray[np.int8]) -> Products:
    """Products of two sketches of one shape (n_units, n_features)."""
    n, width = theirs.shape
    products = np.zeros(1 + width + width * width, np.int64)
    columns = np.empty(width * _BLOCK, np.int16)
    _MULTIPLY(np.ascontiguousarray(mine), np.ascontiguousarray(theirs), n, width, columns, products)
    squares = products[1 + width :].reshape(width, width)
    return Products(crossed=int(products[0]), sums=products[1 : 1 + width], squares=squares)


def _multiply(mine: Any, theirs: Any, n: int, width: int, columns: Any, products: Any) -> None:
    """Sum in 32 bits within a block, where no sum is longer than 24, so that the processor takes many at once."""
    for begin in range(0, n, _BLOCK):
        rows = min(_BLOCK, n - begin)
        crossed = np.int32(0)
        for place in range(begin * width, (begin + rows) * width):
            crossed = np.int32(crossed + np.int32(mine[place]) * np.int32(theirs[place]))
        products[0] += crossed
        for column in range(width):
            at = column * _BLOCK
            total = np.int32(0)
            for row in range(rows):
                columns[at + row] = theirs[(begin + row) * width + column]
            for row in range(rows, _BLOCK):
                columns[at + row] = 0
            for row in range(_BLOCK):
                total = np.int32(total + columns[at + row])
            products[1 + column] += total
        for one in range(width):
            for other in range(one, width):
                total = np.int32(0)
                for row in range(_BLOCK):
                    product = np.int32(columns[one * _BLOCK + row]) * np.int32(columns[other * _BLOCK + row])
                    total = np.int32(total + product)
                products[1 + width + one * width + other] += total
                products[1 + width + other * width + one] = products[1 + width + one * width + other]


_MULTIPLY = Kernel(_multiply, "int8*", "int8*", "int64", "int64", "int16*", "int64*")


def inner_products(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Inner product of every vector with every other, shape (n_vectors, n_vectors), given (n_vectors, n_units)."""
    n_vectors, n = vectors.shape
    products = np.zeros((n_vectors, n_vectors))
    units = np.empty(n_vectors * _BLOCK)
    _ADD_PRODUCTS(np.ascontiguousarray(vectors), n_vectors, n, units, products)
    return products


def _add_products(vectors: Any, n_vectors: int, n: int, units: Any, products: Any) -> None:
    """Add the products of four units at a time, those below the diagonal, which are mirrored at the end."""
    for begin in range(0, n, _BLOCK):
        here = min(_BLOCK, n - begin)
        for vector in range(n_vectors):
            for unit in range(here):
                units[unit * n_vectors + vector] = vectors[vector * n + begin + unit]
            for unit in range(here, _BLOCK):
                units[unit * n_vectors + vector] = 0.0
        for vector in range(n_vectors):
            for unit in range(0, _BLOCK, 4):
                first, second = unit * n_vectors, (unit + 1) * n_vectors
                third, fourth = (unit + 2) * n_vectors, (unit + 3) * n_vectors
                for other in range(vector + 1):
                    products[vector * n_vectors + other] += (
                        units[first + vector] * units[first + other]
                        + units[second + vector] * units[second + other]
                        + units[third + vector] * units[third + other]
                        + units[fourth + vector] * units[fourth + other]
                    )
    for vector in range(n_vectors):
        for other in range(vector):
            products[other * n_vectors + vector] = products[vector * n_vectors + other]


_ADD_PRODUCTS = Kernel(_add_products, "float64*", "int64", "int64", "float64*", "float64*")


def may_repeat_rows(sketch: NDArray[np.int8]) -> bool:
    """Whether two rows have one hash of 64 bits: equal rows have, and hardly any others."""
    n, width = sketch.shape
    padded = np.pad(sketch, ((0, 0), (0, -width % 8))) if width % 8 else np.ascontiguousarray(sketch)
    words = padded.view(np.uint64)
    hashes = np.empty(n, np.uint64)
    _HASH(words, n, words.shape[1], hashes)
    hashes.sort()
    return bool((hashes[1:] == hashes[:-1]).any())


def _hash(words: Any, n: int, width: int, hashes: Any) -> None:
    for row in range(n):
        mixed = np.uint64(0)
        for column in range(width):
            mixed = np.uint64((mixed ^ words[row * width + column]) * np.uint64(0x9E3779B97F4A7C15))
            mixed = np.uint64(mixed ^ (mixed >> np.uint64(32)))
        hashes[row] = mixed


_HASH = Kernel(_hash, "uint64*", "int64", "int64", "uint64*")
