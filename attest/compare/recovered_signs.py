"""``recovered-signs/v1``: the signs of matched neurons, in a basis that is recovered from the neurons themselves.

Embeddings drawn anew, a rotated residual stream, permuted and rescaled neurons and heads leave no axis, word, order or
scale that both networks share. The neurons' second moments still turn into each other by one rotation, and that is found
without a look at any neuron's sign. Then the signs are tested.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import Checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.moment_basis import Matrix, common_basis, principal_axes
from attest.compare.outcome import Outcome, left_out
from attest.compare.permutation import public_source
from attest.compare.role_weights import RoleWeights, in_both
from attest.compare.sign_matching import GatedNeurons, signs_outcome
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table
from attest.fingerprint.anchored_sketch import PARTS

__all__ = ["recovered_signs"]

_ID = "recovered-signs/v1"
_MAX_WIDTH = 8192
_MOST_AXES = 256
_MOST_LAYERS, _LEAST_LAYERS = 8, 2
_STEPS = 127.0
_WORK = 4_000_000_000_000
"""Multiplications for the moments of one network: those of seven layers of 11,008 neurons in 4,096 dimensions."""

_NO_LAYERS = "no layer of one of the two has gate, up and down whose values are read"
_NOTE = (
    "z of the products of what matched neurons write, whose signs are fair coins in networks trained apart, in a basis that is"
    " recovered from the neurons' second moments alone, up to its sign; near 0 also after the signs of neurons were changed"
)


def recovered_signs(a: Fingerprints, b: Fingerprints, weights: tuple[Checkpoint, Checkpoint]) -> Outcome:
    """Exact test of the signs of matched neurons, in the recovered basis, in at most 8 layers evenly spaced.

    Notes
    -----
    Survives what ``anchored-signs/v1`` survives, and besides embeddings made anew. It needs the weights of both, gates, and an
    eigendecomposition of d_model by d_model. The signs of neurons that were changed on purpose defeat it: then z is near
    0, and that shows nothing.
    """
    swapped = b.side.tree_digest < a.side.tree_digest
    sides = in_both(weights[::-1] if swapped else weights)
    layers = [_gated_layers(one) for one in sides]
    if not all(layers):
        return Outcome(not_compared=left_out(_ID, _NO_LAYERS))
    widths = [one.model.d_model or 0 for one in sides]
    if max(widths) > _MAX_WIDTH:
        return Outcome(not_compared=left_out(_ID, f"a residual stream is wider than {_MAX_WIDTH}"))
    n_axes, count = min(_MOST_AXES, *widths), min(_affordable(*one) for one in zip(sides, layers, strict=True))
    first, second = (_on_axes(side, _spaced(these, count), n_axes) for side, these in zip(sides, layers, strict=True))
    for one in weights:
        one.tree.check_unchanged()
    digests = sorted((a.side.tree_digest, b.side.tree_digest))
    basis = common_basis(first.moments, second.moments, public_source(f"{_ID} {digests[0]} {digests[1]}"))
    x, y = first.neurons(basis.turn.astype(np.float32)), second.neurons(np.eye(n_axes, dtype=np.float32))
    mine, theirs = (y, x) if swapped else (x, y)
    outcome = signs_outcome(_ID, a, b, mine, theirs, note=_NOTE, unsigned=True)
    return replace(outcome, found=(_fit(basis.fit, n_axes),))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Projected:
    """Unit rows of gate, up and down of some layers on a network's principal axes, and their second moments.

    Parameters
    ----------
    layers : mapping of int to tuple of ndarray of shape (n_neurons, n_axes), float32
    moments : ndarray of shape (n_matrices, n_axes, n_axes), float64
        Three for each layer, in order.
    """

    layers: Mapping[int, tuple[Matrix, ...]]
    moments: NDArray[np.float64]

    def neurons(self, turn: Matrix) -> dict[int, GatedNeurons]:
        """Neurons of every layer on other axes, as small integers."""
        found = {}
        for layer, parts in self.layers.items():
            gate, up, down = (_as_int8(part @ turn) for part in parts)
            found[layer] = GatedNeurons(gate=gate, up=up, down=down)
        return found


def _on_axes(side: RoleWeights, layers: Sequence[int], n_axes: int) -> _Projected:
    """Read the matrices twice: for the axes, and then on them, so that no more than one is held."""
    axes = principal_axes((rows for layer in layers for rows in _unit_rows(side, layer)), n_axes)
    projected = {layer: tuple(rows @ axes for rows in _unit_rows(side, layer)) for layer in layers}
    wide = [part.astype(np.float64) for parts in projected.values() for part in parts]
    return _Projected(layers=projected, moments=np.stack([part.T @ part / len(part) for part in wide]))


def _unit_rows(side: RoleWeights, layer: int) -> Iterator[Matrix]:
    """Gate, up and down of every neuron at length 1, shape (n_neurons, d_model); gains of norms are folded in."""
    for role in PARTS:
        matrix = side.matrix(role, layer, folded=role != "down")
        if matrix is None:
            raise ValueError("a layer that was chosen has gate, up and down")
        rows = matrix.T if role == "down" else matrix
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        yield (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _gated_layers(side: RoleWeights) -> list[int]:
    """Layers whose gate, up and down are read and have shapes that fit."""
    found = []
    for layer in range(side.layers):
        gate, up, down = (side.shape(role, layer) for role in PARTS)
        if gate is not None and gate == up and down == gate[::-1] and gate[1] == side.model.d_model:
            found.append(layer)
    return found


def _affordable(side: RoleWeights, layers: Sequence[int]) -> int:
    """How many layers are looked at."""
    rows, columns = max(side.shape(PARTS[0], layer) or (1, 1) for layer in layers)
    work = len(PARTS) * rows * columns * columns
    return min(len(layers), max(_LEAST_LAYERS, min(_MOST_LAYERS, _WORK // work)))


def _spaced(layers: Sequence[int], count: int) -> list[int]:
    """Layers evenly spaced, the first and the last among them."""
    return [layers[place] for place in np.linspace(0, len(layers) - 1, count).round().astype(int)]


def _as_int8(rows: Matrix) -> NDArray[np.int8]:
    greatest = np.abs(rows).max(axis=1, keepdims=True)
    return np.rint(rows * (_STEPS / np.where(greatest > 0, greatest, 1.0))).astype(np.int8)


def _fit(fit: float, n_axes: int) -> Found:
    title = f"How well the neurons' second moments fit on {n_axes} axes, as a cosine; strangers reach 0.5 to 0.8"
    return Found(
        id=_ID, title=title, table=Table(columns=("second moments", "fit"), rows=(("turned", decimal(fit, 4)),))
    )
