"""Checkpoints of the family made to look different while they compute the same: rotated, permuted, wider; with a tokenizer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from measured import FAMILY, values
from numpy.typing import NDArray
from small_checkpoint import bfloat16, write_tensors

Weights = dict[str, NDArray[np.float64]]
"""Tensors by name without ``model.``; matrices are outputs by inputs."""

WRITING = ("o_proj.weight", "down_proj.weight")


def byte_tokenizer() -> dict[str, Any]:
    """A byte-level ``tokenizer.json`` whose ids are bytes, as the family has them."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    names = {byte: chr(byte) for byte in printable} | {byte: chr(256 + place) for place, byte in enumerate(others)}
    return {"model": {"type": "BPE", "vocab": {names[byte]: byte for byte in range(256)}, "merges": []}}


def weights(name: str) -> Weights:
    return {key: value.copy() for key, value in values(name).items()}


def rotated(model: Weights, basis: NDArray[np.float64]) -> Weights:
    """The network with its residual stream in another basis; gains are folded into the matrices behind them.

    Parameters
    ----------
    basis : ndarray of shape (d_model, d_new), float64
        Orthonormal rows.
    """
    changed = {}
    for name, value in model.items():
        layer = name.rpartition("self_attn.")[0] or name.rpartition("mlp.")[0]
        if "norm" in name:
            changed[name] = np.ones(basis.shape[1])
        elif name.endswith(WRITING):
            changed[name] = basis.T @ value
        elif value.ndim == 2:
            norm = "input_layernorm" if "self_attn" in name else "post_attention_layernorm"
            gain = model[f"{layer}{norm}.weight"] if layer else 1.0
            changed[name] = (value * gain) @ basis
        else:
            changed[name] = value
    return changed


def with_neurons_permuted(model: Weights, rng: np.random.Generator) -> Weights:
    changed = dict(model)
    for name in [name for name in model if name.endswith("gate_proj.weight")]:
        order = rng.permutation(len(model[name]))
        up, down = (name.replace("gate_proj", part) for part in ("up_proj", "down_proj"))
        changed |= {name: model[name][order], up: model[up][order], down: model[down][:, order]}
    return changed


def write(model: Weights, folder: Path, *, tokenizer: bool = True) -> Path:
    """Write as BF16, with the family's configuration."""
    folder.mkdir()
    shutil.copyfile(FAMILY / "seed-1" / "config.json", folder / "config.json")
    if tokenizer:
        (folder / "tokenizer.json").write_text(json.dumps(byte_tokenizer()), encoding="utf-8")
    arrays = {f"model.{name}": bfloat16(np.ascontiguousarray(value, np.float32)) for name, value in model.items()}
    write_tensors(folder / "model.safetensors", arrays)
    return folder


def basis(d_model: int, d_new: int, seed: int) -> NDArray[np.float64]:
    """Random orthonormal rows."""
    rng = np.random.default_rng(seed)
    return np.linalg.qr(rng.standard_normal((d_new, d_new)))[0][:d_model]
