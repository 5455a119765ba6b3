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
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Makers
from attest.fingerprint.vectors import collect_values
from attest.sweep import RowSumsAccumulator, as_float32, row_shape

__all__ = ["N_BUCKETS", "collect_units", "public_signs", "signed_gain"]

N_BUCKETS = 8
_SPEC = "attest neuron-sketch/v1"


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


def signed_gain(role: str, gain: NDArray[np.float32] | None, d_model: int) -> NDArray[np.float64]:
    """Weights of a row sketch: public signs times the gain of the norm in front, exact in float64."""
    signs = public_signs(role, d_model)
    return signs if gain is None else signs * gain.astype(np.float64)


def _gain_in_front(model: Model, layer: int) -> NDArray[np.float32] | None:
    """Gain of the norm in front of a layer's MLP; None where there is none.

    Read ahead of the one read, since gains often lie behind the matrices they belong to; ``neuron-sketch/v1`` checks
    afterwards that the one read saw the same values.
    """
    placed = model.index.get(("mlp_norm", layer))
    if placed is None or not collect_values(placed):
        return None
    return as_float32(model.checkpoint.read_bits(placed.tensor), placed.tensor.dtype)


def collect_units(model: Model, placed: PlacedTensor) -> Makers:
    """Row and column sums of a dense matrix in a layer, with the sketch that its role calls for."""
    tensor, role = placed.tensor, placed.role
    if (
        role not in {"q", "k", "v", "o", "gate", "up", "down"}
        or placed.layer is None
        or placed.expert is not None
        or tensor.dtype not in RowSumsAccumulator.DTYPES
        or row_shape(tensor) != tensor.shape
    ):
        return {}
    return {"units": partial(_make, model, placed)}


def _make(model: Model, placed: PlacedTensor) -> RowSumsAccumulator:
    tensor, role = placed.tensor, placed.role or ""
    n_rows, n_columns = tensor.shape
    if role in {"gate", "up"}:
        weights = signed_gain(role, _gain_in_front(model, placed.layer or 0), n_columns)
        return RowSumsAccumulator(tensor.shape, tensor.dtype, weights=weights, n_buckets=N_BUCKETS)
    if role == "down":
        return RowSumsAccumulator(
            tensor.shape,
            tensor.dtype,
            signs=public_signs(role, n_rows),
            buckets=np.arange(n_rows, dtype=np.int64) % N_BUCKETS,
            n_buckets=N_BUCKETS,
        )
    return RowSumsAccumulator(tensor.shape, tensor.dtype, n_buckets=N_BUCKETS)
