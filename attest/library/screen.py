"""One suspect against many members: the z of exact tests in closed form, without resampling.

Mean and variance of the statistics under the null are known exactly (``attest.compare.permutation``), so one pass over a
member's numbers gives z. What a comparison adds is the resampled p-value. The first look is quick and takes all layers for separate and all units
for unordered; where it shows something, z is taken again as a comparison takes it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.anchored_alignment import ALIGNMENT_TEST
from attest.compare.correspondence import NORM_GAIN_TEST, norm_gain_names
from attest.compare.features import normal_scores
from attest.compare.fingerprints import Fingerprints
from attest.compare.neuron_alignment import NEURON_TEST
from attest.compare.outcome import exchangeable
from attest.compare.permutation import Pairing, layer_statistics, tells_apart
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID
from attest.fingerprint.neuron_sketch import NEURON_SKETCH

__all__ = ["WANTED", "Screen", "Standardized"]

SKETCHES = {NEURON_TEST: NEURON_SKETCH.id, ALIGNMENT_TEST: ANCHORED_SKETCH_ID}
_GAINS = "norm-gain/v1"
WANTED = frozenset({*SKETCHES.values(), _GAINS})
"""Fingerprints that are looked at."""

_WORTH_A_SECOND_LOOK = 4.0
_MIX = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Standardized:
    """z of one exact test on a pair, over ``n`` units."""

    test: str
    z: float
    n: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Layer:
    """A layer of the suspect, prepared: the sketch, which units tell, and these centered with their second moments."""

    sketch: NDArray[np.int8]
    tell: NDArray[np.bool_]
    centered: NDArray[np.float32]
    moments: NDArray[np.float32]


class Screen:
    """A suspect, prepared to be held against many."""

    def __init__(self, suspect: Fingerprints) -> None:
        self._suspect = suspect
        self._scores: dict[str, NDArray[np.float64]] = {}
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
        found = _stouffer(self._gains(member))
        if found is not None:
            yield Standardized(test=NORM_GAIN_TEST, z=found[0], n=found[1])

    def _gains(self, member: Fingerprints) -> Iterator[tuple[float, int]]:
        names = norm_gain_names(self._suspect, member)
        if not names:
            return
        for name in names:
            if name not in self._scores:
                self._scores[name] = normal_scores(self._suspect.arrays[_GAINS][name])
        x = np.stack([self._scores[name] for name in names], axis=1)
        y = np.stack([normal_scores(member.arrays[_GAINS][name]) for name in names], axis=1)
        yield from _careful([Pairing(layer=-1, x=x, y=y)], directions=False)


def _prepare(sketch: NDArray[np.int8]) -> _Layer:
    tell = tells_apart(sketch.astype(np.float64))
    kept = sketch[tell].astype(np.float64)
    centered = kept - kept.mean(axis=0) if kept.size else kept
    return _Layer(
        sketch=sketch,
        tell=tell,
        centered=np.ascontiguousarray(centered, np.float32),
        moments=(centered.T @ centered).astype(np.float32),
    )


def _layer_zs(mine: Mapping[str, _Layer], theirs: Mapping[str, NDArray[Any]]) -> Iterator[tuple[float, int]]:
    """Every layer that both have in one shape: z and units."""
    for name, layer in mine.items():
        other = theirs.get(name)
        if other is None or other.shape != layer.sketch.shape:
            continue
        if _may_have_equal_rows(other):
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
    free = exchangeable(pairings, directions=directions)
    return ((one.z, one.n) for one in layer_statistics(free.pairings) if one.z is not None)


def _quick(layer: _Layer, other: NDArray[np.int8]) -> Iterator[tuple[float, int]]:
    """The same in binary32, where all rows of the other differ: z is off by some millionths of itself."""
    y = (other if layer.tell.all() else other[layer.tell]).astype(np.float32)
    n = len(y)
    if n < 2:
        return
    sums = (np.ones(n, np.float32) @ y).astype(np.float64)  # whole numbers, so exact
    moments = (y.T @ y).astype(np.float64) - np.outer(sums, sums) / n
    variance = float(np.sum(layer.moments * moments)) / (n - 1)
    if variance > 0:
        yield float(np.vdot(layer.centered, y)) / math.sqrt(variance), n


def _may_have_equal_rows(sketch: NDArray[np.int8]) -> bool:
    """Whether two rows have one hash of 64 bits: equal rows have, and hardly any others."""
    width = -sketch.shape[1] % 8
    padded = np.pad(sketch, ((0, 0), (0, width))) if width else np.ascontiguousarray(sketch)
    words = padded.view(np.uint64)
    mixed = np.zeros(len(words), np.uint64)
    for column in words.T:
        mixed = (mixed ^ column) * _MIX
        mixed ^= mixed >> np.uint64(32)
    mixed.sort()
    return bool((mixed[1:] == mixed[:-1]).any())


def _stouffer(each: Iterable[tuple[float, int]]) -> tuple[float, int] | None:
    """One z of several, and their units together."""
    found = list(each)
    if not found:
        return None
    return sum(z for z, _ in found) / math.sqrt(len(found)), sum(n for _, n in found)
