"""MXFP4 and NVFP4: codes of a 4-bit float, two to a byte, with a scale for every 32 or 16 inputs.

An MXFP4 scale is a power of two in 8 bits, an NVFP4 scale an 8-bit float that a scale of the whole tensor goes with.

References
----------
OCP Microscaling Formats (MX) Specification v1.0, sections 5.3.3 (E2M1), 5.4.1 (E8M0) and 6.3 (MXFP4, 32 values). NVIDIA,
"Pretraining Large Language Models with NVFP4", 2025, section 2 (16 values, E4M3). Layouts: ``_blocks`` and ``_scales`` as gpt-oss
has them; ``weight_packed``, ``weight_scale``, ``weight_global_scale`` as compressed-tensors writes them
(``nvfp4-pack-quantized``, ``mxfp4-pack-quantized``); ``weight``, ``weight_scale``, ``weight_scale_2`` as ModelOpt does, and for
stacks ``_weight_scale``, ``_weight_scale_2``, which of Llama 4 and gpt-oss are packed down the inputs
(``maybe_transpose_expert_weight_dimensions``); codes of DeepSeek-V4 are bytes with a sign (transformers 5, ``FP8Experts``).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.packed.scaled import scales_of
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import E2M1, e8m0_values, float8_values

__all__ = ["MXFP4", "NVFP4"]

_CODES = frozenset({"U8", "F4", "I8"})
_FLOAT = frozenset({"F32"})
_BLOCK_BYTES = 16
_MXFP4, _NVFP4 = "MXFP4", "NVFP4"
_SCALES = {_MXFP4: frozenset({"U8", "F8_E8M0"}), _NVFP4: frozenset({"F8_E4M3"})}
_SIZES = {_MXFP4: 32, _NVFP4: 16}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parts:
    """Name of a weight, its scales and the scale of all of it, and whether that divides."""

    weight: str
    scales: Tensor | None
    whole: Tensor | None
    divides: bool = False


def _parts(tensor: Tensor, held: Held) -> _Parts:
    stem, _, last = tensor.name.rpartition(".")
    if last.endswith("_blocks"):
        weight = tensor.name.removesuffix("_blocks")
        return _Parts(weight=weight, scales=held.get(f"{weight}_scales"), whole=None)
    if last == "weight_packed":
        weight = f"{stem}.weight"
        whole = held.get(f"{weight}_global_scale")
        return _Parts(weight=weight, scales=held.get(f"{weight}_scale"), whole=whole, divides=True)
    whole = held.get(f"{tensor.name}_scale_2") or held.get(f"{tensor.name}_weight_scale_2")
    return _Parts(weight=tensor.name, scales=scales_of(tensor, held), whole=whole)


def _sizes(tensor: Tensor) -> tuple[int, int] | None:
    """Rows of the codes, and bytes in each; the blocks of a row are one dimension."""
    shape = tensor.shape
    if tensor.name.endswith("_blocks"):
        shape = (*shape[:-2], math.prod(shape[-2:])) if len(shape) > 2 and shape[-1] == _BLOCK_BYTES else ()
    if len(shape) != 2:
        return None
    return shape[0], shape[1] // 2 if tensor.dtype == "F4" else shape[1]


def _find(scheme: str, tensor: Tensor, held: Held) -> Packed | None:
    """Of NVFP4 the scale of the tensor may be missing only where the codes have a dtype of their own."""
    parts, sizes, size = _parts(tensor, held), _sizes(tensor), _SIZES[scheme]
    scales, whole = parts.scales, parts.whole
    if sizes is None or scales is None or scales.dtype not in _SCALES[scheme]:
        return None
    if tensor.dtype == "I8" and scales.dtype != "F8_E8M0":
        return None
    n_rows, n_bytes = sizes
    turned = held.stacked is not None and scales.shape == (2 * n_rows / size, n_bytes)
    if not turned and scales.shape != (n_rows, 2 * n_bytes / size):
        return None
    n_outputs, n_inputs = (n_bytes, 2 * n_rows) if turned else (n_rows, 2 * n_bytes)
    halves = held.stacked is not None and not turned and n_outputs % 2 == 0
    if whole is not None and (scheme == _MXFP4 or whole.dtype not in _FLOAT or whole.size not in {1, 1 + halves}):
        return None
    if whole is None and scheme == _NVFP4 and tensor.dtype != "F4":
        return None
    return Packed(
        scheme=scheme,
        tensor=tensor,
        companions={"scales": scales, **({"whole": whole} if whole else {})},
        name=parts.weight,
        shape=(n_outputs, n_inputs),
        turned=turned,
        settings={"blockSize": size, "divides": int(parts.divides)},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code times the scale of its block, which was multiplied with, or divided by, that of the tensor."""
    parts, size = packed.companions, packed.settings["blockSize"]
    table: NDArray[np.float32] = e8m0_values() if packed.scheme == _MXFP4 else float8_values("F8_E4M3")
    scales = read(parts["scales"])
    tables = table[None]
    if "whole" in parts:
        whole = np.ravel(read(parts["whole"]))[:, None]
        tables = table / whole if packed.settings["divides"] else table * whole
    return _open_turned(scales, tables[0], size) if packed.turned else _open_rows(packed, scales, tables)


def _open_rows(packed: Packed, scales: NDArray[np.uint8], tables: NDArray[np.float32]) -> Unpacker:
    """Of rows of codes along the inputs; as many of them in turn as there are tables have each table of scales."""
    n_outputs, n_inputs = packed.shape
    size, a_table = packed.settings["blockSize"], -(-n_outputs // len(tables))

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        pairs: NDArray[np.float32] = _PAIRS[np.ascontiguousarray(codes).reshape(-1).view(np.uint8)]
        values = pairs.reshape(-1, n_inputs // size, size)
        rows = np.arange(first_row, first_row + len(values))
        values *= tables[rows[:, None] // a_table, scales[rows]][:, :, None]
        return values.reshape(len(values), n_inputs)

    stored = math.prod(packed.tensor.shape[:-1]) // n_outputs
    return Unpacker(stored=stored, made=1, unpack=unpack)


def _open_turned(scales: NDArray[np.uint8], table: NDArray[np.float32], size: int) -> Unpacker:
    """Of rows of which each has the codes of two inputs."""

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        codes = np.ascontiguousarray(codes).view(np.uint8)
        values = np.stack([E2M1[codes & 15], E2M1[codes >> 4]], axis=1).reshape(-1, codes.shape[1])
        values *= table[scales[np.arange(first_row, first_row + len(values)) // size]]
        return values

    return Unpacker(stored=1, made=2, unpack=unpack)


_PAIRS = np.stack([np.tile(E2M1, 16), np.repeat(E2M1, 16)], axis=1)
"""Both values of a byte; the lower bits come first."""

MXFP4 = Scheme(id=_MXFP4, dtypes=_CODES, find=partial(_find, _MXFP4), open=_open)
NVFP4 = Scheme(id=_NVFP4, dtypes=_CODES, find=partial(_find, _NVFP4), open=_open)
