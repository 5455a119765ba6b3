"""Which layers of two networks are most alike in what no rotation, order, scale or sign of neurons changes.

Rows of unit length of one part of a layer have the same inner products in any basis of the residual stream, and as many
of each in any order; so the spectrum of their second moment is the layer's own. It tells layers that were put in, left
out, repeated or moved, while it is that of the layer they came from: training that changes the spectra hides them.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from attest.compare.assignment import assign
from attest.compare.mlps import NeuronWeights

__all__ = ["pair_layers", "spectra"]

_MOST_ROWS = 1024
_MOST_LOOKS = 100_000

Spectra = Mapping[int, NDArray[np.float64]]
"""Of every layer, shape (n_parts, n_eigenvalues): roots, from the greatest on."""


def spectra(sides: tuple[NeuronWeights, NeuronWeights]) -> tuple[Spectra, Spectra]:
    """Spectra of all layers, of as many neurons of each layer in both networks, evenly spaced."""
    count = min(_MOST_ROWS, *(layer.n_neurons for side in sides for layer in side.layers.values()))
    length = min(count, max(side.d_model for side in sides))

    def of(side: NeuronWeights) -> Spectra:
        return {
            layer: np.stack([_spectrum(_sample(side, role, layer, count), length) for role in side.parts])
            for layer in side.layers
        }

    return of(sides[0]), of(sides[1])


def pair_layers(first: Spectra, second: Spectra) -> tuple[list[int], list[int]]:
    """Layers of both that are most alike in sum, each once, those at one place beside each other.

    What all layers of a network have in common is taken from each: noise of one strength changes all spectra alike.

    Raises
    ------
    ValueError
        More layers than ``assign`` takes.
    """
    if len(first) > len(second):
        theirs, mine = pair_layers(second, first)
        return mine, theirs
    rows, columns = list(first), list(second)
    own, others = (np.stack([*one.values()]) for one in (first, second))
    own, others = own - own.mean(axis=0), others - others.mean(axis=0)
    distances = [[np.linalg.norm(mine - theirs) for theirs in others] for mine in own]
    found = assign(-np.array(distances, np.float32), most_looks=_MOST_LOOKS)
    places = range(len(rows)) if found is None else found.tolist()
    return rows, [columns[place] for place in places]


def _sample(side: NeuronWeights, role: str, layer: int, count: int) -> NDArray[np.float32]:
    """So many unit rows of a layer, evenly spaced over all of its MLPs."""
    places = np.arange(count) * side.layers[layer].n_neurons // count
    found, begin = [], 0
    for rows in side.unit_rows(role, layer):
        found.append(rows[places[(places >= begin) & (places < begin + len(rows))] - begin])
        begin += len(rows)
    return np.concatenate(found)


def _spectrum(rows: NDArray[np.float32], length: int) -> NDArray[np.float64]:
    """Roots of the eigenvalues of the second moment of unit rows, from the greatest on; zeros fill up the length."""
    wide = rows.astype(np.float64)
    values = np.linalg.eigvalsh(wide @ wide.T if len(wide) < wide.shape[1] else wide.T @ wide)[::-1] / len(wide)
    found = np.zeros(length)
    found[: values.size] = np.sqrt(np.maximum(values, 0.0))[:length]
    return found
