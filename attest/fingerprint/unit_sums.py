"""Sums along rows and columns of the matrices in a layer: what ``unit-norms/v1`` and ``neuron-sketch/v1`` share.

A sketch projects every neuron on a few public directions. A direction is sparse: coordinate j belongs to the one
bucket ``j mod 8``, with a public random sign, so that a sketch of any width costs one multiplication a weight.

References
----------
Charikar, Chen, Farach-Colton, "Finding Frequent Items in Data Streams", 2002, section 3 (the count sketch, here with
buckets in turn and random signs).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part, PlacedTensor
from attest.fingerprint.fingerprint import Makers, Results
from attest.fingerprint.part import collect_part, collected, whole_rows
from attest.fingerprint.vectors import can_be_kept
from attest.sweep import Accumulator, RowSums, RowSumsAccumulator, as_float32

__all__ = [
    "N_BUCKETS",
    "ColumnSketchAccumulator",
    "UnitSketch",
    "can_be_summed",
    "collect_sums",
    "collect_units",
    "collected_sketch",
    "collected_sums",
    "gain_in_front",
    "make_sums",
    "public_signs",
    "signed_gain",
    "sketch_of",
]

N_BUCKETS = 8
_SPEC = "attest neuron-sketch/v1"
_ROLES = frozenset({"q", "k", "v", "o", "gate", "up", "down", "q_a", "q_b", "kv_a", "kv_b", "k_b", "v_b"})


def public_signs(part: str, n: int) -> NDArray[np.float64]:
    """Public random signs for the coordinates of one part of a neuron.

    Parameters
    ----------
    part : {"gate", "up", "down"}
    n : int
        Number of coordinates (d_model).

    Returns
    -------
    ndarray of shape (n,), float64
        +1 where the bit of SHAKE-256 over ``"attest neuron-sketch/v1 <part>"`` is 0, least significant bit of each
        byte first; -1 where it is 1.

    References
    ----------
    FIPS 202, section 6.2 (SHAKE256).
    """
    stream = hashlib.shake_256(f"{_SPEC} {part}".encode()).digest((n + 7) // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little")[:n]
    return 1.0 - 2.0 * bits.astype(np.float64)


def signed_gain(model: Model, role: str, gain: NDArray[np.float32] | None, d_model: int) -> NDArray[np.float64]:
    """Weights of a sketch, shape (d_model,): public signs times the gain of the norm in front, exact in float64.

    Where a family stores gains less one, one is added in float32, as converters to other containers do.
    """
    signs = public_signs(role, d_model)
    if gain is None:
        return signs
    offset = model.family.norm_offset if model.family else 0
    return signs * (gain + np.float32(1) if offset else gain).astype(np.float64)


def gain_in_front(model: Model, layer: int) -> NDArray[np.float32] | None:
    """Gain of the norm in front of a layer's MLP as it is stored, float32; None where there is none.

    Read ahead of the one read, since gains often lie behind the matrices they belong to; ``neuron-sketch/v1`` checks
    afterwards that the one read saw the same values.
    """
    gains = _gains_of(_Identity(model))
    if layer not in gains:
        part = model.index.get(("mlp_norm", layer))
        kept = part is not None and can_be_kept(part.tensor)
        gains[layer] = as_float32(model.checkpoint.read_bits(part.tensor), part.tensor.dtype) if part and kept else None
    return gains[layer]


@dataclass(frozen=True, eq=False, slots=True)
class _Identity:
    """A model as a key: equal only to itself."""

    model: Model

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and other.model is self.model

    def __hash__(self) -> int:
        return id(self.model)


@lru_cache(maxsize=1)
def _gains_of(_: _Identity) -> dict[int, NDArray[np.float32] | None]:
    """Gains of one model that were read; matrices of a layer, often of hundreds of experts, share one."""
    return {}


class ColumnSketchAccumulator:
    """Sketch of the columns of a matrix under weights of the rows: of neurons stored as inputs by outputs.

    Parameters
    ----------
    shape : tuple of (n_rows, n_columns)
    dtype : str
        One of ``RowSumsAccumulator.DTYPES``.
    weights : ndarray of shape (n_rows,), float64
        Signed weights; row j belongs to the bucket j mod ``N_BUCKETS``.

    Notes
    -----
    Every sum adds row after row, whatever the blocks.
    """

    def __init__(self, shape: tuple[int, ...], dtype: str, weights: NDArray[np.float64]) -> None:
        self._dtype = dtype
        self._weights = weights
        self._squares = np.zeros(shape[1])
        self._sketch = np.zeros((N_BUCKETS, shape[1]))

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """Sum a block of rows."""
        weights = self._weights[first_row : first_row + rows.shape[0], None]
        with np.errstate(invalid="ignore", over="ignore"):
            products = as_float32(rows, self._dtype).astype(np.float64) * weights
            for bucket in range(N_BUCKETS):
                own = products[(bucket - first_row) % N_BUCKETS :: N_BUCKETS]
                self._sketch[bucket] = _add_in_order(self._sketch[bucket], own)
            self._squares = _add_in_order(self._squares, products * products)

    def result(self) -> UnitSketch:
        """The sketch, one row a column of the matrix."""
        return UnitSketch(entries=self._sketch.T, squares=self._squares, weights=self._weights)


def _add_in_order(start: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum of a vector and rows, one after the other."""
    total: NDArray[np.float64] = np.add.accumulate(np.vstack([start, rows]), axis=0)[-1]
    return total


