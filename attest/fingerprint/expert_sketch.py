"""``expert-sketch/v1``: neurons of every expert, made as those of ``neuron-sketch/v1``, a part of them where there are many.

It is there to find the ancestors of experts: an expert that was made from a dense MLP still holds its neurons. What
``neuron-sketch/v1`` says of itself holds here, too.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, Part, PlacedTensor, whole_part
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table
from attest.fingerprint.neuron_sketch import check_gain, quantize
from attest.fingerprint.part import collect_part, collected
from attest.fingerprint.unit_sums import N_BUCKETS, make_sums, signed_gain, sketch_of
from attest.fingerprint.vectors import collect_values
from attest.sweep import Accumulator

__all__ = ["EXPERT_SKETCH"]

_PARTS = ("gate", "up", "down")
_BUDGET = 16 * 1024 * 1024
_LEAST_NEURONS = 32
_NAME = "expert-sketch"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Sketched:
    """One part of the kept neurons, and digest and length of the signed gain it was made with."""

    entries: NDArray[np.int8]
    weights: bytes
    d_model: int


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

    def result(self) -> _Sketched | None:
        """The sketch of the kept neurons; None where the matrix has none."""
        found = sketch_of(self._part, *(one.result() if one is not None else None for one in self._inner))
        if found is None:
            return None
        entries = quantize(found.entries[self._rows], found.squares[self._rows])
        return _Sketched(entries=entries, weights=_digest(found.weights), d_model=found.weights.size)


def _digest(weights: NDArray[np.float64]) -> bytes:
    return hashlib.sha256(weights.tobytes()).digest()


def _collect(model: Model, placed: PlacedTensor) -> Makers:
    part = _expert_part(model, placed)
    if part is None:
        return collect_values(placed, {"mlp_norm"})
    makers = make_sums(model, part)
    return collect_part(_NAME, part, partial(_make, model, part, makers)) if makers else {}


def _expert_part(model: Model, placed: PlacedTensor) -> Part | None:
    """The matrix of an expert as a part of its own."""
    known = placed.expert is not None and placed.layer is not None and placed.role in _PARTS
    if not known or model.family is None or len(placed.tensor.shape) != 2:
        return None
    return whole_part(placed, model.family)


def _make(model: Model, part: Part, makers: Makers) -> _SketchAccumulator:
    neurons = part.stored_shape[0 if (part.role == "down") == part.transposed else 1]
    columns = makers["sketch"]() if "sketch" in makers else None
    return _SketchAccumulator(part, makers["units"](), columns, _kept(neurons, _n_experts(model)))


def _n_experts(model: Model) -> int:
    return sum(1 for one in model.tensors if one.expert is not None and one.role == "up")


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
        part = _expert_part(model, placed)
        sketched = collected(_NAME, part, results) if part else None
        if isinstance(sketched, _Sketched):
            _check(model, placed, sketched, expected, results)
            found[placed.layer or 0, placed.expert or 0][placed.role or ""] = sketched.entries
    arrays = {
        f"layers.{layer}.experts.{expert}": np.concatenate([parts[name] for name in _PARTS if name in parts], axis=1)
        for (layer, expert), parts in sorted(found.items())
        if {"up", "down"} <= parts.keys() and len({len(part) for part in parts.values()}) == 1
    }
    if not arrays:
        return Profile(arrays={}, table=None, not_measured=_why_nothing(model))
    return Profile(
        arrays=arrays, table=layer_table(("experts", "neurons kept of each"), _rows(arrays)), not_measured=None
    )


def _check(
    model: Model,
    placed: PlacedTensor,
    sketched: _Sketched,
    expected: dict[tuple[str, int | None], bytes],
    results: Results,
) -> None:
    """Refuse a gain that was read ahead and is not the one that was measured."""
    norm = model.index.get(("mlp_norm", placed.layer))
    if norm is None or placed.role == "down":
        return
    key = (placed.role or "", placed.layer)
    if key not in expected:
        gain = collected("values", norm, results)
        expected[key] = _digest(signed_gain(model, key[0], gain, sketched.d_model))
    check_gain(norm, same=sketched.weights == expected[key])


def _why_nothing(model: Model) -> str:
    if any((one.role or "").startswith("experts.") for one in model.tensors):
        return "experts that are stacked in one tensor are not sketched"
    return "no experts with up and down matrices were recognized"


def _rows(arrays: Mapping[str, NDArray[np.int8]]) -> list[tuple[int, tuple[float, float]]]:
    by_layer: dict[int, list[int]] = defaultdict(list)
    for name, array in arrays.items():
        by_layer[int(name.split(".")[1])].append(len(array))
    return [(layer, (float(len(sizes)), float(max(sizes)))) for layer, sizes in sorted(by_layer.items())]


EXPERT_SKETCH = Fingerprint(id="expert-sketch/v1", collect=_collect, profile=_profile)
