"""MXFP4 and NVFP4: codes of a 4-bit float, two to a byte, with a scale for every 32 or 16 inputs.

An MXFP4 scale is a power of two in 8 bits, an NVFP4 scale an 8-bit float that a scale of the whole tensor goes with.

References
----------
OCP Microscaling Formats (MX) Specification v1.0, sections 5.3.3 (E2M1), 5.4.1 (E8M0) and 6.3 (MXFP4, 32 values). NVIDIA,
"Pretraining Large Language Models with NVFP4", 2025, section 2 (16 values, E4M3). Layouts: ``_blocks`` and ``_scales`` as gpt-oss
has them; ``weight_packed``, ``weight_scale``, ``weight_global_scale`` as compressed-tensors writes them
(``nvfp4-pack-quantized``, ``mxfp4-pack-quantized``); ``weight``, ``weight_scale``, ``weight_scale_2`` as ModelOpt does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import E2M1, e8m0_values, float8_values

__all__ = ["MXFP4", "NVFP4"]

_CODES = frozenset({"U8", "F4"})
_FLOAT = frozenset({"F32"})
_BLOCK_BYTES = 16
_MXFP4, _NVFP4 = "MXFP4", "NVFP4"
_SCALES = {_MXFP4: frozenset({"U8", "F8_E8M0"}), _NVFP4: frozenset({"F8_E4M3"})}
_SIZES = {_MXFP4: 32, _NVFP4: 16}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Names:
    """Names of a weight, of its scales and of the scale of the whole tensor, and whether that divides."""

    weight: str
    scales: str
    whole: str
    divides: bool = False


def _names(tensor: Tensor) -> _Names:
    stem, _, last = tensor.name.rpartition(".")
    if last.endswith("_blocks"):
        weight = tensor.name.removesuffix("_blocks")
        return _Names(weight=weight, scales=f"{weight}_scales", whole="")
    if last == "weight_packed":
        weight = f"{stem}.weight"
        return _Names(weight=weight, scales=f"{weight}_scale", whole=f"{weight}_global_scale", divides=True)
    return _Names(weight=tensor.name, scales=f"{tensor.name}_scale", whole=f"{tensor.name}_scale_2")


def _shape(tensor: Tensor) -> tuple[int, ...]:
    """Shape of the values: a byte holds two, and the blocks of a row are one dimension."""
    shape = tensor.shape
    if tensor.name.endswith("_blocks"):
        shape = (*shape[:-2], math.prod(shape[-2:])) if len(shape) > 2 and shape[-1] == _BLOCK_BYTES else ()
    return (*shape[:-1], 2 * shape[-1]) if shape and tensor.dtype == "U8" else shape


def _find(scheme: str, tensor: Tensor, held: Held) -> Packed | None:
    """Of NVFP4 the scale of the tensor may be missing only where the codes have a dtype of their own."""
    names, shape, size = _names(tensor), _shape(tensor), _SIZES[scheme]
    scales, whole = held.tensors.get(names.scales), held.tensors.get(names.whole)
    if len(shape) not in {2, 3} or shape[-1] % size or scales is None or scales.dtype not in _SCALES[scheme]:
        return None
    *stacked, n_outputs, n_inputs = shape
    if math.prod(scales.shape) * size != math.prod(shape) or scales.shape[:-1] != shape[:-1]:
        return None
    if whole is not None and (scheme == _MXFP4 or whole.dtype not in _FLOAT or whole.size != 1):
        return None
    if whole is None and scheme == _NVFP4 and tensor.dtype != "F4":
        return None
    return Packed(
        scheme=scheme,
        tensor=tensor,
        companions={"scales": scales, **({"whole": whole} if whole else {})},
        name=names.weight,
        shape=(n_outputs, n_inputs),
        stacked=stacked[0] if stacked else None,
        settings={"blockSize": size, "divides": int(names.divides)},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code times the scale of its block, which was multiplied with, or divided by, that of the tensor."""
    parts, size, n_inputs = packed.companions, packed.settings["blockSize"], packed.shape[1]
    scales = read(parts["scales"]).reshape(-1, n_inputs // size)
    table: NDArray[np.float32] = e8m0_values() if packed.scheme == _MXFP4 else float8_values("F8_E4M3")
    if "whole" in parts:
        whole = np.float32(read(parts["whole"]).item())
        table = table / whole if packed.settings["divides"] else table * whole

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        pairs: NDArray[np.float32] = _PAIRS[np.ascontiguousarray(codes).reshape(-1).view(np.uint8)]
        values = pairs.reshape(-1, n_inputs // size, size)
        values *= table[scales[first_row : first_row + len(values)]][:, :, None]
        return values.reshape(len(values), n_inputs)

    stored = math.prod(packed.tensor.shape[:-1]) // packed.unpacked.shape[0]
    return Unpacker(stored=stored, made=1, unpack=unpack)


_PAIRS = np.stack([np.tile(E2M1, 16), np.repeat(E2M1, 16)], axis=1)
"""Both values of a byte; the lower bits come first."""

MXFP4 = Scheme(id=_MXFP4, dtypes=_CODES, find=partial(_find, _MXFP4), open=_open)
NVFP4 = Scheme(id=_NVFP4, dtypes=_CODES, find=partial(_find, _NVFP4), open=_open)
