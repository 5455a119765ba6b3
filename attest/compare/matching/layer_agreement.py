"""Agreement of every layer of one network with every layer of another, and of each layer with its partner."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.partners import Neurons, Sample, find_partners, share_found
from attest.compare.resampling import public_order, public_seed
from attest.comparison import ControlKind
from attest.cores import on_all_cores

__all__ = [
    "NO_OTHER_LAYER",
    "WORK",
    "LayerAgreement",
    "LayerPair",
    "agreement_of_sides",
    "layer_agreement",
    "sample_size",
    "unlike_gates",
]

WORK = 100_000_000
"""Pairs of neurons that are looked at for one question."""

NO_OTHER_LAYER = "layer 0 is reported apart, and there is no other"

_CONTROL_WORK = 20_000_000
_LEAST_SAMPLE = 32

Layers = Mapping[int, Neurons]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerPair:
    """A layer of either network, and the share of ``sampled`` neurons on which both looks agree."""

    first: int
    second: int
    sampled: int
    share: float


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerAgreement:
    """Agreement between the layers of two networks.

    Parameters
    ----------
    first_widths, second_widths : mapping of int to int
        Neurons of every layer that has any to match, in order of layer.
    matrix : ndarray of shape (n_layers of first, n_layers of second), float64
        Shares from a sample of each pair, in [0, 1].
    partners : tuple of LayerPair
        For each layer of the network with fewer, the one that agrees most, measured with another, larger sample.
    by_first : bool
        Whether partners are of the layers of the first, each once.
    controls : mapping of str to sequence of float
        Shares where the answer is known, by kind.
    """

    first_widths: Mapping[int, int]
    second_widths: Mapping[int, int]
    matrix: NDArray[np.float64]
    partners: tuple[LayerPair, ...]
    by_first: bool
    controls: Mapping[ControlKind, Sequence[float]]

    @property
    def deep(self) -> tuple[LayerPair, ...]:
        """Partners beside layer 0, whose neurons agree in networks that have no more in common than their tokens."""
        return tuple(one for one in self.partners if one.first and one.second)

    def best_known(self) -> NDArray[np.float64]:
        """The matrix with the partners' shares from the larger samples in their places."""
        known = self.matrix.copy()
        rows, columns = list(self.first_widths), list(self.second_widths)
        for one in self.partners:
            known[rows.index(one.first), columns.index(one.second)] = one.share
        return known

    def exchanged(self) -> LayerAgreement:
        """The same with first and second in each other's place."""
        return replace(
            self,
            first_widths=self.second_widths,
            second_widths=self.first_widths,
            matrix=self.matrix.T,
            partners=tuple(replace(one, first=one.second, second=one.first) for one in self.partners),
            by_first=not self.by_first,
        )


def layer_agreement(first: Layers, second: Layers, seed: str) -> LayerAgreement:
    """Agreement of all layer pairs, and of each layer with its partner.

    Parameters
    ----------
    first, second : mapping of int to Neurons
        Not empty; looks as many numbers wide in both.
    seed : str
        Public text that fixes the samples.

    Notes
    -----
    Neurons of the network whose layers are narrower at the mean (of equals the first) are sought in the other. A pair
    of layers is looked at by a public random sample, whose size follows from the number of pairs and of neurons, so
    that time is bounded. No number depends on the threads.
    """
    if _mean_width(second) < _mean_width(first):
        return layer_agreement(second, first, seed).exchanged()
    rows, columns = sorted(first), sorted(second)
    size = sample_size([second[j] for j in columns for _ in rows], WORK)
    samples = [Sample.draw(first[i], size, f"{seed} all {i}") for i in rows]
    shares = on_all_cores(lambda j: [share_found(one) for one in find_partners(samples, second[j])], columns)
    matrix = np.array(shares).T
    chosen = _choose(matrix)
    pairs = [(rows[i], columns[j]) for i, j in chosen]
    size = sample_size([second[j] for _, j in pairs], WORK)
    return LayerAgreement(
        first_widths={layer: first[layer].size for layer in rows},
        second_widths={layer: second[layer].size for layer in columns},
        matrix=matrix,
        partners=tuple(
            on_all_cores(
                lambda at: _pair(*at, first[at[0]], second[at[1]], size, f"{seed} partners {at[0]} {at[1]}"), pairs
            )
        ),
        by_first=len(rows) <= len(columns),
        controls=_controls(first, second, pairs, seed)
        | {"other-layers": [float(matrix[place]) for place in _mismatched(first, second, chosen)]},
    )


