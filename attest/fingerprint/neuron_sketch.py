"""``neuron-sketch/v1``: every MLP neuron in a few bytes, in the order of the checkpoint.

Neuron i of a layer is [gate row i; up row i; down column i] (without a gate: [up row i; down column i]), the gain of the norm in front folded into
gate and up. Each part is divided by its Euclidean norm and projected on 8 public sparse directions (``unit_sums``),
times sqrt(8), so that an entry of a random neuron has unit variance; it is kept as an int8 in steps of 1/32.

The sketch allows the exact test ``neuron-alignment/v1`` without anybody's weights. A permutation of the hidden neurons
defeats it, and so does a rotation of the residual stream: then the test shows nothing, which is not evidence of
independence. The weights cannot be restored from it: a neuron of d_model values becomes 8 numbers a part.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part, PlacedTensor
from attest.errors import CheckpointError
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.fingerprint.part import collected
from attest.fingerprint.unit_sums import N_BUCKETS, collect_units, collected_sketch, signed_gain
from attest.fingerprint.vectors import collect_values

__all__ = ["NEURON_SKETCH", "check_gain", "quantize"]

_STEPS = 32.0


def _collect(model: Model, placed: PlacedTensor) -> Makers:
    return {**collect_values(placed, {"mlp_norm"}), **collect_units(model, placed)}


def _profile(model: Model, results: Results) -> Profile:
    """Arrays ``layers.<layer>`` of shape (d_ff, 8 * parts), int8; parts in the order gate, up, down."""
    arrays: dict[str, NDArray[np.int8]] = {}
    for layer in range(model.n_layers):
        parts = [_part(model, results, role, layer) for role in ("gate", "up", "down")]
        gate, up, down = parts
        if up is None or down is None or ((("gate", layer) in model.index) and gate is None):
            continue
        arrays[f"layers.{layer}"] = np.concatenate([part for part in parts if part is not None], axis=1)
    if not arrays:
        return Profile(arrays={}, table=None, not_measured="no dense MLP with up and down matrices was recognized")
    rows = (
        (int(name.removeprefix("layers.")), [float(array.shape[0]), float(array.shape[1] // N_BUCKETS)])
        for name, array in arrays.items()
    )
    experts = any(one.expert is not None or (one.role or "").startswith("experts.") for one in model.tensors)
    return Profile(
        arrays=arrays,
        table=layer_table(["neurons", "parts"], rows),
        not_measured="of dense MLPs only; experts are in expert-sketch/v1" if experts else None,
    )


def _part(model: Model, results: Results, role: str, layer: int) -> NDArray[np.int8] | None:
    """Sketch of one part of all neurons of a layer."""
    part = model.index.get((role, layer))
    sketch = collected_sketch(part, results) if part else None
    if part is None or sketch is None:
        return None
    norm = model.index.get(("mlp_norm", layer)) if role in {"gate", "up"} else None
    if norm:
        expected = signed_gain(model, role, collected("values", norm, results), sketch.weights.size)
        check_gain(norm, same=np.array_equal(sketch.weights, expected, equal_nan=True))
    return quantize(sketch.entries, sketch.squares)


def check_gain(norm: Part, *, same: bool) -> None:
    """Refuse a gain that was read ahead and is not the one that was measured.

    Raises
    ------
    CheckpointError
        It is another one: the file changed while it was read.
    """
    if not same:
        raise CheckpointError(
            "file-changed",
            "changed while it was read",
            fix="measure again when nothing writes to it",
            where=norm.tensor.file,
        )


def quantize(sketch: NDArray[np.float64], squares: NDArray[np.float64]) -> NDArray[np.int8]:
    """Entries over the norm, times sqrt(8), in steps of 1/32; 0 where the neuron is zero or not finite.

    Parameters
    ----------
    sketch : ndarray of shape (n_neurons, n_buckets), float64
    squares : ndarray of shape (n_neurons,), float64
        Sum of squares of each neuron's weights.

    Returns
    -------
    ndarray of shape (n_neurons, n_buckets), int8
        From -127 to 127.
    """
    norms = np.sqrt(squares)[:, None]
    usable = np.isfinite(norms) & (norms > 0) & np.isfinite(sketch).all(axis=1, keepdims=True)
    scaled = np.where(usable, sketch, 0.0) / np.where(usable, norms, 1.0) * (math.sqrt(N_BUCKETS) * _STEPS)
    return np.clip(np.rint(scaled), -127, 127).astype(np.int8)


NEURON_SKETCH = Fingerprint(id="neuron-sketch/v1", collect=_collect, profile=_profile)
