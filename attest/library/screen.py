"""One suspect against many members: the z of exact tests in closed form, without resampling.

Mean and variance of the statistics under the null are known exactly (``attest.compare.correspondence.permutation``), so one pass over a
member's numbers gives z. What a comparison adds is the resampled p-value. The first look is quick and takes all layers
for separate and all units for unordered and ungrown; where it shows something, z is taken again as a comparison takes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.anchored_alignment import ALIGNMENT_TEST
from attest.compare.correspondence.exact_outcome import exchangeable
from attest.compare.correspondence.features import normal_scores
from attest.compare.correspondence.neuron_alignment import NEURON_TEST
from attest.compare.correspondence.norms import NORM_GAIN_TEST, norm_gain_names
from attest.compare.correspondence.order import is_in_order
from attest.compare.correspondence.permutation import Pairing, tells_apart
from attest.compare.fingerprints import Fingerprints
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID
from attest.fingerprint.neuron_sketch import NEURON_SKETCH
from attest.library.products import inner_products, may_repeat_rows, multiply

__all__ = ["WANTED", "Screen", "Standardized"]

SKETCHES = {NEURON_TEST: NEURON_SKETCH.id, ALIGNMENT_TEST: ANCHORED_SKETCH_ID}
_GAINS = "norm-gain/v1"
WANTED = frozenset({*SKETCHES.values(), _GAINS})
"""Fingerprints that are looked at."""

_WORTH_A_SECOND_LOOK = 4.0
_GAINS_WORTH_IT = 2.0
"""The same for gains, at which a second look costs little."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Standardized:
    """z of one exact test on a pair, over ``n`` units."""

    test: str
    z: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A layer of the suspect, prepared: the sketch, which units tell, and these with sums and moments of their features."""

    sketch: NDArray[np.int8]
    tell: NDArray[np.bool_]
    kept: NDArray[np.int8]
    sums: NDArray[np.int64]
    moments: NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Gains:
    """Normal scores of the suspect's gains, shape (n_vectors, n_units), and the inner products of the vectors.

    ``plain`` says that all units tell, and are in no order.
    """

    scores: NDArray[np.float64]
    moments: NDArray[np.float64]
    plain: bool


class Screen:
    """A suspect, prepared to be held against many."""

    def __init__(self, suspect: Fingerprints) -> None:
        self._suspect = suspect
        self._prepared = lru_cache(maxsize=8)(lambda names: _prepare_gains(_scores(suspect, names)))
        self._layers = {
            test: {name: _prepare(array) for name, array in suspect.arrays.get(sketch, {}).items()}
            for test, sketch in SKETCHES.items()
        }

    def against(self, member: Fingerprints) -> Iterator[Standardized]:
        """Yield z of every test that can be run on the pair."""
        widths = {self._suspect.architecture.d_model, member.architecture.d_model}
        for test, sketch in SKETCHES.items():
            if test == NEURON_TEST and len(widths) > 1:
                continue
            theirs = member.arrays.get(sketch, {})
            found = _stouffer(_layer_zs(self._layers[test], theirs))
            if found is not None and abs(found[0]) >= _WORTH_A_SECOND_LOOK:
                found = _stouffer(_careful(_pairings(self._layers[test], theirs), directions=True))
            if found is not None:
                yield Standardized(test=test, z=found[0], n=found[1])
        found = self._gains(member)
        if found is not None:
            yield Standardized(test=NORM_GAIN_TEST, z=found[0], n=found[1])

    def _gains(self, member: Fingerprints) -> tuple[float, int] | None:
        names = tuple(norm_gain_names(self._suspect, member))
        if not names:
            return None
        mine, theirs = self._prepared(names), _scores(member, names)
        found = _quick_gains(mine, theirs)
        if found is None or abs(found[0]) >= _GAINS_WORTH_IT:
            pairing = Pairing(layer=-1, x=np.ascontiguousarray(mine.scores.T), y=np.ascontiguousarray(theirs.T))
            return _stouffer(_careful([pairing], directions=False))
        return found


def _prepare(sketch: NDArray[np.int8]) -> _Layer:
    tell = tells_apart(sketch.astype(np.float64))
    kept = sketch if tell.all() else sketch[tell]
    products = multiply(kept, kept)
    return _Layer(sketch=sketch, tell=tell, kept=kept, sums=products.sums, moments=products.moments(max(1, len(kept))))


def _prepare_gains(scores: NDArray[np.float64]) -> _Gains:
    units = np.ascontiguousarray(scores.T)
    plain = bool(tells_apart(units).all()) and not is_in_order([units])
    return _Gains(scores=scores, moments=inner_products(scores), plain=plain)


def _scores(one: Fingerprints, names: Sequence[str]) -> NDArray[np.float64]:
    return normal_scores(np.stack([one.arrays[_GAINS][name] for name in names]))


def _quick_gains(mine: _Gains, theirs: NDArray[np.float64]) -> tuple[float, int] | None:
    """The statistic and units, where all units tell and cannot be in an order in both; else None, or where nothing varies.

    Scores sum to zero in every vector. Units grown out of fewer ones are taken for separate, which makes it greater.
    """
    n = theirs.shape[1]
    sums = np.sort(theirs.sum(axis=0))
    if not mine.plain or (sums[1:] == sums[:-1]).any():
        return None
    variance = float(np.sum(mine.moments * inner_products(theirs))) / max(1, n - 1)
    return (float(np.einsum("ij,ij->", mine.scores, theirs)) / math.sqrt(variance), n) if variance > 0 else None


def _layer_zs(mine: Mapping[str, _Layer], theirs: Mapping[str, NDArray[Any]]) -> Iterator[tuple[float, int]]:
    """Every layer that both have in one shape: z and units."""
    for name, layer in mine.items():
        other = theirs.get(name)
        if other is None or other.shape != layer.sketch.shape:
            continue
        if may_repeat_rows(other):
            yield from _careful(_pairings({name: layer}, theirs), directions=True)
        else:
            yield from _quick(layer, other)


def _pairings(mine: Mapping[str, _Layer], theirs: Mapping[str, NDArray[Any]]) -> list[Pairing]:
    """Layers that both have in one shape, as a comparison pairs them."""
    both = [name for name, layer in mine.items() if name in theirs and theirs[name].shape == layer.sketch.shape]
    return [
        Pairing(layer=at, x=mine[name].sketch.astype(np.float64), y=theirs[name].astype(np.float64))
        for at, name in enumerate(both)
    ]


def _careful(pairings: Sequence[Pairing], *, directions: bool) -> Iterator[tuple[float, int]]:
    """Each pairing whose units may be exchanged, as an exact test sees it: z and units."""
    for one in exchangeable(pairings, directions=directions).pairings:
        n = one.x.shape[0]
        if n > 1 and one.statistic[1] > 0:
            yield one.statistic[0] / one.statistic[1], n


def _quick(layer: _Layer, other: NDArray[np.int8]) -> Iterator[tuple[float, int]]:
    """The same where all rows of the other differ."""
    theirs = other if layer.tell.all() else other[layer.tell]
    n = len(theirs)
    if n < 2:
        return
    products = multiply(layer.kept, theirs)
    variance = float(np.sum(layer.moments * products.moments(n))) / (n - 1)
    if variance > 0:
        yield (products.crossed - int(np.sum(layer.sums * products.sums)) / n) / math.sqrt(variance), n


def _stouffer(each: Iterable[tuple[float, int]]) -> tuple[float, int] | None:
    """One z of several, and their units together."""
    found = list(each)
    if not found:
        return None
    return sum(z for z, _ in found) / math.sqrt(len(found)), sum(n for _, n in found)