@dataclass(frozen=True, kw_only=True, slots=True)
class UnitSketch:
    """Sums that a sketch is made of, float64.

    Parameters
    ----------
    entries : ndarray of shape (n_units, N_BUCKETS)
    squares : ndarray of shape (n_units,)
    weights : ndarray of shape (d_model,) or (0,)
        With the gain in front; empty where there is none to check.
    """

    entries: NDArray[np.float64]
    squares: NDArray[np.float64]
    weights: NDArray[np.float64]


def collect_units(model: Model, placed: PlacedTensor) -> Makers:
    """Row and column sums of the matrices in a dense tensor in a layer, with the sketch that each role calls for."""
    makers: dict[str, Callable[[], Accumulator]] = {}
    for part in placed.parts:
        makers |= collect_sums(model, part)
    return makers


def collect_sums(model: Model, part: Part) -> Makers:
    """Row and column sums of one matrix in a layer, with its sketch; nothing of other parts."""
    makers: dict[str, Callable[[], Accumulator]] = {}
    for name, make in make_sums(model, part).items():
        makers |= collect_part(name, part, make)
    return makers


def make_sums(model: Model, part: Part) -> Makers:
    """What ``collect_sums`` collects, under its two names, ``units`` and ``sketch``."""
    if part.role not in _ROLES or part.layer is None or len(part.tensor.shape) != 2 or not can_be_summed(part):
        return {}
    makers: dict[str, Callable[[], Accumulator]] = {"units": partial(_make_sums, model, part)}
    if part.transposed and part.role in {"gate", "up"}:
        makers["sketch"] = partial(_make_sketch, model, part)
    return makers


def can_be_summed(part: Part) -> bool:
    """Whether a sweep can sum the rows of a matrix: by its dtype, and the length of its rows."""
    return part.tensor.dtype in RowSumsAccumulator.DTYPES and whole_rows(part)


def _make_sums(model: Model, part: Part) -> RowSumsAccumulator:
    """Sums along rows and columns as they are stored, with a sketch of the rows or the columns that are neurons."""
    dtype, role, (n_rows, n_columns) = part.tensor.dtype, part.role, part.stored_shape
    if role in {"gate", "up"} and not part.transposed:
        weights = signed_gain(model, role, gain_in_front(model, part.layer or 0), n_columns)
        return RowSumsAccumulator(part.stored_shape, dtype, weights=weights, n_buckets=N_BUCKETS)
    if role == "down" and part.transposed:
        weights = public_signs(role, n_columns)
        return RowSumsAccumulator(part.stored_shape, dtype, weights=weights, n_buckets=N_BUCKETS)
    if role == "down":
        return RowSumsAccumulator(
            part.stored_shape,
            dtype,
            signs=public_signs(role, n_rows),
            buckets=np.arange(n_rows, dtype=np.int64) % N_BUCKETS,
            n_buckets=N_BUCKETS,
        )
    return RowSumsAccumulator(part.stored_shape, dtype, n_buckets=N_BUCKETS)


def _make_sketch(model: Model, part: Part) -> ColumnSketchAccumulator:
    weights = signed_gain(model, part.role, gain_in_front(model, part.layer or 0), part.stored_shape[0])
    return ColumnSketchAccumulator(part.stored_shape, part.tensor.dtype, weights)


def collected_sums(part: Part, results: Results) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Sums of squares of a part, shapes (n_outputs,) and (n_inputs,); None where they were not collected."""
    sums = collected("units", part, results)
    if not isinstance(sums, RowSums):
        return None
    return (sums.columns, sums.rows) if part.transposed else (sums.rows, sums.columns)


def collected_sketch(part: Part, results: Results) -> UnitSketch | None:
    """Sketch of the neurons of a part with the role gate, up or down; None where it was not collected."""
    return sketch_of(part, collected("units", part, results), collected("sketch", part, results))


def sketch_of(part: Part, sums: object, sketch: object) -> UnitSketch | None:
    """Sketch of the neurons of a part out of what ``collect_sums`` collects, under its two names."""
    if not isinstance(sums, RowSums):
        return None
    if part.role == "down" and not part.transposed:
        return UnitSketch(entries=sums.column_sketch.T, squares=sums.columns, weights=np.empty(0))
    if part.transposed and part.role != "down":
        return sketch if isinstance(sketch, UnitSketch) else None
    return UnitSketch(entries=sums.row_sketch, squares=sums.weighted_rows, weights=sums.weights)
