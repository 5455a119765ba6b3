"""Mixtures of experts made from the dense family, with known ancestry."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from small_checkpoint import bfloat16, copy_with, read_tensors

Matrix = NDArray[np.float32]
Expert = tuple[Matrix, Matrix, Matrix]
"""Gate and up of shape (d_ff, d_model), down of shape (d_model, d_ff)."""


def widened(codes: NDArray[np.uint16]) -> Matrix:
    return (codes.astype(np.uint32) << 16).view(np.float32)


def write_mixture(source: Path, folder: Path, make: Callable[[int, Expert], list[Expert]]) -> Path:
    """Checkpoint whose layers have these experts, made from the dense MLP of the source's layer."""
    arrays = read_tensors(source)
    layers = sorted({int(name.split(".")[2]) for name in arrays if ".mlp." in name})
    mixed = {name: codes for name, codes in arrays.items() if ".mlp." not in name}
    for layer in layers:
        prefix = f"model.layers.{layer}.mlp."
        gate, up, down = (widened(arrays[f"{prefix}{part}_proj.weight"]) for part in ("gate", "up", "down"))
        for number, expert in enumerate(make(layer, (gate, up, down))):
            for part, matrix in zip(("gate", "up", "down"), expert, strict=True):
                values = np.ascontiguousarray(matrix, dtype=np.float32)
                mixed[f"{prefix}experts.{number}.{part}_proj.weight"] = bfloat16(values)
        mixed[f"{prefix}gate.weight"] = np.zeros((2, gate.shape[1]), np.uint16)
    return copy_with(source, folder, mixed)


def some(expert: Expert, rows: NDArray[np.int64]) -> Expert:
    """Some neurons of an expert, in that order."""
    gate, up, down = expert
    return gate[rows], up[rows], down[:, rows]


def stacked(
    arrays: Mapping[str, NDArray[Any]], write: Callable[[str, list[Expert]], Mapping[str, NDArray[Any]]]
) -> dict[str, NDArray[Any]]:
    """The same tensors with the experts of every layer as ``write`` stores them, given the prefix of the layer's MLP."""
    layers: dict[str, dict[int, dict[str, NDArray[Any]]]] = {}
    kept = {}
    for name, array in arrays.items():
        prefix, found, rest = name.partition("experts.")
        if not found:
            kept[name] = array
            continue
        number, part, _ = rest.split(".")
        layers.setdefault(prefix, {}).setdefault(int(number), {})[part.removesuffix("_proj")] = array
    for prefix, experts in layers.items():
        all_of = [(one["gate"], one["up"], one["down"]) for _, one in sorted(experts.items())]
        kept |= {f"{prefix}{name}": np.ascontiguousarray(array) for name, array in write(prefix, all_of).items()}
    return kept


def outputs_first(_: str, experts: list[Expert]) -> dict[str, NDArray[Any]]:
    """As transformers 5 has Mixtral, Qwen3-MoE, DeepSeek-V3, GLM-4.5."""
    return {
        "experts.gate_up_proj": np.stack([np.concatenate([gate, up]) for gate, up, _ in experts]),
        "experts.down_proj": np.stack([down for *_, down in experts]),
    }


def inputs_first(_: str, experts: list[Expert]) -> dict[str, NDArray[Any]]:
    """As Llama 4 is stored."""
    return {name: array.transpose(0, 2, 1) for name, array in outputs_first(_, experts).items()}


def in_turn(_: str, experts: list[Expert]) -> dict[str, NDArray[Any]]:
    """As gpt-oss is stored: gate and up in turn, inputs by outputs."""
    turned = [np.stack([gate, up], axis=1).reshape(-1, gate.shape[1]).T for gate, up, _ in experts]
    return {
        "experts.gate_up_proj": np.stack(turned),
        "experts.down_proj": np.stack([down.T for *_, down in experts]),
    }


def in_rows(_: str, experts: list[Expert]) -> dict[str, NDArray[Any]]:
    """As DBRX is stored: one expert below the other, down as inputs by outputs."""
    return {
        "experts.mlp.w1": np.concatenate([gate for gate, _, _ in experts]),
        "experts.mlp.v1": np.concatenate([up for _, up, _ in experts]),
        "experts.mlp.w2": np.concatenate([down.T for *_, down in experts]),
    }
