"""Matrices of a checkpoint by what they are for, as values: queries, keys, gates, whatever their names and containers.

What the tests on weights share. Values of quantized and fused tensors are read alike, those of experts one by one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part
from attest.compare.weights.replay.matrix import Matrix
from attest.compare.weights.replay.operation import LARGEST, VALUES, decode
from attest.fingerprint.anchors import read_rows

__all__ = ["RoleWeights", "in_both", "is_readable", "shape_of"]

_FRONT = {"q": "attention_norm", "k": "attention_norm", "v": "attention_norm", "gate": "mlp_norm", "up": "mlp_norm"}
"""The norm in front of a matrix that reads the residual stream."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RoleWeights:
    """Weights of the main stack of one checkpoint, read when they are asked for."""

    model: Model

    @property
    def layers(self) -> int:
        """Number of layers."""
        return self.model.n_layers

    def shape(self, role: str, layer: int | None) -> tuple[int, int] | None:
        """Outputs and inputs of a matrix; None where there is none whose values are read."""
        part = self.part(role, layer)
        return None if part is None else shape_of(part)

    def matrix(self, role: str, layer: int | None, *, folded: bool = False) -> NDArray[np.float32] | None:
        """A matrix, outputs by inputs; None where there is none.

        Parameters
        ----------
        role : str
        layer : int or None
        folded : bool
            Whether to multiply it by the gain of the norm in front, where there is one.

        Returns
        -------
        ndarray of shape (n_outputs, n_inputs), float32
            0 where a value is not finite, or beyond ``LARGEST``. Memory is that of the tensor, twice at most.
        """
        part = self.part(role, layer)
        return None if part is None else self.values(part, folded=folded)

    def values(self, part: Part, *, folded: bool = False) -> NDArray[np.float32]:
        """A part that is readable, as ``matrix`` gives it."""
        whole = part.rows is None or part.transposed
        wanted = None if whole or part.rows is None else part.rows.positions(0, part.tensor.shape[0])
        values = self._rows(part, wanted)
        if part.transposed:
            values = values.T if part.rows is None else values.T[part.rows.positions(0, values.shape[1])]
        gain = self.gain(_FRONT.get(part.role), part.layer) if folded else None
        if gain is None or gain.size != values.shape[1]:
            return values
        with np.errstate(over="ignore"):
            return _finite(values * gain)

    def rows(self, role: str, layer: int | None, rows: NDArray[np.int64]) -> NDArray[np.float32] | None:
        """Some rows of a matrix that is stored as outputs by inputs, such as an embedding; those are read alone."""
        part = self.part(role, layer)
        if part is None or part.transposed or part.rows is not None:
            return None
        found = read_rows(self.model.checkpoint, part, rows)
        return _finite(found if part.packed else decode(found, part.tensor.dtype))

    def gain(self, role: str | None, layer: int | None) -> NDArray[np.float32] | None:
        """Gain of a norm, with the one that some families leave out; None where there is none."""
        part = self.model.index.get((role, layer)) if role else None
        if part is None or len(part.tensor.shape) != 1 or part.tensor.dtype not in VALUES:
            return None
        gain = self._rows(part, None).reshape(-1)
        offset = self.model.family.norm_offset if self.model.family else 0
        return gain + np.float32(1) if offset else gain

    def part(self, role: str, layer: int | None) -> Part | None:
        """Where a matrix lies; None where there is none whose values are read."""
        part = self.model.index.get((role, layer))
        return part if part is not None and is_readable(part) else None

    def _rows(self, part: Part, rows: NDArray[np.int64] | None) -> NDArray[np.float32]:
        if part.packed is not None:
            values = self.model.checkpoint.read_values(part.packed)
            return _finite(values if rows is None else values[rows])
        matrix = Matrix(checkpoint=self.model.checkpoint, tensor=part.tensor)
        codes = matrix.take(np.arange(matrix.rows) if rows is None else rows)
        return _finite(decode(codes, part.tensor.dtype))


def _finite(values: NDArray[np.floating]) -> NDArray[np.float32]:
    usual = np.abs(values) <= LARGEST
    return (values if usual.all() else np.where(usual, values, 0)).astype(np.float32, copy=False)


def is_readable(part: Part) -> bool:
    """Whether a part is a matrix whose values are read."""
    return len(part.tensor.shape) == 2 and part.tensor.dtype in VALUES and part.tensor.size > 0


def shape_of(part: Part) -> tuple[int, int]:
    """Outputs and inputs of a matrix."""
    rows, columns = part.stored_shape
    return (columns, rows) if part.transposed else (rows, columns)


def in_both(weights: tuple[Model, Model]) -> tuple[RoleWeights, RoleWeights]:
    """Weights of both checkpoints by role."""
    return RoleWeights(model=weights[0]), RoleWeights(model=weights[1])
