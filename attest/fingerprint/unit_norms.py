"""``unit-norms/v1``: Euclidean norms of every neuron, head and residual dimension, layer by layer.

Neurons and heads of one layer may be listed in any order, and so may residual dimensions (for all layers alike):
two networks trained apart agree on the order only by chance, which gives exact tests without anybody's weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import SPLIT, Model, PlacedTensor, Rows
from attest.fingerprint.fingerprint import Fingerprint, Makers, Profile, Results, layer_table, mean
from attest.fingerprint.unit_sums import collect_units, collected_sums

__all__ = ["RANGES", "UNIT_NORMS", "norms_of"]

RANGES = "range:"
"""Stands before an array's name in that of the least and the greatest norm in it."""

_MAX_NORMS = 1 << 21
"""Norms above which they are kept in 16 bits."""

_STEPS = 65534
_NOT_FINITE = 65535

_NEURONS = ("gate", "up", "down")
_HEADS = ("q", "k", "v", "o")
_LATENT = {"q_a": "q_b", "kv_a": "kv_b"}
"""Matrices that make latent dimensions out of the residual stream, and those that take them."""


def _collect(model: Model, placed: PlacedTensor) -> Makers:
    return collect_units(model, placed)


def _profile(model: Model, results: Results) -> Profile:
    """Arrays of float32, rounded from float64 sums; of more than two million norms, uint16 codes and their ranges.

    Notes
    -----
    ``layers.<l>.neuron.<gate|up|down>`` of shape (d_ff,): norms of gate rows, up rows, down columns.
    ``layers.<l>.head.<q|k|v|o>`` of shape (n_heads,) or (n_kv_heads,): norms of each head's rows (columns for o); of
    latent attention those of ``q_b`` (or q), and of keys and values those of ``kv_b``.
    Where ``kv_b`` is cut in two, they are those of its halves, and an input of it has the sum of both.
    ``layers.<l>.latent.<q_a|q_b|kv_a|kv_b>`` of shape (n_latent,): norms of each latent dimension's row, or column of
    ``q_b`` and ``kv_b``. Rows of ``kv_a`` beyond those that ``kv_b`` takes are rotary and no latent dimensions.
    ``layers.<l>.residual.<role>`` of shape (d_model,): norms over the other axis.
    """
    arrays: dict[str, NDArray[np.float32]] = {}
    for (role, layer), part in sorted(model.index.items(), key=lambda item: (item[0][1] or 0, item[0][0])):
        sums = collected_sums(part, results)
        if sums is not None and layer is not None and role not in SPLIT:
            arrays |= _norms(model, role, layer, *sums)
    for layer in range(model.n_layers):
        if ("kv_b", layer) not in model.index:
            arrays |= _norms_of_halves(model, layer, results)
    if not arrays:
        return Profile(arrays={}, table=None, not_measured="no matrices of attention or MLP were recognized")
    parts = [part for part in ("neuron.gate", "neuron.up", "neuron.down", "residual.q", "residual.up")
             if any(name.endswith(part) for name in arrays)]  # fmt: skip
    rows = (
        (layer, [mean(arrays[name]) if (name := f"layers.{layer}.{part}") in arrays else None for part in parts])
        for layer in range(model.n_layers)
    )
    table = layer_table([f"mean {part}" for part in parts], rows)
    is_large = sum(norms.size for norms in arrays.values()) > _MAX_NORMS
    return Profile(arrays=_coded(arrays) if is_large else arrays, table=table, not_measured=None)


