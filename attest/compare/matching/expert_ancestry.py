"""``expert-ancestry/v1``: which dense layer an expert's neurons come from, if from any.

An MLP that was turned into experts ("upcycled") is still in them: copied and permuted, perturbed, re-initialized in
part, or cut in slices. Descriptive, as all that is found by matching: see ``neuron_matching``.

References
----------
Komatsuzaki et al., "Sparse Upcycling", ICLR 2023. Nakamura et al., "Drop-Upcycling", ICLR 2025 (in part anew).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.controls import share_controls
from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.layer_agreement import NO_OTHER_LAYER, WORK, sample_size
from attest.compare.matching.partners import Neurons, Sample, find_partners, share_found
from attest.compare.matching.sketches import sketched_experts, sketched_layers
from attest.compare.outcome import Outcome, left_out, not_run, unlike_widths
from attest.compare.resampling import public_order, public_seed
from attest.comparison import ControlKind, Found, LayerStatistic
from attest.document import decimal
from attest.evidence import Table
from attest.fingerprint.unit_sums import N_BUCKETS

__all__ = ["expert_ancestry"]

_ID = "expert-ancestry/v1"
_DENSE = "neuron-sketch/v1"
_COLUMNS = ("layer", "experts", "layer of the other", "found, mean", "least", "greatest", "unchanged", "kept", "there")

Experts = Mapping[int, Mapping[int, Neurons]]
Shares = Mapping[ControlKind, Sequence[float]]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ancestor:
    """A layer of experts and the dense layer that holds most of their neurons.

    Parameters
    ----------
    layer, dense : int
    shares : tuple of float
        Of each expert, share of the sampled neurons found there.
    sampled : int
        Neurons of all experts together.
    unchanged : float
        Of those found, share whose sketch is the same.
    kept, there : int
        Neurons of the widest expert's sketch and of the dense layer.
    """

    layer: int
    dense: int
    shares: tuple[float, ...]
    sampled: int
    unchanged: float
    kept: int
    there: int

    @property
    def mean(self) -> float:
        return sum(self.shares) / len(self.shares)


def expert_ancestry(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of each expert's neurons that are found in the dense layer of the other that holds most of the layer's.

    Notes
    -----
    Survives what ``matched-agreement/v1`` survives. Where both have experts and dense layers, both are sought in the
    other. It does not show who came first: a dense layer may have been made of an expert.
    """
    if unlike := unlike_widths(a, b):
        return not_run(unlike, _ID)
    seed = public_seed(_ID, a, b)
    sides = [
        (name, found)
        for name, one, other in (("a", a, b), ("b", b, a))
        if (found := _ancestors(_neurons_of_experts(one), sketched_layers(other, _DENSE, N_BUCKETS), seed))
    ]
    if not sides:
        return not_run("neither has sketched experts beside dense layers of the other", _ID)
    return _outcome(sides)


def _neurons_of_experts(one: Fingerprints) -> Experts:
    """Neurons of every expert, by layer."""
    found = {
        layer: {expert: neurons for expert, array in experts.items() if (neurons := Neurons.of(array, width=N_BUCKETS))}
        for layer, experts in sketched_experts(one).items()
    }
    return {layer: experts for layer, experts in found.items() if experts}


def _ancestors(experts: Experts, dense: Mapping[int, Neurons], seed: str) -> tuple[list[_Ancestor], Shares] | None:
    gated = {one.gated for layer in experts.values() for one in layer.values()} | {one.gated for one in dense.values()}
    if not experts or not dense or len(gated) > 1:
        return None
    layers, columns = sorted(experts), sorted(dense)
    size = sample_size([dense[j] for j in columns for _ in layers], WORK)
    samples = {layer: _spread(experts[layer], size, f"{seed} all {layer}") for layer in layers}
    matrix = np.array([_shares(samples, dense[j]) for j in columns]).T
    best = [_best(matrix[i], columns, layer) for i, layer in enumerate(layers)]
    size = sample_size([dense[j] for layer, j in zip(layers, best, strict=True) for _ in experts[layer]], WORK)
    found = [_ancestor(layer, j, experts[layer], dense[j], size, seed) for layer, j in zip(layers, best, strict=True)]
    others = [
        float(matrix[i, at]) for i, j in enumerate(best) for at, column in enumerate(columns) if column not in {0, j}
    ]
    apart = [
        _shares({layer: samples[layer]}, dense[j].joined_anew(public_order(dense[j].size, f"{seed} apart {j}")))[0]
        for layer, j in zip(layers, best, strict=True)
    ]
    return found, {"shuffled": apart, "other-layers": others}