def _mean_width(layers: Layers) -> float:
    return sum(neurons.size for neurons in layers.values()) / len(layers)


def sample_size(targets: Sequence[Neurons], work: int) -> int:
    """Neurons that are sought in each of these: ``work`` over the neurons of all, at least 32."""
    return max(_LEAST_SAMPLE, work // sum(neurons.size for neurons in targets))


def _pair(i: int, j: int, source: Neurons, target: Neurons, size: int, seed: str) -> LayerPair:
    (partners,) = find_partners([Sample.draw(source, size, seed)], target)
    return LayerPair(first=i, second=j, sampled=partners.size, share=share_found(partners))


def _choose(matrix: NDArray[np.float64]) -> list[tuple[int, int]]:
    """For each layer of the network with fewer, the place of the greatest agreement; of equals the nearest in depth."""
    by_row = matrix.shape[0] <= matrix.shape[1]
    table = matrix if by_row else matrix.T
    span = (table.shape[1] - 1) / max(1, table.shape[0] - 1)
    best = []
    for row, values in enumerate(table):
        distance = np.abs(np.arange(values.size) - row * span)
        best.append(int(np.lexsort((distance, -values))[0]))
    return [(row, at) if by_row else (at, row) for row, at in enumerate(best)]


def _controls(
    first: Layers, second: Layers, pairs: Sequence[tuple[int, int]], seed: str
) -> dict[ControlKind, Sequence[float]]:
    """What networks agree with themselves, and what neurons do that were taken apart and joined anew."""
    size = sample_size([second[j] for _, j in pairs], _CONTROL_WORK)
    same = [(first[i], first[i]) for i, _ in pairs] + [(second[j], second[j]) for _, j in pairs]
    apart = [(first[i], second[j].joined_anew(public_order(second[j].size, f"{seed} apart {j}"))) for i, j in pairs]

    def shares(name: str, found: Sequence[tuple[Neurons, Neurons]]) -> list[float]:
        pairs = on_all_cores(lambda at: _pair(0, 0, *found[at], size, f"{seed} {name} {at}"), range(len(found)))
        return [one.share for one in pairs]

    return {"itself": shares("itself", same), "shuffled": shares("joined anew", apart)}


def _mismatched(first: Layers, second: Layers, chosen: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Places in the matrix of layers that are not partners, nor the same as partners, layer 0 apart."""
    (rows, mine), (columns, theirs) = ((sorted(side), _kinds(side)) for side in (first, second))
    partners = {(mine[i], theirs[j]) for i, j in chosen}
    places = [(i, j) for i, row in enumerate(rows) for j, column in enumerate(columns) if row and column]
    return [(i, j) for i, j in places if (mine[i], theirs[j]) not in partners]


def _kinds(layers: Layers) -> list[int]:
    """For each layer, in order, the place of the first that holds the same neurons one by one."""
    held = [(layers[layer].first.tobytes(), layers[layer].second.tobytes()) for layer in sorted(layers)]
    return [held.index(one) for one in held]


def unlike_gates(mine: Layers, theirs: Layers) -> str | None:
    """Why layers of two networks cannot be compared; None where all have gates, or none has."""
    if len({neurons.gated for neurons in (*mine.values(), *theirs.values())}) > 1:
        return "only one of the two has gates, or only some layers have"
    return None


def agreement_of_sides(test_id: str, a: Fingerprints, b: Fingerprints, mine: Layers, theirs: Layers) -> LayerAgreement:
    """Agreement of a, as first, with b, computed from the lesser tree digest on: exchanging the two changes no number."""
    seed = public_seed(test_id, a, b)
    if a.side.tree_digest <= b.side.tree_digest:
        return layer_agreement(mine, theirs, seed)
    return layer_agreement(theirs, mine, seed).exchanged()
