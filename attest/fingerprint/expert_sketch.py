"""``expert-sketch/v1``: neurons of every expert, made as those of ``neuron-sketch/v1``, a part of them where there are many.

It is there to find the ancestors of experts, and experts that were copied: whether each expert has tensors of its own or
one tensor holds all of a layer, its sketch is the same. What ``neuron-sketch/v1`` says of itself holds here, too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Experts, Model, Part, PlacedTensor
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.fingerprint.neuron_sketch import check_gain, quantize
from attest.fingerprint.part import PartAccumulator, collect_part, collected
from attest.fingerprint.slices import SlicesAccumulator
from attest.fingerprint.unit_sums import N_BUCKETS, make_sums, signed_gain, sketch_of
from attest.fingerprint.vectors import collect_values
from attest.sweep import Accumulator

__all__ = ["EXPERT_SKETCH", "SketchedExpert", "collect_experts", "collected_experts"]

_PARTS = ("gate", "up", "down")
_BUDGET = 16 * 1024 * 1024
_LEAST_NEURONS = 32
_NAME = "expert-sketch"


@dataclass(frozen=True, kw_only=True, slots=True)
class SketchedExpert:
    """One part of an expert.

    Parameters
    ----------
    entries : ndarray of shape (n_kept, 8), int8
        Sketch of the kept neurons.
    weights : bytes
        Digest of the signed gain that it was made with.
    d_model : int
        Length of that gain.
    squares : float
        Of all values of the part, whatever is kept: the sums of its stored rows, added in order.
    """

    entries: NDArray[np.int8]
    weights: bytes
    d_model: int
    squares: float


class _SketchAccumulator:
    """Keeps the sketch of some neurons of an expert's matrix and drops the sums of all.

    Parameters
    ----------
    part : Part
    sums : Accumulator
    columns : Accumulator or None
        Both as ``collect_sums`` makes them.
    """

    def __init__(self, part: Part, sums: Accumulator, columns: Accumulator | None, rows: NDArray[np.int64]) -> None:
        self._part = part
        self._inner = (sums, columns)
        self._rows = rows

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """See a block of rows."""
        for one in self._inner:
            if one is not None:
                one.update(rows, first_row)

    def result(self) -> SketchedExpert | None:
        """The sketch of the kept neurons; None where the matrix has none."""
        first, second = self._inner
        sums = first.result()
        found = sketch_of(self._part, sums, second.result() if second is not None else None)
        if found is None:
            return None
        return SketchedExpert(
            entries=quantize(found.entries[self._rows], found.squares[self._rows]),
            weights=_digest(found.weights),
            d_model=found.weights.size,
            squares=float(np.add.accumulate(sums.rows)[-1]) if sums.rows.size else 0.0,
        )


def _digest(weights: NDArray[np.float64]) -> bytes:
    return hashlib.sha256(weights.tobytes()).digest()


def collect_experts(model: Model, placed: PlacedTensor) -> Makers:
    """What is collected of every expert in a tensor; of others the gain that stands in front of experts."""
    experts = placed.experts
    if experts is None:
        return collect_values(placed, {"mlp_norm"})
    sums = {part.role: makers for part in experts.parts if (makers := make_sums(model, part))}
    if not sums:
        return {}
    inner = {
        part.role: partial(_make, part, sums[part.role], model.n_experts) for part in experts.parts if part.role in sums
    }
    return collect_part(_NAME, _whole(experts), partial(SlicesAccumulator, experts.rows, inner))


def _whole(experts: Experts) -> Part:
    """The tensor itself, under whose name the experts in it are collected."""
    return replace(experts.parts[0], rows=None)


def _make(part: Part, makers: Makers, n_experts: int) -> Accumulator:
    """Of a part of a slice the sketch of its neurons."""
    neurons = part.stored_shape[0 if (part.role == "down") == part.transposed else 1]
    columns = makers["sketch"]() if "sketch" in makers else None
    sketch = _SketchAccumulator(part, makers["units"](), columns, _kept(neurons, n_experts))
    return sketch if part.rows is None else PartAccumulator(part, sketch)


def _kept(neurons: int, experts: int) -> NDArray[np.int64]:
    """Places of the neurons that are kept: all, or as many as the budget allows, evenly spaced."""
    count = min(neurons, max(_LEAST_NEURONS, _BUDGET // (len(_PARTS) * N_BUCKETS * max(1, experts))))
    return np.arange(count, dtype=np.int64) * neurons // max(1, count)


def _profile(model: Model, results: Results) -> Profile:
    """Arrays ``layers.<layer>.experts.<expert>`` of shape (neurons kept, 8 * parts), int8; parts as in a neuron sketch.

    Notes
    -----
    At most 16 MiB for all experts, but at least 32 neurons of each.
    """
    found: dict[tuple[int, int], dict[str, NDArray[np.int8]]] = defaultdict(dict)
    expected: dict[tuple[str, int | None], bytes] = {}
    for placed in model.tensors:
        for expert, role, sketched in collected_experts(placed, results):
            _check(model, placed.layer, role, sketched, expected, results)
            found[placed.layer or 0, expert][role] = sketched.entries
    arrays = {
        f"layers.{layer}.experts.{expert}": np.concatenate([parts[name] for name in _PARTS if name in parts], axis=1)
        for (layer, expert), parts in sorted(found.items())
        if {"up", "down"} <= parts.keys() and len({len(part) for part in parts.values()}) == 1
    }
    if not arrays:
        why = "no experts with up and down matrices were recognized"
        return Profile(arrays={}, table=None, not_measured=why)
    return Profile(
        arrays=arrays, table=layer_table(("experts", "neurons kept of each"), _rows(arrays)), not_measured=None
    )


def collected_experts(placed: PlacedTensor, results: Results) -> Iterator[tuple[int, str, SketchedExpert]]:
    """Number of an expert, role and what was collected, of all parts that a tensor holds."""
    if placed.experts is None:
        return
    slices = collected(_NAME, _whole(placed.experts), results) or ()
    for number, parts in enumerate(slices, placed.experts.first):
        yield from ((number, role, one) for role, one in parts.items() if isinstance(one, SketchedExpert))


def _check(
    model: Model,
    layer: int | None,
    role: str,
    sketched: SketchedExpert,
    expected: dict[tuple[str, int | None], bytes],
    results: Results,
) -> None:
    """Refuse a gain that was read ahead and is not the one that was measured."""
    norm = model.index.get(("mlp_norm", layer))
    if norm is None or role == "down":
        return
    key = (role, layer)
    if key not in expected:
        gain = collected("values", norm, results)
        expected[key] = _digest(signed_gain(model, role, gain, sketched.d_model))
    check_gain(norm, same=sketched.weights == expected[key])


def _rows(arrays: Mapping[str, NDArray[np.int8]]) -> list[tuple[int, tuple[float, float]]]:
    by_layer: dict[int, list[int]] = defaultdict(list)
    for name, array in arrays.items():
        by_layer[int(name.split(".")[1])].append(len(array))
    return [(layer, (float(len(sizes)), float(max(sizes)))) for layer, sizes in sorted(by_layer.items())]


EXPERT_SKETCH = Fingerprint(id="expert-sketch/v1", collect=collect_experts, profile=_profile)
