"""Which layers of two networks are most alike in what no rotation, order, scale or sign of neurons changes.

Rows of unit length of one part of a layer have the same inner products in any basis of the residual stream, and as many
of each in any order; so the spectrum of their second moment is the layer's own. It tells layers that were put in, left
out, repeated or moved, while it is that of the layer they came from: training that changes the spectra hides them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.assignment import assign
from attest.compare.weights.mlps import NeuronWeights

__all__ = ["pair_layers", "spectra"]

_MOST_LOOKS = 100_000

Spectra = Mapping[int, NDArray[np.float64]]
"""Of every layer, shape (n_parts, n_eigenvalues): roots, from the greatest on."""


def spectra(side: NeuronWeights, layers: Sequence[int], count: int) -> Spectra:
    """Spectra of some layers of a network, each part's of so many neurons evenly spaced."""
    return {layer: np.stack([_spectrum(_sample(side, role, layer, count)) for role in side.parts]) for layer in layers}


def pair_layers(first: Spectra, second: Spectra) -> tuple[list[int], list[int]]:
    """Layers of both that are most alike in sum, each once, those at one place beside each other.

    What all layers of a network have in common is taken from each: noise of one strength changes all spectra alike.
    """
    if len(first) > len(second):
        theirs, mine = pair_layers(second, first)
        return mine, theirs
    rows, columns = list(first), list(second)
    width = max(one.shape[1] for table in (first, second) for one in table.values())
    own, others = (_centered(one, width) for one in (first, second))
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


def _spectrum(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Roots of the eigenvalues of the second moment of unit rows, from the greatest on."""
    wide = rows.astype(np.float64)
    values = np.linalg.eigvalsh(wide @ wide.T if len(wide) < wide.shape[1] else wide.T @ wide)[::-1] / len(wide)
    roots: NDArray[np.float64] = np.sqrt(np.maximum(values, 0.0))
    return roots


def _centered(table: Spectra, width: int) -> NDArray[np.float64]:
    """Spectra of all layers, filled up with zeros, less their mean."""
    filled = np.stack([np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in table.values()])
    centered: NDArray[np.float64] = filled - filled.mean(axis=0)
    return centered