def _spread(experts: Mapping[int, Neurons], size: int, seed: str) -> list[Sample]:
    """Samples of the experts of a layer, ``size`` neurons together or one of each where there are more experts."""
    each = -(-size // len(experts))
    return [Sample.draw(experts[expert], each, f"{seed} {expert}") for expert in sorted(experts)]


def _shares(samples: Mapping[int, Sequence[Sample]], target: Neurons) -> list[float]:
    """Share found of every layer's samples together."""
    found = iter(find_partners([one for layer in samples.values() for one in layer], target))
    return [share_found(np.concatenate([next(found) for _ in layer])) for layer in samples.values()]


def _best(shares: NDArray[np.float64], columns: Sequence[int], layer: int) -> int:
    """The dense layer with the greatest share; of equals the nearest in depth."""
    distance = np.abs(np.array(columns) - layer)
    return columns[int(np.lexsort((distance, -shares))[0])]


def _ancestor(
    layer: int, dense: int, experts: Mapping[int, Neurons], there: Neurons, size: int, seed: str
) -> _Ancestor:
    samples = [Sample.draw(experts[one], size, f"{seed} ancestor {layer} {one}") for one in sorted(experts)]
    partners = find_partners(samples, there)
    unchanged = sum(_same(sample, found, there) for sample, found in zip(samples, partners, strict=True))
    total = sum(int(np.count_nonzero(found >= 0)) for found in partners)
    return _Ancestor(
        layer=layer,
        dense=dense,
        shares=tuple(share_found(found) for found in partners),
        sampled=sum(found.size for found in partners),
        unchanged=unchanged / total if total else 0.0,
        kept=max(one.size for one in experts.values()),
        there=there.size,
    )


def _same(sample: Sample, found: NDArray[np.int64], there: Neurons) -> int:
    """How many of the partners have the same sketch."""
    rows, ends = sample.rows[found >= 0], found[found >= 0]
    first = (sample.neurons.first[rows] == there.first[ends]).all(axis=1)
    return int(np.count_nonzero(first & (sample.neurons.second[rows] == there.second[ends]).all(axis=1)))


def _outcome(sides: Sequence[tuple[str, tuple[list[_Ancestor], Shares]]]) -> Outcome:
    shares: dict[ControlKind, list[float]] = defaultdict(list)
    for _, (_, known) in sides:
        for kind, found in known.items():
            shares[kind] += found
    controls = share_controls(_ID, shares)
    deep = [one for _, (found, _) in sides for one in found if one.layer and one.dense]
    tables = tuple(_table(name, found) for name, (found, _) in sides)
    if not deep:
        return Outcome(
            controls=controls,
            found=tables,
            not_compared=left_out(_ID, NO_OTHER_LAYER),
        )
    test = descriptive(
        _ID,
        sum(one.mean for one in deep) / len(deep),
        sum(one.sampled for one in deep),
        f"mean share of the neurons of {' and '.join(name for name, _ in sides)}'s experts that are found in the one"
        f" dense layer of the other that holds most, over {len(deep)} layers, layer 0 apart; see the controls",
        layers=tuple(
            LayerStatistic(layer=one.layer, n=one.sampled, statistic=signed_digits(one.mean), z=None)
            for one in (sides[0][1][0] if len(sides) == 1 else ())
            if one.sampled > 1
        ),
    )
    return Outcome(tests=(test,), controls=controls, found=tables)


def _table(name: str, found: Sequence[_Ancestor]) -> Found:
    rows = tuple(
        (
            str(one.layer),
            str(len(one.shares)),
            str(one.dense),
            *(decimal(share, 3) for share in (one.mean, min(one.shares), max(one.shares), one.unchanged)),
            str(one.kept),
            str(one.there),
        )
        for one in found
    )
    title = f"Experts of {name} and the dense layer of the other that holds most of their neurons"
    return Found(id=_ID, title=title, table=Table(columns=_COLUMNS, rows=rows))
