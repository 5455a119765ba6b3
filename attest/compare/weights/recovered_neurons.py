"""Neurons of two networks on common axes that are recovered from nothing but the neurons themselves.

Embeddings drawn anew, a rotated residual stream, permuted and rescaled neurons and heads leave no axis, word, order or
scale that both networks share. The neurons' second moments still turn into each other by one rotation, and that is found
without a look at any neuron's order, scale or sign.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.resampling import public_source
from attest.compare.weights.layer_spectra import pair_layers, spectra
from attest.compare.weights.mlps import NeuronWeights
from attest.compare.weights.moment_basis import Matrix, common_basis, principal_axes
from attest.compare.weights.role_weights import RoleWeights
from attest.fingerprint.anchored_sketch import PARTS

__all__ = ["RecoveredLayer", "RecoveredNeurons", "recover_neurons"]

_MAX_WIDTH = 8192
_MOST_AXES = 256
_MOST_LAYERS, _LEAST_LAYERS = 8, 2
_MOST_PAIRED, _MOST_SAMPLED = 256, 1024
_STEPS = 127.0
_WORK = 4_000_000_000_000
"""Multiplications for the moments of one network: those of seven layers of 11,008 neurons in 4,096 dimensions."""

_MOST_WORK = 4 * _WORK
"""What the least number of layers may take; layers whose experts would take more go without these."""

_NO_LAYERS = "no layer of one of the two has an MLP whose values are read, or whose experts are few enough"
_ONE_GATED = "only one of the two has gates"


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveredLayer:
    """Neurons of one layer on common axes.

    Parameters
    ----------
    neurons : ndarray of shape (n_neurons, n_parts * n_axes), int8
        Gate (where there are gates), up and down, side by side.
    n_alone : int
        The first of them, which are of the dense MLP or of shared experts; the others are of experts.
    pooled : bool
        Whether they are of several MLPs.
    """

    neurons: NDArray[np.int8]
    n_alone: int
    pooled: bool


Layers = Mapping[int, RecoveredLayer]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveredNeurons:
    """Neurons of two networks on common axes, which are known up to one sign for all of them.

    Parameters
    ----------
    first, second : mapping of int to RecoveredLayer
        As many layers of each.
    n_axes : int
    gated : bool
    fit : float
        Mean cosine of the second moments that were laid on each other, in [-1, 1].
    """

    first: Layers
    second: Layers
    n_axes: int
    gated: bool
    fit: float


def recover_neurons(first: RoleWeights, second: RoleWeights, seed: str) -> RecoveredNeurons | str:
    """Neurons of at most 8 layers of each network; or why they have no common axes.

    Parameters
    ----------
    first, second : RoleWeights
    seed : str
        Public text that fixes what the search for axes begins with.

    Notes
    -----
    Layers are evenly spaced, and put beside each other by depth where both networks have as many. Where they have not,
    those that are most alike by ``layer_spectra`` are put beside each other, whatever their order.
    """
    sides = (_neurons(first), _neurons(second))
    if not all(one.layers for one in sides):
        return _NO_LAYERS
    if max(one.d_model for one in sides) > _MAX_WIDTH:
        return f"a residual stream is wider than {_MAX_WIDTH}"
    if sides[0].parts != sides[1].parts:
        return _ONE_GATED
    count = min(_affordable(one) for one in sides)
    n_axes = min(_MOST_AXES, *(one.d_model for one in sides))
    chosen = _chosen(sides, count)
    x, y = (_on_axes(side, layers, n_axes) for side, layers in zip(sides, chosen, strict=True))
    basis = common_basis(x.moments, y.moments, public_source(seed))
    return RecoveredNeurons(
        first=x.turned(basis.turn.astype(np.float32), sides[0]),
        second=y.turned(np.eye(n_axes, dtype=np.float32), sides[1]),
        n_axes=n_axes,
        gated=sides[0].parts == PARTS,
        fit=basis.fit,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Projected:
    """Unit rows of all parts of some layers on a network's principal axes, and their second moments.

    Parameters
    ----------
    layers : mapping of int to tuple of ndarray of shape (n_neurons, n_axes), float32
    moments : ndarray of shape (n_matrices, n_axes, n_axes), float64
        One for each part of each layer, in order.
    """

    layers: Mapping[int, tuple[Matrix, ...]]
    moments: NDArray[np.float64]

    def turned(self, turn: Matrix, side: NeuronWeights) -> dict[int, RecoveredLayer]:
        """Neurons of every layer on other axes, as small integers."""
        return {
            layer: RecoveredLayer(
                neurons=np.concatenate([_as_int8(part @ turn) for part in parts], axis=1),
                n_alone=side.layers[layer].n_alone,
                pooled=side.layers[layer].pooled,
            )
            for layer, parts in self.layers.items()
        }


def _neurons(weights: RoleWeights) -> NeuronWeights:
    """Neurons of all layers, without experts where the least that is looked at would take too long."""
    width = max(1, weights.model.d_model or 0)
    return NeuronWeights.of(weights, _MOST_WORK // (_LEAST_LAYERS * len(PARTS) * width * width))


def _on_axes(side: NeuronWeights, layers: Sequence[int], n_axes: int) -> _Projected:
    """Read the matrices twice: for the axes, and then on them, so that no more than one is held."""
    axes = principal_axes((_moment(side, role, layer) for layer in layers for role in side.parts), n_axes)
    projected = {
        layer: tuple(
            np.concatenate([rows @ axes for rows in side.unit_rows(role, layer)]) for role in side.parts
        )
        for layer in layers
    }  # fmt: skip
    moments = np.stack([_wide_moment(part) for parts in projected.values() for part in parts])
    return _Projected(layers=projected, moments=moments)


def _wide_moment(rows: Matrix) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    moment: NDArray[np.float64] = wide.T @ wide / len(wide)
    return moment


def _moment(side: NeuronWeights, role: str, layer: int) -> Matrix:
    """Second moment of a part of a layer's neurons, shape (d_model, d_model)."""
    total: Matrix = sum(rows.T @ rows for rows in side.unit_rows(role, layer)) / np.float32(
        side.layers[layer].n_neurons
    )  # type: ignore[assignment]  # there is a row
    return total


