"""bitsandbytes: 4-bit codes of a fixed table with a scale a block, and 8-bit integers with a scale a row.

References
----------
Dettmers et al., "QLoRA: Efficient Finetuning of Quantized LLMs", 2023, section 3 (NF4, double quantization). Dettmers
et al., "LLM.int8()", 2022, section 3. Layout as bitsandbytes 0.43 and later write it with transformers.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, is_count
from attest.checkpoint.tensor import Tensor
from attest.document import parse
from attest.errors import DocumentError

__all__ = ["FP4", "INT8", "NF4"]

_NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635, -0.18477343022823334,
    -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224,
    0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0,
)  # fmt: skip
_FP4_HALF = (0.0, 0.0052083334885537624, 0.6666666865348816, 1.0, 0.3333333432674408, 0.5, 0.1666666716337204, 0.25)
_FP4 = (*_FP4_HALF, *(-value for value in _FP4_HALF))
_TABLES = {"nf4": np.array(_NF4, np.float32), "fp4": np.array(_FP4, np.float32)}

_STATE_BYTES = 64 * 1024
_BYTES = frozenset({"U8"})
_FLOAT = frozenset({"F32"})
_STEP = np.float32(1 / 127)


def _find_table(kind: str, tensor: Tensor, held: Held) -> Packed | None:
    """A weight whose parts say that its codes are of one table."""
    name = tensor.name
    state = held.part(f"{name}.quant_state.bitsandbytes__{kind}", _BYTES, 1)
    absmax = held.part(f"{name}.absmax", _BYTES | _FLOAT, 1)
    table = held.part(f"{name}.quant_map", _FLOAT, 1)
    if state is None or absmax is None or table is None:
        return None
    if state.size > _STATE_BYTES or table.shape != _TABLES[kind].shape:
        return None
    shape, block = _read_state(held.read(state))
    if len(shape) != 2 or shape[1] % 2 or not block or tensor.shape != (math.prod(shape) // 2, 1):
        return None
    companions = {"absmax": absmax, "quant_map": table, "quant_state": state} | _nested(name, absmax, held)
    if (absmax.dtype == "U8") != ("nested_absmax" in companions) or not np.array_equal(held.read(table), _TABLES[kind]):
        return None
    if absmax.shape != (-(-math.prod(shape) // block),):
        return None
    return Packed(
        scheme={"nf4": NF4, "fp4": FP4}[kind].id,
        tensor=tensor,
        companions=companions,
        name=name,
        shape=(shape[0], shape[1]),
        settings={"blockSize": block},
    )


def _nested(name: str, absmax: Tensor, held: Held) -> dict[str, Tensor]:
    """What scales that are codes themselves follow from; nothing where they are none, or a part is missing."""
    scales, table = held.part(f"{name}.nested_absmax", _FLOAT, 1), held.part(f"{name}.nested_quant_map", _FLOAT, 1)
    if absmax.dtype != "U8" or scales is None or table is None or not scales.size or table.shape != (256,):
        return {}
    return {"nested_absmax": scales, "nested_quant_map": table}


def _state(data: NDArray[Any]) -> dict[str, Any]:
    try:
        state = parse(data.tobytes(), where="quant_state", max_bytes=_STATE_BYTES)
    except DocumentError:
        return {}
    return state if isinstance(state, dict) else {}


def _read_state(data: NDArray[Any]) -> tuple[tuple[int, ...], int]:
    """Shape and size of a block; nothing where they are none."""
    state = _state(data)
    shape, block = state.get("shape"), state.get("blocksize")
    sizes = shape if isinstance(shape, list) and all(map(is_count, shape)) else []
    return tuple(sizes), block if type(block) is int and is_count(block) else 0


def _open_table(kind: str, packed: Packed, read: Read) -> Unpacker:
    """Value of the table times the scale of its block of values, in the order of the matrix; high bits come first."""
    parts, block, n_columns = packed.companions, packed.settings["blockSize"], packed.shape[1]
    scales = read(parts["absmax"])
    if "nested_absmax" in parts:
        state = _state(read(parts["quant_state"]))
        size, offset = state.get("nested_blocksize"), state.get("nested_offset")
        size = size if type(size) is int and is_count(size) else 256
        offset = np.float32(offset) if isinstance(offset, float) else np.float32(np.nan)
        nested = read(parts["nested_absmax"])
        own = np.minimum(np.arange(len(scales)) // size, len(nested) - 1)
        scales = read(parts["nested_quant_map"])[scales] * nested[own] + offset
    table = _TABLES[kind]
    pairs = np.stack([np.repeat(table, 16), np.tile(table, 16)], axis=1)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = pairs[codes.ravel()].ravel()
        own = np.arange(first_row * n_columns, first_row * n_columns + len(values)) // block
        values *= scales[own]
        return values.reshape(-1, n_columns)

    return Unpacker(stored=n_columns // 2, made=1, unpack=unpack)


def _find_int8(tensor: Tensor, held: Held) -> Packed | None:
    stem, _, last = tensor.name.rpartition(".")
    scales = held.part(f"{stem}.SCB", _FLOAT, 1)
    if last != "weight" or len(tensor.shape) != 2 or scales is None:
        return None
    n_outputs, n_inputs = tensor.shape
    if scales.shape != (n_outputs,):
        return None
    return Packed(
        scheme=INT8.id, tensor=tensor, companions={"SCB": scales}, name=tensor.name, shape=(n_outputs, n_inputs)
    )


def _open_int8(packed: Packed, read: Read) -> Unpacker:
    """Code times the greatest absolute value of its row, times 1/127."""
    scales = read(packed.companions["SCB"])

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        own = scales[first_row : first_row + len(codes), None]
        return codes.astype(np.float32) * own * _STEP

    return Unpacker(stored=1, made=1, unpack=unpack)


NF4 = Scheme(id="bitsandbytes NF4", dtypes=_BYTES, find=partial(_find_table, "nf4"), open=partial(_open_table, "nf4"))
FP4 = Scheme(id="bitsandbytes FP4", dtypes=_BYTES, find=partial(_find_table, "fp4"), open=partial(_open_table, "fp4"))
INT8 = Scheme(id="bitsandbytes INT8", dtypes=frozenset({"I8"}), find=_find_int8, open=_open_int8)
