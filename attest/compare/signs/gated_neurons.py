"""Gated neurons as the tests of signs see them: how like they are by what they read, and which grew out of one."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attest.compare.signs.sign_lean import SignedRows

__all__ = ["GatedNeurons", "without_twins"]

_TWINS = 0.5
"""Likeness a part from which on two neurons of one network count as grown out of one, on many axes."""

_STRANGERS_SD, _POOLED_SD = 4.2, 3.2
"""On few axes, this many standard deviations above what random neurons have; the second among experts."""


@dataclass(frozen=True, kw_only=True)
class GatedNeurons:
    """Gated neurons of one layer on some axes; how they are compared is kept, so there are no slots.

    Parameters
    ----------
    gate, up, down : ndarray of shape (n_neurons, n_axes), int8
        At most 1,040 axes: inner products are integers below 2^24, the same on every machine.
    pooled : bool
        Whether they are of several experts, which often began as copies of each other.
    """

    gate: NDArray[np.int8]
    up: NDArray[np.int8]
    down: NDArray[np.int8]
    pooled: bool = False

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.down)

    @cached_property
    def reading(self) -> tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]:
        """Of gate and up the values, and one over the norm of every row; 0 for a row of zeros."""
        return _with_inverse_norms(self.gate), _with_inverse_norms(self.up)

    @cached_property
    def writing(self) -> NDArray[np.float64]:
        """Down of every neuron at length 1, shape (n_neurons, n_axes); zeros stay."""
        values, inverse = _with_inverse_norms(self.down)
        return values.astype(np.float64) * inverse[:, None].astype(np.float64)

    def signed(self, rows: NDArray[np.int64]) -> SignedRows:
        """Some of them at length 1."""
        gate, up = ((values[rows] * inverse[rows, None]).astype(np.float64) for values, inverse in self.reading)
        return SignedRows(gate=gate, up=up, down=self.writing[rows])

    def likeness(
        self, rows: NDArray[np.int64], other: GatedNeurons, columns: NDArray[np.int64] | slice
    ) -> NDArray[np.float32]:
        """Sum of the magnitudes of the cosines of gate and of up, shape (n_rows, n_columns), in [0, 2]."""
        gate, up = (
            _magnitudes(x[rows], x_inverse[rows], y[columns], y_inverse[columns])
            for (x, x_inverse), (y, y_inverse) in zip(self.reading, other.reading, strict=True)
        )
        gate += up
        return gate

    def twins(self, rows: NDArray[np.int64], *, pooled: bool) -> NDArray[np.bool_]:
        """Which of these grew out of one, shape (n_rows, n_rows); among experts by the magnitude of what they write, too.

        The mean of the sum of parts of random neurons is about parts * sqrt(2 / (pi n_axes)).
        """
        likeness, parts, deviations, n_axes = self.likeness(rows, self, rows), 2, _STRANGERS_SD, self.down.shape[1]
        if pooled:
            written = _with_inverse_norms(self.down[rows])
            likeness, parts, deviations = likeness + _magnitudes(*written, *written), 3, _POOLED_SD
        mean, variance = parts * math.sqrt(2 / (math.pi * n_axes)), parts * (1 - 2 / math.pi) / n_axes
        found: NDArray[np.bool_] = likeness >= max(parts * _TWINS, mean + deviations * math.sqrt(variance))
        return found


def without_twins(twins: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Places of the neurons that have no twin before them."""
    return np.flatnonzero(~np.tril(twins, -1).any(axis=1))


def _magnitudes(
    x: NDArray[np.float32], x_inverse: NDArray[np.float32], y: NDArray[np.float32], y_inverse: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Magnitudes of the cosines of rows, shape (n_rows, n_columns); products of integers, which are exact, come first."""
    products: NDArray[np.float32] = x @ y.T
    products *= x_inverse[:, None]
    products *= y_inverse
    return np.abs(products, out=products)


def _with_inverse_norms(values: NDArray[np.int8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    wide = values.astype(np.float32)
    squares = np.einsum("ij,ij->i", wide, wide)
    inverse = np.divide(1, np.sqrt(squares.astype(np.float64)), out=np.zeros(squares.size), where=squares > 0)
    return wide, inverse.astype(np.float32)
