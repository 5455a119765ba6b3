"""``anchored-sketch/v1``: neurons of some layers, told by the words they go with and not by axes.

As ``neuron-sketch/v1``, but the directions are made of the network's own embeddings of common words (``anchors``), so
that neither a rotation, a permutation or sign changes of the residual stream, nor another hidden size changes what is
measured. It is opt-in (``attest measure --deep``): it costs 48 multiplications a weight in at most 8 layers.

What it does not show: a permutation of the hidden neurons defeats the test by index, and embeddings that were made anew
defeat it altogether. The numbers pass through LAPACK and BLAS: another machine may round a few entries to the next
integer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part, PlacedTensor
from attest.errors import CheckpointError
from attest.fingerprint.anchors import TOKENIZER, Anchors, read_anchors
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.fingerprint.neuron_sketch import check_gain
from attest.fingerprint.part import collect_part, collected, whole_rows
from attest.fingerprint.unit_sums import gain_in_front
from attest.fingerprint.vectors import collect_values
from attest.sweep import Accumulator, RowDigestAccumulator, RowSumsAccumulator, as_float32

__all__ = [
    "ANCHORED_SKETCH_ID",
    "PARTS",
    "WIDTH",
    "ProjectedAccumulator",
    "anchored_sketch",
    "folded_gain",
    "sketched_layer_numbers",
]

ANCHORED_SKETCH_ID = "anchored-sketch/v1"
WIDTH = 16
"""Numbers a part of a neuron."""

_MAX_LAYERS = 8
PARTS = ("gate", "up", "down")
_STEPS = 32.0
_RIDGE = 1e-3
_NAME = "anchored-sketch"
_ROWS = "row-digests"


def directions(anchors: Anchors) -> NDArray[np.float64]:
    """Directions in the residual stream, of shape (3, d_model, 16): for gate, up and down.

    Notes
    -----
    With E the anchors' unit rows: E' (E E' + r I)^(-1/2) P, where r is a thousandth of the greatest eigenvalue of E E'
    and P are public signs, one row an anchor. That is (E'E + r I)^(-1/2) E' P, so a rotation R of the embeddings turns
    the directions by R, too, and what is projected on them stays as it was.
    """
    unit = anchors.unit_rows()
    values, vectors = np.linalg.eigh(unit @ unit.T)
    scale = 1 / np.sqrt(np.maximum(values, 0.0) + _RIDGE * max(float(values[-1]), 1e-300))
    whitened = unit.T @ (vectors * scale) @ vectors.T
    return np.stack([whitened @ signs for signs in _public_signs(anchors.strings)])


def _public_signs(strings: tuple[str, ...]) -> NDArray[np.float64]:
    """Signs of shape (3, n_anchors, 16): the bits of SHAKE-256 over the id and the anchor, as ``public_signs`` has them."""
    stream = b"".join(
        hashlib.shake_256(f"attest {ANCHORED_SKETCH_ID} {text}".encode()).digest(len(PARTS) * WIDTH // 8)
        for text in strings
    )
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little").reshape(-1, len(PARTS), WIDTH)
    return 1.0 - 2.0 * bits.transpose(1, 0, 2).astype(np.float64)


class ProjectedAccumulator:
    """Neurons of a matrix on the directions.

    Parameters
    ----------
    shape : tuple of (n_rows, n_columns)
        As stored.
    dtype : str
    gain : ndarray of shape (d_model,), float64
        Of the norm in front; ones where there is none.
    axes : ndarray of shape (d_model, 16), float64
    by_row : bool
        Whether rows are neurons.
    """

    def __init__(
        self, shape: tuple[int, ...], dtype: str, gain: NDArray[np.float64], axes: NDArray[np.float64], *, by_row: bool
    ) -> None:
        self._dtype = dtype
        self._gain = gain
        self._axes = axes
        self._by_row = by_row
        n_neurons = shape[0] if by_row else shape[1]
        self._entries = np.zeros((n_neurons, WIDTH))
        self._squares = np.zeros(n_neurons)

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """Project a block of rows."""
        values = as_float32(rows, self._dtype).astype(np.float64)
        here = slice(first_row, first_row + rows.shape[0])
        with np.errstate(invalid="ignore", over="ignore"):
            if self._by_row:
                values *= self._gain
                self._entries[here] = values @ self._axes
                self._squares[here] = np.einsum("ij,ij->i", values, values)
            else:
                values *= self._gain[here, None]
                self._entries += values.T @ self._axes[here]
                self._squares += np.einsum("ij,ij->j", values, values)

    def result(self) -> NDArray[np.int8]:
        """Entries over the norm, in steps of 1/32; 0 where the neuron is zero or not finite."""
        norms = np.sqrt(self._squares)[:, None]
        usable = np.isfinite(norms) & (norms > 0) & np.isfinite(self._entries).all(axis=1, keepdims=True)
        scaled = np.where(usable, self._entries, 0.0) / np.where(usable, norms, 1.0) * _STEPS
        return np.clip(np.rint(scaled), -127, 127).astype(np.int8)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Axes:
    """What was read ahead: anchors, their directions, and the gains of the layers that are sketched."""

    anchors: Anchors
    directions: NDArray[np.float64]
    gains: Mapping[int, NDArray[np.float32] | None]


def anchored_sketch(model: Model) -> Fingerprint:
    """The fingerprint for one checkpoint, whose tokenizer and anchors are read now."""
    found = read_anchors(model)
    if isinstance(found, str):
        return Fingerprint(
            id=ANCHORED_SKETCH_ID,
            collect=lambda _model, _placed: {},
            profile=lambda _model, _results: Profile(arrays={}, table=None, not_measured=found),
        )
    gains = {layer: gain_in_front(model, layer) for layer in sketched_layer_numbers(model.n_layers)}
    axes = _Axes(anchors=found, directions=directions(found), gains=gains)
    return Fingerprint(
        id=ANCHORED_SKETCH_ID,
        collect=partial(_collect, axes),
        profile=partial(_profile, axes),
        documents={TOKENIZER: found.tokenizer_sha256},
    )


def sketched_layer_numbers(n_layers: int) -> list[int]:
    """All layers, or of more than 8 four pairs of neighbors spread over the depth: as many even ones as odd ones."""
    if n_layers <= _MAX_LAYERS:
        return list(range(n_layers))
    return [place * n_layers // 4 + next_ for place in range(4) for next_ in (0, 1)]


def _collect(axes: _Axes, model: Model, placed: PlacedTensor) -> Makers:
    makers: dict[str, Callable[[], Accumulator]] = {**collect_values(placed, {"mlp_norm"})}
    embed = axes.anchors.embed
    if placed.tensor.name == embed.tensor.name:
        makers |= collect_part(_ROWS, embed, partial(RowDigestAccumulator, embed.tensor.shape[0], embed.tensor.dtype))
    for part in placed.parts:
        if part.role in PARTS and part.layer in axes.gains and _can_be_projected(part, model):
            makers |= collect_part(_NAME, part, partial(_make, axes, model, part))
    return makers


def _can_be_projected(part: Part, model: Model) -> bool:
    known = len(part.tensor.shape) == 2 and part.tensor.dtype in RowSumsAccumulator.DTYPES and whole_rows(part)
    return known and part.stored_shape[_neuron_axis(part) ^ 1] == model.d_model


def _neuron_axis(part: Part) -> int:
    return int((part.role == "down") != part.transposed)


def _make(axes: _Axes, model: Model, part: Part) -> ProjectedAccumulator:
    gain = folded_gain(model, None if part.role == "down" else axes.gains[part.layer or 0])
    return ProjectedAccumulator(
        part.stored_shape,
        part.tensor.dtype,
        gain,
        axes.directions[PARTS.index(part.role)],
        by_row=_neuron_axis(part) == 0,
    )


def folded_gain(model: Model, gain: NDArray[np.float32] | None) -> NDArray[np.float64]:
    """Gain to fold into a matrix behind a norm, shape (d_model,); ones where there is none that fits."""
    if gain is None or gain.size != model.d_model:
        return np.ones(model.d_model or 0)
    offset = model.family.norm_offset if model.family else 0
    return (gain + np.float32(1) if offset else gain).astype(np.float64)


def _profile(axes: _Axes, model: Model, results: Results) -> Profile:
    """Arrays ``layers.<layer>`` of shape (d_ff, 16 * parts), int8, of at most 8 layers; gate, up, down."""
    _check(axes, model, results)
    arrays: dict[str, NDArray[np.int8]] = {}
    for layer in axes.gains:
        parts = {role: model.index.get((role, layer)) for role in PARTS}
        sketches = {role: collected(_NAME, part, results) for role, part in parts.items() if part is not None}
        complete = {"up", "down"} <= sketches.keys() and all(one is not None for one in sketches.values())
        if complete and len({len(one) for one in sketches.values()}) == 1:
            arrays[f"layers.{layer}"] = np.concatenate([sketches[role] for role in PARTS if role in sketches], axis=1)
    if not arrays:
        return Profile(arrays={}, table=None, not_measured="no dense MLP with up and down matrices was recognized")
    rows = (
        (int(name.removeprefix("layers.")), [float(len(array)), float(len(axes.anchors.strings))])
        for name, array in arrays.items()
    )
    return Profile(arrays=arrays, table=layer_table(["neurons", "anchors"], rows), not_measured=None)


def _check(axes: _Axes, model: Model, results: Results) -> None:
    """Refuse embeddings and gains that were read ahead and are not those that were measured."""
    anchors = axes.anchors
    seen = collected(_ROWS, anchors.embed, results)[anchors.rows]
    ahead = RowDigestAccumulator(anchors.rows.size, anchors.embed.tensor.dtype)
    ahead.update(anchors.bits, 0)
    if not np.array_equal(seen, ahead.result()):
        raise CheckpointError(
            "file-changed",
            "changed while it was read",
            fix="measure again when nothing writes to it",
            where=anchors.embed.tensor.file,
        )
    for layer, gain in axes.gains.items():
        norm = model.index.get(("mlp_norm", layer))
        if norm is not None and gain is not None:
            check_gain(norm, same=np.array_equal(gain, collected("values", norm, results), equal_nan=True))
