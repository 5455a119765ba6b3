"""Mixtures of experts made from the dense family, with known ancestry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
