"""``recovered-alignment/v1``: the neurons of both networks in one basis, which is recovered from their embeddings.

The best rotation of one network's embeddings onto the other's (orthogonal Procrustes) says which basis of the residual
stream is which. It knows nothing of the hidden neurons, so the test of their order stays exact in the recovered basis.

References
----------
Schönemann, "A generalized solution of the orthogonal Procrustes problem", Psychometrika 31, 1966.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part
from attest.compare.correspondence.exact_outcome import exact_outcome
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, left_out, not_run
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.compare.weights.shared_tokens import centered_embeddings, shared_tokens
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table
from attest.fingerprint.anchored_sketch import (
    PARTS,
    WIDTH,
    ProjectedAccumulator,
    folded_gain,
    sketched_layer_numbers,
)
from attest.fingerprint.unit_sums import gain_in_front
from attest.sweep import RowSumsAccumulator

__all__ = ["recovered_alignment"]

_ID = "recovered-alignment/v1"
_MAX_TOKENS = 8192
_MAX_WIDTH = 8192
_BLOCK = 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class _Recovered:
    """A rotation from the first network's residual stream to the second's, and how well three guesses fit.

    Parameters
    ----------
    rotation : ndarray of shape (d_first, d_second), float64
    tokens : int
        Whose embeddings were used.
    identity, permutation, rotated : float
        Cosine between the embeddings as they are (0 where widths differ), with dimensions and signs exchanged one by
        one, and rotated; in [-1, 1].
    """

    rotation: NDArray[np.float64]
    tokens: int
    identity: float
    permutation: float
    rotated: float


def recovered_alignment(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Exact test on neurons in the recovered basis, in at most 8 layers, each permuted by itself.

    Notes
    -----
    Survives what ``anchored-alignment/v1`` survives and needs no tokenizer, but the weights of both, and a singular
    value decomposition of d_model by d_model. Tokens are paired by text where both have a tokenizer, else by row. A
    permutation of the hidden neurons defeats it, and so do embeddings made anew: then z is near 0, and that shows
    nothing.
    """
    swapped = b.side.tree_digest < a.side.tree_digest
    left, right = in_both(weights[::-1] if swapped else weights)
    first, second = left.model, right.model
    recovered = _recover(left, right)
    if isinstance(recovered, str):
        return not_run(recovered, _ID)
    axes = _public_axes(first.d_model or 0)
    turned = np.stack([recovered.rotation.T @ one for one in axes])
    pairings = []
    for layer in sketched_layer_numbers(min(first.n_layers, second.n_layers)):
        x, y = _sketch(first, layer, axes), _sketch(second, layer, turned)
        if x is not None and y is not None and x.shape == y.shape:
            pairings.append(Pairing(layer=layer, x=x, y=y))
    fits = _fits(recovered)
    if not pairings:
        reason = "no layer has as many neurons and parts in both"
        return Outcome(found=(fits,), not_compared=left_out(_ID, reason))
    if swapped:
        pairings = [Pairing(layer=one.layer, x=one.y, y=one.x) for one in pairings]
    outcome = exact_outcome(
        _ID,
        a,
        b,
        pairings,
        method="the neurons of every layer, each layer by itself",
        note="z of the inner products of neuron sketches in a basis recovered from the embeddings alone, index by index;"
        " near 0 for networks trained apart, and also after a permutation of hidden neurons",
        directions=True,
    )
    return replace(outcome, found=(fits,))


def _recover(first: RoleWeights, second: RoleWeights) -> _Recovered | str:
    """The rotation between two residual streams; or why none can be recovered."""
    rows = shared_tokens(first, second, _MAX_TOKENS)
    if isinstance(rows, str):
        return rows
    if max(one.model.d_model or 0 for one in (first, second)) > _MAX_WIDTH:
        return f"a residual stream is wider than {_MAX_WIDTH}"
    x, y = centered_embeddings(first, rows[:, 0]), centered_embeddings(second, rows[:, 1])
    scale = float(np.linalg.norm(x) * np.linalg.norm(y))
    if not scale > 0:
        return "the embeddings do not vary"
    cross = x.T @ y / scale
    u, values, v = np.linalg.svd(cross, full_matrices=False)
    square = cross.shape[0] == cross.shape[1]
    return _Recovered(
        rotation=u @ v,
        tokens=len(rows),
        identity=float(np.trace(cross)) if square else 0.0,
        permutation=_one_by_one(x, y, cross),
        rotated=float(values.sum()),
    )