def _chosen(sides: tuple[NeuronWeights, NeuronWeights], count: int) -> tuple[list[int], list[int]]:
    """Layers of both that are looked at, those at one place beside each other."""
    mine, theirs = (list(one.layers) for one in sides)
    if len(mine) != len(theirs):
        first, second = (spectra(one, _spaced([*one.layers], _MOST_PAIRED), _sampled(sides)) for one in sides)
        mine, theirs = pair_layers(first, second)
    return _spaced(mine, count), _spaced(theirs, count)


def _sampled(sides: tuple[NeuronWeights, NeuronWeights]) -> int:
    """Neurons of a layer that its spectra are of, as many in both networks."""
    return min(_MOST_SAMPLED, *(layer.n_neurons for side in sides for layer in side.layers.values()))


def _spaced(layers: Sequence[int], count: int) -> list[int]:
    """At most so many layers, evenly spaced, the first and the last among them."""
    return [layers[place] for place in np.linspace(0, len(layers) - 1, min(count, len(layers))).round().astype(int)]


def _affordable(side: NeuronWeights) -> int:
    """How many layers are looked at."""
    most = max(one.n_neurons for one in side.layers.values())
    work = len(side.parts) * most * side.d_model**2
    return min(len(side.layers), max(_LEAST_LAYERS, min(_MOST_LAYERS, _WORK // work)))


def _as_int8(rows: Matrix) -> NDArray[np.int8]:
    greatest = np.abs(rows).max(axis=1, keepdims=True)
    return np.rint(rows * (_STEPS / np.where(greatest > 0, greatest, 1.0))).astype(np.int8)
