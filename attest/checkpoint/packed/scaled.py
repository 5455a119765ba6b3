"""8-bit floats and integers with scales: one for the tensor, for an expert, a row or a column, or for a rectangle.

A stack of matrices has its scales in one tensor, too. Its matrices lie as they would without scales: outputs by inputs, or,
where the experts of a layer are multiplied with in one product, inputs by outputs.

References
----------
DeepSeek-V3, "Technical Report", 2024, section 3.3.2 (``weight_scale_inv``, rectangles of 128 by 128, which multiply in
spite of their name). compressed-tensors, formats ``float-quantized`` and ``int-quantized`` (``weight_scale``).
transformers 5, ``integrations/finegrained_fp8.py`` (stacks with rectangles, one scale an expert or one for each half, powers
of two as scales) and ``integrations/fbgemm_fp8.py`` (Llama 4: a scale for every output, which is a column there). NVIDIA
TensorRT Model Optimizer, ``unified_export_hf.py`` (stacks with one scale, ``_weight_scale``; MXFP8). DeepSeek's and Mistral's own
releases name the scales ``scale`` and ``qscale_weight``.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, is_count
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32, e8m0_values, float8_values

__all__ = ["FP8", "INT8_SCALED", "scales_of"]

_FP8 = frozenset({"F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"})
_POWERS = frozenset({"F8_E8M0", "U8"})
"""Dtypes of scales that are powers of two; bytes are such only as those of MXFP8."""

_USUAL = (128, 128)
_OF_MX = (1, 32)
_OF_HALVES = {(2,), (2, 1)}
"""Shapes of scales of which the upper half of the rows has one, the lower half the other."""


def scales_of(tensor: Tensor, held: Held) -> Tensor | None:
    """The tensor with the scales of a weight, whichever name it goes by."""
    stem, _, last = tensor.name.rpartition(".")
    of_module = (f"{stem}.scale", f"{stem}.qscale_weight") if last == "weight" else ()
    names = (*(f"{tensor.name}{end}" for end in ("_scale_inv", "_scale", "_weight_scale")), *of_module)
    return next(filter(None, map(held.get, names)), None)


def _find(scheme: str, tensor: Tensor, held: Held) -> Packed | None:
    scales = scales_of(tensor, held) if held.format != "ctranslate2" else None
    if len(tensor.shape) != 2 or not tensor.size or scales is None or not scales.size:
        return None
    powers = scales.dtype in _POWERS and tensor.dtype in _FP8
    if not (powers or scales.dtype in FLOATS) or held.get(f"{tensor.name}_zero_point"):
        return None
    block = _block(tensor.shape, scales, held)
    if block is None:
        return None
    n_rows, n_columns = tensor.shape
    return Packed(
        scheme=scheme,
        tensor=tensor,
        companions={"scales": scales},
        name=tensor.name,
        shape=(n_rows, n_columns),
        as_stored=scales.shape not in _OF_HALVES,
        settings={"rows": block[0], "columns": block[1]},
    )


def _block(shape: tuple[int, ...], scales: Tensor, held: Held) -> tuple[int, int] | None:
    """Rows and columns that share a scale; None where the shapes do not tell."""
    n_rows, n_columns = shape

    def is_cut(block: object) -> bool:
        """Whether the scales are those of rectangles of this size."""
        if not isinstance(block, (list, tuple)) or len(block) != 2 or not all(map(is_count, block)):
            return False
        return scales.shape == (-(-n_rows // block[0]), -(-n_columns // block[1]))

    claimed = held.claims.get("weight_block_size")
    if scales.dtype == "U8":
        return _OF_MX if is_cut(_OF_MX) else None
    if isinstance(claimed, list) and is_cut(claimed):
        return claimed[0], claimed[1]
    of_stacks = _of_stacks(shape, scales.shape, held) if held.stacked is not None else ()
    ways = (
        ((n_rows, n_columns), all(size == 1 for size in scales.shape)),
        ((1, n_columns), scales.shape in {(n_rows,), (n_rows, 1)}),
        *((block, True) for block in of_stacks),
        (_USUAL, is_cut(_USUAL)),
        (_OF_MX, scales.dtype in _POWERS and is_cut(_OF_MX)),
    )
    told = {(min(rows, n_rows), min(columns, n_columns)) for (rows, columns), fits in ways if fits}
    return told.pop() if len(told) == 1 else None


def _of_stacks(shape: tuple[int, ...], scales: tuple[int, ...], held: Held) -> Iterator[tuple[int, int]]:
    """Ways to share scales that matrices of a stack alone have: by column, and one for gate and one for up.

    FBGEMM gives the scales of columns as ``(n_columns, 1)`` in one of two matrices, and then a square one says nothing.
    """
    n_rows, n_columns = shape
    fbgemm = held.claims.get("quant_method") == "fbgemm_fp8"
    if scales == (1, n_columns) or (scales == (n_columns, 1) and (fbgemm or n_rows != n_columns)):
        yield n_rows, 1
    if scales in _OF_HALVES and n_rows % 2 == 0:
        yield n_rows // 2, n_columns


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code times the scale of its rectangle."""
    tensor = packed.companions["scales"]
    n_rows, n_columns = packed.settings["rows"], packed.settings["columns"]
    bits = read(tensor)
    scales = e8m0_values()[bits] if tensor.dtype in _POWERS else as_float32(bits, tensor.dtype)
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
