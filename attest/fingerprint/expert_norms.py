"""``expert-norms/v1``: of each expert of a mixture the norms of its matrices and of its row of the router.

A norm of a whole matrix stays as it is when the neurons of an expert are put in another order, and when the residual stream
is rotated. The experts of one layer may be listed in any order: two networks trained apart agree on it only by chance.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.evidence import Table
from attest.fingerprint.expert_sketch import collect_experts, collected_experts
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table, mean
from attest.fingerprint.part import collect_part, collected
from attest.fingerprint.unit_sums import can_be_summed
from attest.sweep import RowSums, RowSumsAccumulator

__all__ = ["EXPERT_NORMS"]

_PARTS = ("gate", "up", "down")
_ROUTER = "router"

Norms = NDArray[np.float32]


def _collect(model: Model, placed: PlacedTensor) -> Makers:
    makers = dict(collect_experts(model, placed))
    for part in placed.parts:
        if part.role == _ROUTER and part.layer is not None and len(part.tensor.shape) == 2 and can_be_summed(part):
            makers |= collect_part(_ROUTER, part, partial(RowSumsAccumulator, part.stored_shape, part.tensor.dtype))
    return makers


def _profile(model: Model, results: Results) -> Profile:
    """Arrays ``layers.<layer>.experts.<gate|up|down|router>`` of shape (n_experts,), float32; infinite where it cannot hold them.

    Notes
    -----
    Experts are those from 0 on that have the part; a layer of which one in between lacks it has no such array. Of the router the
    rows of as many experts: further ones belong to experts without matrices.
    """
    squares: dict[tuple[int, str], dict[int, float]] = defaultdict(dict)
    for placed in model.tensors:
        for expert, role, found in collected_experts(placed, results):
            squares[placed.layer or 0, role][expert] = found.squares
    arrays: dict[str, Norms] = {}
    for (layer, role), of in sorted(squares.items()):
        if sorted(of) == list(range(len(of))):
            arrays[f"layers.{layer}.experts.{role}"] = _roots([of[expert] for expert in range(len(of))])
    arrays |= dict(_routers(model, results, arrays))
    if not arrays:
        return Profile(arrays={}, table=None, not_measured="no experts with up and down matrices were recognized")
    return Profile(arrays=arrays, table=_table(arrays), not_measured=None)


def _routers(model: Model, results: Results, arrays: Mapping[str, Norms]) -> Iterator[tuple[str, Norms]]:
    """Norms of the rows of the experts in the routers, by name."""
    for (role, layer), part in model.index.items():
        sums = collected(_ROUTER, part, results) if role == _ROUTER else None
        up = arrays.get(f"layers.{layer}.experts.up")
        if not isinstance(sums, RowSums) or up is None:
            continue
        rows = sums.columns if part.transposed else sums.rows
        if rows.size >= up.size:
            yield f"layers.{layer}.experts.{_ROUTER}", _roots(rows[: up.size].tolist())


def _roots(squares: list[float]) -> Norms:
    with np.errstate(over="ignore"):
        return np.array([math.sqrt(one) if one >= 0 else math.inf for one in squares]).astype(np.float32)


def _table(arrays: Mapping[str, Norms]) -> Table:
    parts = [part for part in (*_PARTS, _ROUTER) if any(name.endswith(f".{part}") for name in arrays)]
    layers = sorted({int(name.split(".")[1]) for name in arrays})
    rows = (
        (
            layer,
            [mean(arrays[name]) if (name := f"layers.{layer}.experts.{part}") in arrays else None for part in parts],
        )
        for layer in layers
    )
    return layer_table([f"mean {part}" for part in parts], rows)


EXPERT_NORMS = Fingerprint(id="expert-norms/v1", collect=_collect, profile=_profile)
