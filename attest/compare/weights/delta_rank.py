"""Rank of a difference of two matrices: a merged adapter of rank r leaves r singular values above the rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.replay.operation import LARGEST

__all__ = ["Ranks", "delta_ranks"]

Bands: TypeAlias = Callable[[], Iterator[tuple[NDArray[Any], NDArray[Any]]]]

_FULL = 256
"""Shorter side up to which all singular values are computed."""

_SKETCH = 128
"""Directions that a longer matrix is projected to."""

_SIGNIFICAND = {"F64": 53, "F32": 24, "F16": 11, "BF16": 8}
_MARGIN = 1.1
_LEAST_RELATIVE = 1e-6
"""Singular values below that share of the largest are lost in the squares that they are computed from."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranks:
    """Ranks of a difference.

    Parameters
    ----------
    stable : float
        Sum of the squared singular values over the largest of them.
    above : int
        Singular values above what rounding alone gives.
    seen : int
        Singular values that were computed, the largest.
    """

    stable: float
    above: int
    seen: int

    @property
    def words(self) -> str:
        """The rank above rounding, or that it is at least as large as could be seen."""
        return f"{self.above} or more" if self.above == self.seen else str(self.above)


def delta_ranks(bands: Bands, rows: int, columns: int, dtype: str) -> Ranks | None:
    """Ranks of y - x; None where it has values that are not finite or beyond ``LARGEST``, or is nothing.

    Parameters
    ----------
    bands : callable
        Gives the bands (x, y) of all rows, again at every call.
    rows, columns : int
    dtype : str
        What y is written in; quantized ones have no rank above rounding that means anything and count as F16.

    Notes
    -----
    Rounding adds to every value an error of variance u^2 / 12, with u the distance to the next value of the dtype. A
    matrix of such errors has singular values up to about r + c, with r^2 and c^2 the largest sums of variances of a row
    and of a column. Those above 1.1 times that are counted.

    References
    ----------
    Bandeira and van Handel, "Sharp Nonasymptotic Bounds on the Norm of Random Matrices with Independent Entries", Ann.
    Probab. 44, 2016. Halko, Martinsson and
    Tropp, "Finding Structure with Randomness", SIAM Review 53, 2011 (algorithm 5.1).
    """
    squares, total, noise = _squares(bands, rows, columns, _SIGNIFICAND.get(dtype, 11))
    if squares is None or not squares.size or squares.max() <= 0:
        return None
    values = np.sqrt(np.maximum(squares, 0))
    above = int(np.count_nonzero(values > max(_MARGIN * noise, _LEAST_RELATIVE * values.max())))
    return Ranks(stable=total / float(squares.max()), above=above, seen=values.size)


def _squares(
    bands: Bands, rows: int, columns: int, significand: int
) -> tuple[NDArray[np.floating] | None, float, float]:
    """Squared singular values, the sum of all, and the largest singular value that rounding gives."""
    total = widest = 0.0
    noise = np.zeros(columns)
    product = np.zeros((columns, columns)) if columns <= _FULL else None
    kept: list[NDArray[np.float64]] = []
    directions = None if columns <= _FULL or rows <= _FULL else _directions(columns)
    for x, y in bands():
        delta = y.astype(np.float64) - x.astype(np.float64)
        if not (np.abs(delta) <= LARGEST).all():
            return None, 0.0, 0.0
        total += float(np.sum(delta * delta))
        errors = _rounding(y, significand)
        noise += errors.sum(axis=0)
        widest = max(widest, float(errors.sum(axis=1).max()))
        if product is not None:
            product += delta.T @ delta
        else:
            kept.append(delta if directions is None else delta @ directions)
    edge = math.sqrt(widest) + math.sqrt(noise.max())
    if product is not None:
        return np.linalg.eigvalsh(product)[-min(rows, columns) :], total, edge
    whole = np.concatenate(kept)
    if directions is None:
        return np.linalg.eigvalsh(whole @ whole.T), total, edge
    basis, _ = np.linalg.qr(whole)
    image, first = np.zeros((basis.shape[1], columns)), 0
    for x, y in bands():
        image += basis[first : first + len(x)].T @ (y.astype(np.float64) - x.astype(np.float64))
        first += len(x)
    return np.linalg.eigvalsh(image @ image.T), total, edge


def _rounding(values: NDArray[Any], significand: int) -> NDArray[np.float64]:
    """u^2 / 12 of the values."""
    bits = values.astype(np.float64).view(np.uint64)
    steps = (bits & np.uint64(0x7FF0000000000000)).view(np.float64) * 2.0 ** (1 - significand)
    return steps * steps / 12


def _directions(columns: int) -> NDArray[np.floating]:
    """Signs, the same on every machine."""
    words = np.random.Philox(key=0).random_raw(columns * _SKETCH // 64 + 1)
    bits = np.unpackbits(words.view(np.uint8))[: columns * _SKETCH]
    return 2.0 * bits.reshape(columns, _SKETCH) - 1.0
