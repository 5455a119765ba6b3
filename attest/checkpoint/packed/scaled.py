"""8-bit floats and integers with scales: one for the tensor, one a row, or one for a rectangle of values.

References
----------
DeepSeek-V3, "Technical Report", 2024, section 3.3.2 (``weight_scale_inv``, rectangles of 128 by 128, which multiply in
spite of their name). compressed-tensors, formats ``float-quantized`` and ``int-quantized`` (``weight_scale``).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, is_count
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32, float8_values

__all__ = ["FP8", "INT8_SCALED"]

_FP8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
_USUAL = 128


def _find(scheme: str, tensor: Tensor, held: Held) -> Packed | None:
    if len(tensor.shape) != 2 or not tensor.size:
        return None
    scales = held.tensors.get(f"{tensor.name}_scale_inv") or held.tensors.get(f"{tensor.name}_scale")
    if scales is None or scales.dtype not in FLOATS or not scales.size or f"{tensor.name}_zero_point" in held.tensors:
        return None
    n_outputs, n_inputs = tensor.shape
    block = _block(tensor.shape, scales.shape, held)
    if block is None:
        return None
    return Packed(
        scheme=scheme,
        tensor=tensor,
        companions={"scales": scales},
        name=tensor.name,
        shape=(n_outputs, n_inputs),
        settings={"rows": block[0], "columns": block[1]},
    )


def _block(shape: tuple[int, ...], scales: tuple[int, ...], held: Held) -> tuple[int, int] | None:
    """Rows and columns that share a scale; None where the shapes do not tell."""
    if all(size == 1 for size in scales):
        return shape[0], shape[1]
    if scales in {shape[:1], (shape[0], 1)}:
        return 1, shape[1]
    claimed = held.claims.get("weight_block_size")
    blocks = [tuple(claimed)] if isinstance(claimed, list) else []
    for block in (*blocks, (_USUAL, _USUAL)):
        usable = len(block) == 2 and all(map(is_count, block))
        if usable and scales == (-(-shape[0] // block[0]), -(-shape[1] // block[1])):
            return block[0], block[1]
    return None


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code times the scale of its rectangle."""
    tensor = packed.companions["scales"]
    n_rows, n_columns = packed.settings["rows"], packed.settings["columns"]
    scales = as_float32(read(tensor), tensor.dtype)
    scales = scales.reshape(-(-packed.shape[0] // n_rows), -(-packed.shape[1] // n_columns))
    columns = np.arange(packed.shape[1]) // n_columns
    table = None if packed.tensor.dtype == "I8" else float8_values(packed.tensor.dtype)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        own = np.arange(first_row, first_row + len(codes)) // n_rows
        values = codes.astype(np.float32) if table is None else table[codes]
        return values * scales[own][:, columns]

    return Unpacker(stored=1, made=1, unpack=unpack)


_FP8_ID, _INT8_ID = "FP8 with scales", "INT8 with scales"

FP8 = Scheme(id=_FP8_ID, dtypes=_FP8, find=partial(_find, _FP8_ID), open=_open)
INT8_SCALED = Scheme(id=_INT8_ID, dtypes=frozenset({"I8"}), find=partial(_find, _INT8_ID), open=_open)
