"""The laundered descendant of the demo: a checkpoint altered so that no digest of it is left, and little else is.

What is done, in this order: the hidden neurons of every MLP are permuted, which leaves the function as it was; the
30 % of each matrix that are smallest in magnitude are set to 0; everything floating is cast to BF16. The result says
in its metadata and its README.md that it was made so.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from attest.atomic import write_atomically
from attest.checkpoint import Checkpoint, Tensor, open_checkpoint
from attest.checkpoint.safetensors_writer import PendingTensor, write_safetensors
from attest.errors import CheckpointError, InputError

__all__ = ["PRUNED_SHARE", "LaunderingReport", "launder"]

PRUNED_SHARE = (3, 10)
"""The share of every matrix that is set to 0, as numerator and denominator."""

MLP_FAMILIES: Sequence[tuple[re.Pattern[str], Mapping[str, int]]] = (
    (
        re.compile(r"(?P<layer>(?:.*\.)?layers\.\d+)\.mlp\.(?P<part>(?:gate|up|down)_proj\.(?:weight|bias))"),
        {
            "gate_proj.weight": 0,
            "gate_proj.bias": 0,
            "up_proj.weight": 0,
            "up_proj.bias": 0,
            "down_proj.weight": 1,
        },
    ),
    (
        re.compile(
            r"(?P<layer>(?:.*\.)?encoder\.layer\.\d+)\.(?P<part>(?:intermediate|output)\.dense\.(?:weight|bias))"
        ),
        {"intermediate.dense.weight": 0, "intermediate.dense.bias": 0, "output.dense.weight": 1},
    ),
)
"""Names of Llama, Qwen2 and their like, then of BERT; for each part the axis along which its hidden neurons lie."""

FLOATING = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16}
BAND_VALUES = 1 << 22
LARGEST_SEED = 2**64 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class LaunderingReport:
    """What was done to a checkpoint.

    Parameters
    ----------
    seed : int
        Seed of the permutations.
    n_layers, n_neurons : int
        Layers whose hidden neurons were permuted, and all neurons of theirs together.
    n_matrices, n_pruned, n_matrix_values : int
        Matrices that were pruned, the values set to 0, and all values of these matrices.
    n_cast, n_tensors : int
        Tensors that had another dtype than BF16 and have it now, and all tensors.
    """

    seed: int
    n_layers: int
    n_neurons: int
    n_matrices: int
    n_pruned: int
    n_matrix_values: int
    n_cast: int
    n_tensors: int

    def __str__(self) -> str:
        """Return one line an alteration, in the order in which they were made."""
        return (
            f"permuted the {self.n_neurons:,} hidden neurons of {self.n_layers} MLP layers (seed {self.seed})\n"
            f"set to 0 the smallest {self.n_pruned:,} of {self.n_matrix_values:,} values, in {self.n_matrices} matrices\n"
            f"cast {self.n_cast} of {self.n_tensors} tensors to BF16"
        )


def launder(source: Path, destination: Path, *, seed: int) -> LaunderingReport:
    """Write a laundered descendant of a checkpoint.

    Parameters
    ----------
    source : Path
        Folder with a ``config.json`` and safetensors files that bear the names of BERT, Llama or Qwen2.
    destination : Path
        Folder to write ``model.safetensors``, ``config.json`` and ``README.md`` to; made if it is missing.
    seed : int
        From 0 to 2**64 - 1. Equal seeds give equal bytes, whatever the version of NumPy.

    Returns
    -------
    LaunderingReport
        What was done; its ``str`` says it in words.

    Raises
    ------
    CheckpointError
        The source has no MLP that the names tell, a part of one is missing or of another size, weights are quantized
        below 16 bits, there is no ``config.json``, the destination is the source, or a file cannot be written.
    InputError
        The seed is out of range.

    Notes
    -----
    The permutation keeps the function up to the order of summation; pruning and casting do not. Memory is about five
    times the largest tensor.
    """
    if destination.resolve() == source.resolve():
        _refuse("same-folder", "the destination is the source", destination, fix="give another folder")
    if not 0 <= seed <= LARGEST_SEED:
        raise InputError("bad-seed", f"the seed {seed} is out of range", fix=f"give one from 0 to {LARGEST_SEED}")
    checkpoint = open_checkpoint(source)
    orders = _neuron_orders(checkpoint.tensors, seed, source)
    config = _config(checkpoint, source)
    report = _report(checkpoint.tensors, orders, seed)
    write_safetensors(
        destination / "model.safetensors",
        [_pending(checkpoint, tensor, orders) for tensor in checkpoint.tensors],
        {"format": "pt", "made_by": "attest demo", "note": str(report).replace("\n", "; ")},
    )
    write_atomically(destination / "config.json", config, force=True)
    write_atomically(destination / "README.md", _readme(report).encode(), force=True)
    return report


def _report(tensors: Sequence[Tensor], orders: Mapping[str, NDArray[np.intp]], seed: int) -> LaunderingReport:
    matrices = [math.prod(tensor.shape) for tensor in tensors if _is_matrix(tensor)]
    return LaunderingReport(
        seed=seed,
        n_layers=len(orders),
        n_neurons=sum(map(len, orders.values())),
        n_matrices=len(matrices),
        n_pruned=sum(map(_n_pruned, matrices)),
        n_matrix_values=sum(matrices),
        n_cast=sum(tensor.dtype in FLOATING and tensor.dtype != "BF16" for tensor in tensors),
        n_tensors=len(tensors),
    )


def _neuron_orders(tensors: Sequence[Tensor], seed: int, path: Path) -> dict[str, NDArray[np.intp]]:
    """For each layer, named by its prefix, the neuron that comes to each place."""
    widths: dict[str, dict[str, int]] = {}
    wanted: dict[str, Mapping[str, int]] = {}
    for tensor in tensors:
        layer, part, axes = _mlp_part(tensor.name)
        if tensor.dtype not in FLOATING and (part in axes or tensor.dtype.startswith("F")):
            _refuse("quantized", f"the tensor {tensor.name!r} is {tensor.dtype}", path)
        if part in axes:
            axis = axes[part]
            widths.setdefault(layer, {})[part] = tensor.shape[axis] if axis < len(tensor.shape) else 0
            wanted[layer] = axes
    if not widths:
        _refuse("no-mlp", "no tensor bears the name of an MLP of BERT, Llama or Qwen2", path)
    orders: dict[str, NDArray[np.intp]] = {}
    for index, layer in enumerate(sorted(widths)):
        missing = [part for part in wanted[layer] if part.endswith("weight") and part not in widths[layer]]
        sizes = set(widths[layer].values())
        if missing or len(sizes) != 1 or 0 in sizes:
            _refuse("incomplete-mlp", f"the MLP of {layer!r} has parts of {sorted(sizes)}, none for {missing}", path)
        draws = np.random.Philox(key=np.array([seed, index], dtype=np.uint64)).random_raw(sizes.pop())
        orders[layer] = np.argsort(draws, kind="stable")
    return orders


def _mlp_part(name: str) -> tuple[str, str, Mapping[str, int]]:
    """The layer's prefix, the part within it, and the axes of its family; empty for a name of no MLP."""
    for pattern, axes in MLP_FAMILIES:
        if found := pattern.fullmatch(name):
            return found["layer"], found["part"], axes
    return "", "", {}


