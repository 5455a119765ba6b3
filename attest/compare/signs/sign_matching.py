"""Neurons matched by what they read, whatever its sign, and tested by the sign of what they write.

Gate and up of two neurons are compared by the magnitude of their cosines, each by itself. So the match does not change
when a neuron's down is negated, together with its up or with its gate: whichever of the two passes through the activation,
names that tell them apart wrongly cannot make the test inexact. Down takes no part in the match.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attest.compare.controls import combined_control
from attest.compare.correspondence.permutation import Pairing
from attest.compare.correspondence.tied_layers import tied_layers
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, left_out, not_run
from attest.compare.resampling import public_order, public_seed
from attest.compare.signs.gated_neurons import GatedNeurons, without_twins
from attest.compare.signs.sign_lean import LEANING, SignedRows, lean_share
from attest.compare.signs.sign_test import Coins, sign_test
from attest.comparison import Control
from attest.cores import on_all_cores

__all__ = ["signs_outcome"]

_WORK = 100_000_000
"""Pairs of neurons that are looked at for the test, and at most for the search of layers that belong together."""

_MOST_SAMPLED, _LEAST_SAMPLED = 2048, 16
_CONTROL_SHARE = 4
_BLOCK = 1 << 18
"""Pairs that are looked at at once: a megabyte, which a cache holds."""

_SHIFTED = frozenset({"gpt-oss"})
"""Families that add 1 to what up gives: there a neuron with up and down negated computes something else."""

_LEANING = (
    "in both the signs of neurons lean to one side and are no coins, as where up began as the gate or without negative values,"
    " something is added to it, or one rule turned or rounded all"
)
_ONE_DENSE = "; neurons of experts that two networks made of one dense network agree, too"
_NO_COIN = "in the family of both, a neuron with up and down negated computes something else"
_TIED = (
    "both have layers that list their units in one order, as shared, repeated or stacked layers do; left out: layers"
)

Layers = Mapping[int, GatedNeurons]


def signs_outcome(
    test_id: str, a: Fingerprints, b: Fingerprints, mine: Layers, theirs: Layers, *, note: str, unsigned: bool = False
) -> Outcome:
    """Run the test of signs on the gated neurons of two networks.

    Parameters
    ----------
    mine, theirs : mapping of int to GatedNeurons
        Layers of a and of b, not empty, on as many axes.
    unsigned : bool
        Whether the axes of one network are known up to one sign for all of them.

    Notes
    -----
    Neurons of the network with the lesser tree digest are sought in the other, a public sample of each layer, so that
    exchanging the two changes no number. No neuron is a partner twice, and of neurons that were grown out of one in
    both networks, and of layers that are one in both, the first counts: copies have one sign.
    """
    if {a.architecture.family, b.architecture.family} <= _SHIFTED:
        return not_run(_NO_COIN, test_id)
    swapped = b.side.tree_digest < a.side.tree_digest
    x, y = (theirs, mine) if swapped else (mine, theirs)
    seed = public_seed(test_id, a, b)
    pairs, tied = _untied(x, y, _belonging(x, y, seed))
    coins = _toss(x, y, pairs, seed, 1)
    if _explained(x, y, pairs, coins, seed) >= LEANING:
        return not_run(_LEANING, test_id)
    named = [Coins(layer=j if swapped else i, values=one.values) for (i, j), one in zip(pairs, coins, strict=True)]
    pooled = any(layer.pooled for side in (mine, theirs) for layer in side.values())
    test = sign_test(test_id, named, seed=seed, unsigned=unsigned, note=note + (_ONE_DENSE if pooled else ""))
    reasons = (f"{_TIED} {', '.join(str(pair[swapped]) for pair in tied)}",) if tied else ()
    if test is None:
        return Outcome(not_compared=left_out(test_id, *(reasons or ("no neuron has a partner",))))
    sides = (y, x) if swapped else (x, y)
    ordered = [pair[::-1] if swapped else pair for pair in pairs]
    controls = _controls(test_id, sides[0], sides[1], ordered, seed)
    return Outcome(tests=(test,), controls=controls, not_compared=left_out(test_id, *reasons))


def _explained(x: Layers, y: Layers, pairs: Sequence[tuple[int, int]], coins: Sequence[Coins], seed: str) -> float:
    """Standard deviations by which two networks may agree since the signs of both lean to one side."""
    shares = _lean(x, sorted(i for i, _ in pairs), seed), _lean(y, sorted(j for _, j in pairs), seed)
    return math.prod(shares) * math.sqrt(sum(one.values.size for one in coins))


def _lean(layers: Layers, own: Sequence[int], seed: str) -> float:
    """How far the signs of a network lean to one side, in [0, 1], by a sample of these layers."""
    size = _sample_size([layers[i] for i in own])

    def rows(i: int) -> SignedRows:
        sample = public_order(layers[i].size, f"{seed} lean {i}", count=size)
        return layers[i].signed(sample[without_twins(layers[i].twins(sample, pooled=layers[i].pooled))])

    return lean_share(on_all_cores(rows, own))


def _belonging(x: Layers, y: Layers, seed: str) -> list[tuple[int, int]]:
    """Layers that are most alike, each once, the likest first chosen; of equals those nearest in depth."""
    rows, columns = sorted(x), sorted(y)
    size = _sample_size([y[j] for j in columns for _ in rows])
    samples = [public_order(x[i].size, f"{seed} layers {i}", count=size) for i in rows]

    def column(j: int) -> list[float]:
        return [
            float(_search(x[i], y[j], sample)[1].mean()) if sample.size else 0.0
            for i, sample in zip(rows, samples, strict=True)
        ]

    table = np.array(on_all_cores(column, columns)).T
    distance = np.abs(np.linspace(0, 1, len(rows))[:, None] - np.linspace(0, 1, len(columns)))
    pairs: dict[int, int] = {}
    for place in np.lexsort((distance.ravel(), -table.ravel())):
        at, to = divmod(int(place), len(columns))
        if rows[at] not in pairs and columns[to] not in pairs.values():
            pairs[rows[at]] = columns[to]
    return sorted(pairs.items())


def _untied(
    x: Layers, y: Layers, pairs: Sequence[tuple[int, int]]
) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Pairs of layers of which none repeats another in both networks, and the others."""
    pairings = [Pairing(layer=i, x=x[i].writing, y=y[j].writing) for i, j in pairs]
    kept = {group[0] for group in tied_layers(pairings)}
    return [pair for at, pair in enumerate(pairs) if at in kept], [
        pair for at, pair in enumerate(pairs) if at not in kept
    ]