def _can_be_read(part: Part) -> bool:
    return len(part.tensor.shape) == 2 and part.tensor.dtype in RowSumsAccumulator.DTYPES


def _one_by_one(x: NDArray[np.float64], y: NDArray[np.float64], cross: NDArray[np.float64]) -> float:
    """Sum over the dimensions that are each other's nearest by correlation, whatever the sign."""
    norms = np.outer(np.linalg.norm(x, axis=0), np.linalg.norm(y, axis=0))
    nearness = np.divide(np.abs(cross), norms, out=np.zeros_like(cross), where=norms > 0)
    there, back = nearness.argmax(axis=1), nearness.argmax(axis=0)
    mutual = np.flatnonzero(back[there] == np.arange(there.size))
    return float(np.abs(cross[mutual, there[mutual]]).sum())


def _public_axes(d_model: int) -> NDArray[np.float64]:
    """Public signs of shape (3, d_model, 16), for gate, up and down."""
    found = []
    for part in PARTS:
        stream = hashlib.shake_256(f"attest {_ID} {part}".encode()).digest(d_model * WIDTH // 8)
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little")
        found.append(1.0 - 2.0 * bits.astype(np.float64).reshape(d_model, WIDTH))
    return np.stack(found)


def _sketch(model: Model, layer: int, axes: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Neurons of a layer on axes, of shape (d_ff, 16 * parts); None where the layer has none that are dense."""
    parts = [(role, model.index.get((role, layer))) for role in PARTS]
    known = [(role, part) for role, part in parts if part is not None]
    if not {"up", "down"} <= {role for role, _ in known} or not all(_can_be_read(part) for _, part in known):
        return None
    sketched = [_project(model, part, axes[PARTS.index(role)]) for role, part in known]
    if any(one is None for one in sketched) or len({len(one) for one in sketched if one is not None}) > 1:
        return None
    return np.concatenate([one for one in sketched if one is not None], axis=1).astype(np.float64)


def _project(model: Model, part: Part, axes: NDArray[np.float64]) -> NDArray[np.int8] | None:
    """One part of a layer's neurons; None where its width is not that of the axes."""
    checkpoint = model.checkpoint
    bits = checkpoint.read_values(part.packed) if part.packed else checkpoint.read_bits(part.tensor)
    if part.rows is not None:
        bits = bits.take(part.rows.positions(0, part.tensor.shape[part.axis]), axis=part.axis)
    by_row = (part.role == "down") == part.transposed
    if bits.shape[int(by_row)] != axes.shape[0]:
        return None
    gain = folded_gain(model, None if part.role == "down" else gain_in_front(model, part.layer or 0))
    sums = ProjectedAccumulator(bits.shape, part.tensor.dtype, gain, axes, by_row=by_row)
    for begin in range(0, bits.shape[0], _BLOCK):
        sums.update(np.ascontiguousarray(bits[begin : begin + _BLOCK]), begin)
    return sums.result()


def _fits(recovered: _Recovered) -> Found:
    rows = (
        ("as they are", decimal(recovered.identity, 4)),
        ("dimensions and signs exchanged", decimal(recovered.permutation, 4)),
        ("rotated", decimal(recovered.rotated, 4)),
    )
    title = f"How well the embeddings of {recovered.tokens} tokens fit, as a cosine; strangers, rotated, may reach 0.98"
    return Found(id=_ID, title=title, table=Table(columns=("embeddings", "fit"), rows=rows))
