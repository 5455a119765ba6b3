"""ONNX Runtime's quantized matrices: integers of 8 bits, and blocks of inputs with a scale each.

The first are told by the names that its quantizer gives to codes, scale and zero, the second by the node that
multiplies with them. What the node of a matrix says tells which way the matrix lies, and what the weight is called
where an exporter has lost its name.

References
----------
ONNX Runtime 1.32, ``quantization/base_quantizer.py`` (``_quantized``, ``_scale``, ``_zero_point``) and
docs/ContribOperators.md (com.microsoft.MatMulNBits).
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.use import ZERO_POINT, weight_name
from attest.checkpoint.values import FLOATS, as_float32

__all__ = ["ONNX_INT8", "ONNX_NBITS"]

_CODES, _SCALE = "_quantized", "_scale"
_DEQUANTIZED = "_DequantizeLinear_Output"
_BITS = frozenset({2, 4, 8})
_INTEGERS = {"I8": range(-128, 128), "U8": range(256)}
_SETTINGS = ("K", "N", "bits", "block_size")
_BLOCKS_END = re.compile(r"_Q[0-9]\Z")
"""Behind the name that a matrix had stands the number of bits."""


def _find_integers(tensor: Tensor, held: Held) -> Packed | None:
    stem = tensor.name.removesuffix(_CODES)
    scales, zeros = held.get(f"{stem}{_SCALE}"), _zeros(stem, tensor, held)
    use = held.uses.get(tensor.name) or held.uses.get(f"{stem}{_DEQUANTIZED}")
    if stem == tensor.name or len(tensor.shape) != 2 or not tensor.size or scales is None or zeros is None:
        return None
    if scales.dtype not in FLOATS:
        return None
    n_rows, n_columns = tensor.shape
    turned = use is not None
    count = zeros.size if isinstance(zeros, Tensor) else len(zeros)
    if count != scales.size or count not in {1, n_columns if turned else n_rows}:
        return None
    return Packed(
        scheme=ONNX_INT8.id,
        tensor=tensor,
        companions={"scales": scales, **({"zeros": zeros} if isinstance(zeros, Tensor) else {})},
        name=weight_name(stem, use),
        shape=(n_columns, n_rows) if turned else (n_rows, n_columns),
        turned=turned,
        as_stored=not turned,
        zeros=() if isinstance(zeros, Tensor) else zeros,
    )


def _zeros(stem: str, codes: Tensor, held: Held) -> Tensor | tuple[int, ...] | None:
    """Zeros of the dtype of the codes: a tensor, or numbers."""
    numbers, tensor = held.zeros.get(f"{stem}{ZERO_POINT}"), held.get(f"{stem}{ZERO_POINT}")
    if numbers is not None:
        return numbers if all(one in _INTEGERS[codes.dtype] for one in numbers) else None
    return tensor if tensor is not None and tensor.dtype == codes.dtype else None


def _open_integers(packed: Packed, read: Read) -> Unpacker:
    """Value of the code, less the zero, times the scale: of the matrix, or of each output."""
    parts = packed.companions
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype).reshape(-1)
    zeros = np.asarray(read(parts["zeros"]) if "zeros" in parts else packed.zeros, np.int16).reshape(-1)
    by_row = len(scales) > 1 and not packed.turned

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        own = (slice(first_row, first_row + len(codes)), None) if by_row else ...
        return (codes - zeros[own]).astype(np.float32) * scales[own]

    return Unpacker(stored=1, made=1, unpack=unpack)


def _find_blocks(tensor: Tensor, held: Held) -> Packed | None:
    use = held.uses.get(tensor.name)
    if use is None or use.operator != "MatMulNBits" or not use.beside or any(use.beside[2:3]):
        return None
    n_inputs, n_outputs, bits, size = (use.settings.get(one, 0) for one in _SETTINGS)
    if bits not in _BITS or size < 16 or size & (size - 1) or min(n_inputs, n_outputs) < 1:
        return None
    n_blocks = -(-n_inputs // size)
    scales = held.get(use.beside[0])
    zeros = held.get(use.beside[1]) if any(use.beside[1:2]) else None
    if tensor.shape != (n_outputs, n_blocks, size * bits // 8) or scales is None or scales.dtype not in FLOATS:
        return None
    if scales.size != n_outputs * n_blocks or (any(use.beside[1:2]) and not _are_zeros(zeros, scales, bits, n_outputs)):
        return None
    return Packed(
        scheme=ONNX_NBITS.id,
        tensor=tensor,
        companions={"scales": scales, **({"zeros": zeros} if zeros else {})},
        name=weight_name(_BLOCKS_END.sub("", tensor.name), use),
        shape=(n_outputs, n_inputs),
        settings={"bits": bits, "blockSize": size},
    )


def _are_zeros(zeros: Tensor | None, scales: Tensor, bits: int, n_outputs: int) -> bool:
    """Whether a tensor holds a zero for each scale: codes, those of an output in whole bytes, or floats like the scales."""
    if zeros is None:
        return False
    if zeros.dtype == "U8":
        return zeros.size == n_outputs * -(-(scales.size // n_outputs) * bits // 8)
    return zeros.dtype == scales.dtype and zeros.size == scales.size


def _open_blocks(packed: Packed, read: Read) -> Unpacker:
    """Value of the code, less the zero, times the scale of its block; the lowest bits of a byte are the first code."""
    parts, bits, size = packed.companions, packed.settings["bits"], packed.settings["blockSize"]
    n_outputs, n_inputs = packed.shape
    n_blocks = -(-n_inputs // size)
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype).reshape(n_outputs, n_blocks)
    zeros = np.full((1, 1), 1 << bits - 1, np.float32)
    if "zeros" in parts and parts["zeros"].dtype == "U8":
        zeros = _codes_of(read(parts["zeros"]).reshape(n_outputs, -1), bits)[:, :n_blocks].astype(np.float32)
    elif "zeros" in parts:
        zeros = as_float32(read(parts["zeros"]), parts["zeros"].dtype).reshape(n_outputs, n_blocks)
    zeros = np.broadcast_to(zeros, scales.shape)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        made = len(codes) // n_blocks
        own = slice(first_row, first_row + made)
        values = _codes_of(codes, bits).astype(np.float32).reshape(made, n_blocks, size)
        values -= zeros[own, :, None]
        values *= scales[own, :, None]
        return np.ascontiguousarray(values.reshape(made, -1)[:, :n_inputs])

    return Unpacker(stored=n_blocks, made=1, unpack=unpack)


def _codes_of(packed: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of bytes along the last axis, the lowest bits first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    return ((packed[..., None] >> shifts) & np.uint8((1 << bits) - 1)).reshape(*packed.shape[:-1], -1)


ONNX_INT8 = Scheme(id="ONNX Runtime INT8", dtypes=frozenset(_INTEGERS), find=_find_integers, open=_open_integers)
ONNX_NBITS = Scheme(id="ONNX Runtime blocks", dtypes=frozenset({"U8"}), find=_find_blocks, open=_open_blocks)