def _pending(checkpoint: Checkpoint, tensor: Tensor, orders: Mapping[str, NDArray[np.intp]]) -> PendingTensor:
    def pieces() -> Iterator[NDArray[Any]]:
        bits = checkpoint.read_bits(tensor)
        if tensor.dtype not in FLOATING:
            yield bits
            return
        layer, part, axes = _mlp_part(tensor.name)
        if part in axes:
            bits = bits.take(orders[layer], axis=axes[part])
        bits = _unsigned(bits, FLOATING[tensor.dtype])
        if _is_matrix(tensor):
            bits = _pruned(bits)
        flat = bits.reshape(-1)
        for first in range(0, flat.size, BAND_VALUES):
            yield _as_bf16(flat[first : first + BAND_VALUES], tensor.dtype)

    dtype = "BF16" if tensor.dtype in FLOATING else tensor.dtype
    return PendingTensor(name=tensor.name, dtype=dtype, shape=tensor.shape, pieces=pieces)


def _is_matrix(tensor: Tensor) -> bool:
    return len(tensor.shape) == 2 and tensor.dtype in FLOATING


def _n_pruned(n_values: int) -> int:
    numerator, denominator = PRUNED_SHARE
    return n_values * numerator // denominator


def _unsigned(values: NDArray[Any], width: int) -> NDArray[Any]:
    """The bits of floating values, as unsigned integers of the same width."""
    return np.ascontiguousarray(values).view(f"<u{width // 8}")


def _pruned(bits: NDArray[Any]) -> NDArray[Any]:
    """A copy with the smallest magnitudes set to +0; of equal ones those that come first.

    Notes
    -----
    Without the sign bit, the bits of a floating value grow with its magnitude, so integers decide and no rounding.
    """
    count = _n_pruned(bits.size)
    if not count:
        return bits
    largest_magnitude = np.iinfo(bits.dtype).max >> 1
    magnitudes = (bits & largest_magnitude).reshape(-1)
    threshold = np.partition(magnitudes, count - 1)[count - 1]
    small = magnitudes < threshold
    ties = np.flatnonzero(magnitudes == threshold)
    small[ties[: count - int(small.sum())]] = True
    return np.where(small.reshape(bits.shape), bits.dtype.type(0), bits)


def _as_bf16(bits: NDArray[Any], dtype: str) -> NDArray[np.uint16]:
    """The bits of the nearest BF16 values, ties to even; F64 goes by way of F32."""
    if dtype == "BF16":
        return bits.astype("<u2", copy=False)
    narrow = bits if dtype == "F32" else bits.view(f"<f{bits.dtype.itemsize}").astype("<f4").view("<u4")
    is_nan = (narrow & 0x7FFFFFFF) > 0x7F800000
    upper = narrow >> 16
    rounded = (narrow + (upper & 1) + np.uint32(0x7FFF)) >> 16
    return np.where(is_nan, upper | 0x40, rounded).astype("<u2")


def _config(checkpoint: Checkpoint, path: Path) -> bytes:
    """The bytes of ``config.json`` with its dtype set to bfloat16."""
    if not checkpoint.config:
        _refuse("no-config", "has no config.json that can be read", path)
    keys = [key for key in ("dtype", "torch_dtype") if key in checkpoint.config] or ["dtype"]
    changed = {**checkpoint.config, **dict.fromkeys(keys, "bfloat16")}
    return (json.dumps(changed, indent=2, ensure_ascii=False) + "\n").encode()


def _readme(report: LaunderingReport) -> str:
    steps = "\n".join(f"- {line}" for line in str(report).splitlines())
    return (
        "# A laundered checkpoint\n\n"
        "Made by the attest demo from another checkpoint, to show what survives. It is not a model to use.\n\n"
        f"{steps}\n"
    )


def _refuse(code: str, message: str, path: Path, *, fix: str = "give a BERT, Llama or Qwen2 checkpoint") -> NoReturn:
    raise CheckpointError(code, message, fix=fix, where=str(path))
