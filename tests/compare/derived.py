"""Checkpoints derived from the fixture family, and such as have only innocent things in common."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.demo.weights import family

__all__ = ["LAYERS", "Values", "bf16", "layer_name", "random_model", "read_family", "values", "write"]

LAYERS = 4

Values = dict[str, NDArray[Any]]


def bf16(array: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Codes of the nearest BF16 values, ties to even; how ``write`` tells BF16."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def values(checkpoint: Checkpoint) -> Values:
    """All tensors, BF16 widened to float32."""
    read = {tensor.name: (tensor.dtype, checkpoint.read_bits(tensor)) for tensor in checkpoint.tensors}
    return {
        name: (bits.astype(np.uint32) << 16).view(np.float32) if dtype == "BF16" else bits
        for name, (dtype, bits) in read.items()
    }


def read_family(name: str) -> Values:
    return values(open_checkpoint(family() / name))


def random_model(seed: int) -> Values:
    """A model of the family's shapes, of random values."""
    rng = np.random.default_rng(seed)
    shapes = {name: array.shape for name, array in read_family("seed-1").items()}
    return {name: (0.02 * rng.standard_normal(shape)).astype(np.float32) for name, shape in shapes.items()}


def layer_name(layer: int, part: str) -> str:
    return f"model.layers.{layer}.{part}.weight"


def write(folder: Path, tensors: Mapping[str, NDArray[Any]], *, config: bool = True) -> Path:
    """Write a checkpoint; arrays of uint16 are BF16 codes."""
    dtypes = {"<f4": "F32", "<f2": "F16", "<u2": "BF16", "|i1": "I8", "<i8": "I64", "<f8": "F64"}
    pending = [
        PendingTensor(name=name, dtype=dtypes[array.dtype.str], shape=array.shape, pieces=lambda array=array: (array,))
        for name, array in tensors.items()
    ]
    write_safetensors(folder / "model.safetensors", pending)
    if config:
        shutil.copy(family() / "seed-1" / "config.json", folder / "config.json")
    return folder