def _coded(norms: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Norms in 65,534 even steps from the least to the greatest of each array, which half the room holds."""
    arrays: dict[str, NDArray[Any]] = {}
    for name, values in norms.items():
        finite = np.isfinite(values)
        least, greatest = (
            (values[finite].min(), values[finite].max()) if finite.any() else (np.float32(0), np.float32(0))
        )
        shares = (np.where(finite, values, least).astype(np.float64) - least) / max(
            float(greatest) - float(least), 5e-324
        )
        codes = np.where(finite, np.rint(shares * _STEPS), _NOT_FINITE)
        arrays[name] = codes.astype(np.uint16)
        arrays[RANGES + name] = np.array([least, greatest], np.float32)
    return arrays


def norms_of(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
    """Norms that a fingerprint holds, in 16 bits or as they are; infinite where they are not finite."""
    norms: dict[str, NDArray[np.float32]] = {}
    for name, values in arrays.items():
        if name.startswith(RANGES):
            continue
        norms[name] = values
        if values.dtype == np.uint16:
            least, greatest = arrays.get(RANGES + name, np.zeros(2, np.float32)).astype(np.float64)
            decoded = least + values * ((greatest - least) / _STEPS)
            norms[name] = np.where(values == _NOT_FINITE, np.inf, decoded).astype(np.float32)
    return norms


def _norms(
    model: Model, role: str, layer: int, outputs: NDArray[np.float64], inputs: NDArray[np.float64]
) -> dict[str, NDArray[np.float32]]:
    inner, residual = (inputs, outputs) if role in {"o", "down"} else (outputs, inputs)
    norms = {
        f"layers.{layer}.head.{part}": _roots(_totals(inner, rows))
        for part, rows in _heads(model, role, inner.size).items()
    }
    if role in _LATENT.values():
        return norms | {f"layers.{layer}.latent.{role}": _roots(inputs)}
    norms[f"layers.{layer}.residual.{role}"] = _roots(residual)
    if role in _NEURONS:
        norms[f"layers.{layer}.neuron.{role}"] = _roots(inner)
    elif role in _LATENT:
        n_latent = _inputs(model, _LATENT[role], layer) or (_inputs(model, "v_b", layer) if role == "kv_a" else 0)
        if 0 < n_latent <= inner.size:
            norms[f"layers.{layer}.latent.{role}"] = _roots(inner[:n_latent])
    return norms


def _norms_of_halves(model: Model, layer: int, results: Results) -> dict[str, NDArray[np.float32]]:
    """Norms of a ``kv_b`` that is cut in two; none where a half is missing, or does not fit the other."""
    norms: dict[str, NDArray[np.float32]] = {}
    squares: list[NDArray[np.float64]] = []
    for role in ("k_b", "v_b"):
        part = model.index.get((role, layer))
        sums = collected_sums(part, results) if part else None
        heads = _heads(model, role, sums[0].size) if sums else {}
        if sums is None or not heads or any(one.shape != sums[1].shape for one in squares):
            return {}
        norms |= {f"layers.{layer}.head.{name}": _roots(_totals(sums[0], rows)) for name, rows in heads.items()}
        squares.append(sums[1])
    return norms | {f"layers.{layer}.latent.kv_b": _roots(squares[0] + squares[1])}


def _heads(model: Model, role: str, size: int) -> Mapping[str, Rows]:
    """Which of so many outputs (inputs of o) are the heads' parts, one period a head; none where that is not known."""
    if model.latent_heads:
        parts = model.latent_heads.rows(role)
        return {part: rows for part, rows in parts.items() if rows.count // rows.length * rows.period == size}
    if role in _HEADS and model.d_head and size % model.d_head == 0:
        return {role: Rows(begin=0, length=model.d_head, period=model.d_head, count=size)}
    return {}


def _totals(squares: NDArray[np.float64], rows: Rows) -> NDArray[np.float64]:
    """Sum of each head's rows, added in order."""
    heads = squares.reshape(-1, rows.period)
    totals = np.zeros(heads.shape[0])
    for position in range(rows.begin, rows.begin + rows.length):
        totals += heads[:, position]
    return totals


def _inputs(model: Model, role: str, layer: int) -> int:
    """Inputs of a matrix; 0 where the layer has none of that role."""
    part = model.index.get((role, layer))
    return part.tensor.shape[0 if part.transposed else 1] if part and len(part.tensor.shape) == 2 else 0


def _roots(squares: NDArray[np.float64]) -> NDArray[np.float32]:
    """Norms from sums of squares; infinite where float32 cannot hold them."""
    with np.errstate(over="ignore"):
        return np.sqrt(squares).astype(np.float32)


UNIT_NORMS = Fingerprint(id="unit-norms/v1", collect=_collect, profile=_profile)