def _toss(x: Layers, y: Layers, pairs: Sequence[tuple[int, int]], seed: str, share: int) -> list[Coins]:
    """Coins of every pair of layers; ``share`` divides the sample."""
    size = _sample_size([y[j] for _, j in pairs], share)

    def one(pair: tuple[int, int]) -> Coins:
        i, j = pair
        sample = public_order(x[i].size, f"{seed} neurons {i} {j}", count=size)
        rows, columns = _matched(x[i], y[j], sample)
        return Coins(layer=i, values=_products(x[i], rows, y[j], columns))

    return on_all_cores(one, pairs)


def _sample_size(searched: Sequence[GatedNeurons], share: int = 1) -> int:
    """Neurons of a layer that are sought in these, each in one of them; ``share`` divides them."""
    neurons = max(1, sum(layer.size for layer in searched))
    return max(_LEAST_SAMPLED, min(_MOST_SAMPLED, _WORK // neurons) // share)


def _matched(
    x: GatedNeurons, y: GatedNeurons, sample: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sampled neurons of x and their partners, each once, and of those that grew out of one in both the first."""
    partners, likeness = _search(x, y, sample)
    likest = np.argsort(-likeness, kind="stable")
    _, first = np.unique(partners[likest], return_index=True)
    chosen = np.sort(likest[first])
    rows, columns = sample[chosen], partners[chosen]
    pooled = x.pooled and y.pooled
    alone = without_twins(x.twins(rows, pooled=pooled) & y.twins(columns, pooled=pooled))
    return rows[alone], columns[alone]


def _products(
    x: GatedNeurons, rows: NDArray[np.int64], y: GatedNeurons, columns: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Cosines of down that are not 0; x around its mean, so that what all of y have in common counts nothing."""
    products: NDArray[np.float64] = np.einsum("ij,ij->i", x.writing[rows] - x.writing.mean(axis=0), y.writing[columns])
    varied: NDArray[np.float64] = products[products != 0]
    return varied


def _search(
    x: GatedNeurons, y: GatedNeurons, sample: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """For every sampled neuron the likest of the other layer, the first among equals, and how like it is."""
    found, best = np.zeros(sample.size, np.int64), np.zeros(sample.size, np.float32)
    everyone = slice(None)
    step = max(1, _BLOCK // max(1, y.size))
    for begin in range(0, sample.size, step):
        table = x.likeness(sample[begin : begin + step], y, everyone)
        at = table.argmax(axis=1)
        found[begin : begin + step] = at
        best[begin : begin + step] = table[np.arange(at.size), at]
    return found, best


def _controls(test_id: str, a: Layers, b: Layers, pairs: Sequence[tuple[int, int]], seed: str) -> tuple[Control, ...]:
    """A network against itself, with signs drawn anew, and layers against the next ones, of it and of the other."""
    mine, theirs = [i for i, _ in pairs], [j for _, j in pairs]
    found: list[Control | None] = []
    sides: dict[Literal["a", "b"], tuple[Layers, list[int]]] = {"a": (a, mine), "b": (b, theirs)}
    for side, (layers, own) in sides.items():
        same = _against_itself(layers, own, seed)
        found.append(combined_control(test_id, "itself", side, [one.z for one in same]))
        redrawn = [one.redrawn(f"{seed} {side} redrawn") for one in same]
        found.append(combined_control(test_id, "shuffled", side, [one.z for one in redrawn]))

    def next_layers(these: Layers, others: Layers, places: list[tuple[int, int]]) -> list[float]:
        return [one.z for one in _toss(these, others, places, f"{seed} next", _CONTROL_SHARE)]

    found += [
        combined_control(test_id, "other-layers", "a", next_layers(a, a, list(pairwise(mine)))),
        combined_control(test_id, "other-layers", "b", next_layers(b, b, list(pairwise(theirs)))),
        combined_control(test_id, "other-layers", "a-b", next_layers(a, b, list(zip(mine, theirs[1:], strict=False)))),
    ]
    return tuple(one for one in found if one is not None)


def _against_itself(layers: Layers, own: Sequence[int], seed: str) -> list[Coins]:
    """Coins of every neuron that is sampled, with itself for a partner."""
    size = _sample_size([layers[i] for i in own])
    samples = {i: public_order(layers[i].size, f"{seed} itself {i}", count=size) for i in own}
    return [Coins(layer=i, values=_products(layers[i], rows, layers[i], rows)) for i, rows in samples.items()]
