"""Neurons of two networks on common axes that are recovered from nothing but the neurons themselves.

Embeddings drawn anew, a rotated residual stream, permuted and rescaled neurons and heads leave no axis, word, order or
scale that both networks share. The neurons' second moments still turn into each other by one rotation, and that is found
without a look at any neuron's order, scale or sign.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.moment_basis import Matrix, common_basis, principal_axes
from attest.compare.permutation import public_source
from attest.compare.role_weights import RoleWeights
from attest.fingerprint.anchored_sketch import PARTS

__all__ = ["RecoveredNeurons", "recover_neurons"]

_MAX_WIDTH = 8192
_MOST_AXES = 256
_MOST_LAYERS, _LEAST_LAYERS = 8, 2
_STEPS = 127.0
_WORK = 4_000_000_000_000
"""Multiplications for the moments of one network: those of seven layers of 11,008 neurons in 4,096 dimensions."""

_BARE = PARTS[1:]
_NO_LAYERS = "no layer of one of the two has an MLP whose values are read"
_ONE_GATED = "only one of the two has gates"

Layers = Mapping[int, NDArray[np.int8]]


@dataclass(frozen=True, kw_only=True, slots=True)
class RecoveredNeurons:
    """Neurons of two networks on common axes, which are known up to one sign for all of them.

    Parameters
    ----------
    first, second : mapping of int to ndarray of shape (n_neurons, n_parts * n_axes), int8
        By layer: gate (where there are gates), up and down, side by side.
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
    """Neurons of at most 8 layers of each network, evenly spaced; or why they have no common axes.

    Parameters
    ----------
    first, second : RoleWeights
    seed : str
        Public text that fixes what the search for axes begins with.
    """
    sides = (first, second)
    known = [_known_layers(one) for one in sides]
    if not all(layers for _, layers in known):
        return _NO_LAYERS
    widths = [one.model.d_model or 0 for one in sides]
    if max(widths) > _MAX_WIDTH:
        return f"a residual stream is wider than {_MAX_WIDTH}"
    (parts, _), (others, _) = known
    if parts != others:
        return _ONE_GATED
    count = min(_affordable(side, parts, layers) for side, (_, layers) in zip(sides, known, strict=True))
    n_axes = min(_MOST_AXES, *widths)
    x, y = (
        _on_axes(side, parts, _spaced(layers, count), n_axes) for side, (_, layers) in zip(sides, known, strict=True)
    )
    basis = common_basis(x.moments, y.moments, public_source(seed))
    return RecoveredNeurons(
        first=x.turned(basis.turn.astype(np.float32)),
        second=y.turned(np.eye(n_axes, dtype=np.float32)),
        n_axes=n_axes,
        gated=parts == PARTS,
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

    def turned(self, turn: Matrix) -> dict[int, NDArray[np.int8]]:
        """Neurons of every layer on other axes, as small integers."""
        return {
            layer: np.concatenate([_as_int8(part @ turn) for part in parts], axis=1)
            for layer, parts in self.layers.items()
        }


def _on_axes(side: RoleWeights, parts: Sequence[str], layers: Sequence[int], n_axes: int) -> _Projected:
    """Read the matrices twice: for the axes, and then on them, so that no more than one is held."""
    axes = principal_axes((rows for layer in layers for rows in _unit_rows(side, parts, layer)), n_axes)
    projected = {layer: tuple(rows @ axes for rows in _unit_rows(side, parts, layer)) for layer in layers}
    wide = [part.astype(np.float64) for parts in projected.values() for part in parts]
    return _Projected(layers=projected, moments=np.stack([part.T @ part / len(part) for part in wide]))


def _unit_rows(side: RoleWeights, parts: Sequence[str], layer: int) -> Iterator[Matrix]:
    """Each part of every neuron at length 1, shape (n_neurons, d_model); gains of norms are folded in."""
    for role in parts:
        matrix = side.matrix(role, layer, folded=role != "down")
        if matrix is None:
            raise ValueError("a layer that was chosen has all parts")
        rows = matrix.T if role == "down" else matrix
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        yield (rows / np.where(norms > 0, norms, 1)).astype(np.float32, copy=False)


def _known_layers(side: RoleWeights) -> tuple[tuple[str, ...], list[int]]:
    """Parts of neurons, and the layers in which all of them are read; those with gates, or where none has any, all."""
    fitting = [layer for layer in range(side.layers) if _fits(side, layer)]
    gated = [layer for layer in fitting if ("gate", layer) in side.model.index]
    return (PARTS, gated) if gated else (_BARE, fitting)


def _fits(side: RoleWeights, layer: int) -> bool:
    """Whether up and down, and the gate where there is one, are read and have shapes that fit."""
    up, down = (side.shape(role, layer) for role in _BARE)
    if up is None or down != up[::-1] or up[1] != side.model.d_model:
        return False
    return ("gate", layer) not in side.model.index or side.shape("gate", layer) == up


def _affordable(side: RoleWeights, parts: Sequence[str], layers: Sequence[int]) -> int:
    """How many layers are looked at."""
    rows, columns = max(side.shape("up", layer) or (1, 1) for layer in layers)
    work = len(parts) * rows * columns * columns
    return min(len(layers), max(_LEAST_LAYERS, min(_MOST_LAYERS, _WORK // work)))


def _spaced(layers: Sequence[int], count: int) -> list[int]:
    """Layers evenly spaced, the first and the last among them."""
    return [layers[place] for place in np.linspace(0, len(layers) - 1, count).round().astype(int)]


def _as_int8(rows: Matrix) -> NDArray[np.int8]:
    greatest = np.abs(rows).max(axis=1, keepdims=True)
    return np.rint(rows * (_STEPS / np.where(greatest > 0, greatest, 1.0))).astype(np.int8)
