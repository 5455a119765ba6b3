"""Operations that make the codes of one dtype out of those of another, row by row and with one result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.ggml import block_values
from attest.checkpoint.tensor import BLOCKS
from attest.compare.weights.replay.fp4 import (
    ggml_mxfp4,
    ggml_nvfp4,
    mxfp4_codes,
    mxfp4_scales,
    nvfp4_codes,
    nvfp4_scales,
)
from attest.compare.weights.replay.matrix import Matrix
from attest.compare.weights.replay.mlx import Grid, mlx_biases, mlx_codes, mlx_scales

__all__ = ["BLOCKS_MADE", "LARGEST", "VALUES", "Operation", "decode", "largest_of", "operations"]

Floats = NDArray[np.float32]
MlxPart: TypeAlias = Literal["codes", "scales", "biases"]
FourBits: TypeAlias = Literal["MXFP4 codes", "MXFP4 scales", "NVFP4 codes", "NVFP4 scales"]

LARGEST = 2.0**50
"""Beyond it no network has a weight. Statistics leave such values out, so that squares and their sums stay finite."""

_FLOATS = ("F64", "F32", "F16", "BF16")
_BLOCK_VALUES = 32
_Q8_0 = np.dtype([("scale", "<f2"), ("codes", "i1", (32,))])
_Q4_0 = np.dtype([("scale", "<f2"), ("halves", "u1", (16,))])
_BLOCKS = {"Q8_0": _Q8_0, "Q4_0": _Q4_0}
_FP4_BLOCKS: Mapping[str, Callable[[Floats], NDArray[np.uint8]]] = {"MXFP4": ggml_mxfp4, "NVFP4": ggml_nvfp4}
BLOCKS_MADE = frozenset({*_BLOCKS, *_FP4_BLOCKS})
"""Types of blocks that are made, and read again."""

VALUES = frozenset({*_FLOATS, *_BLOCKS})
"""Dtypes whose values the tests on weights read."""

_BY_ROWS: Mapping[FourBits, Callable[[Floats], NDArray[np.uint8]]] = {
    "MXFP4 codes": mxfp4_codes, "MXFP4 scales": mxfp4_scales,
}  # fmt: skip
_BY_TENSOR: Mapping[FourBits, Callable[[Floats, Floats], NDArray[np.uint8]]] = {
    "NVFP4 codes": nvfp4_codes, "NVFP4 scales": nvfp4_scales,
}  # fmt: skip
_FOUR_BITS: Mapping[str, Mapping[FourBits, int]] = {
    "U8": {"MXFP4 codes": 32, "NVFP4 codes": 16, "MXFP4 scales": 32},
    "F4": {"MXFP4 codes": 32, "NVFP4 codes": 16},
    "F8_E8M0": {"MXFP4 scales": 32},
    "F8_E4M3": {"NVFP4 scales": 16},
}
"""What tensors of a dtype may hold of a weight of 4-bit floats beside it, and how many values share a scale."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Operation:
    """What is done to the rows of a parent.

    Parameters
    ----------
    reads, writes : str
        Dtype of the parent and of what is made.
    scale : {"row", "column", "tensor"} or None
        What shares one scale, of an int8 quantization; None for all other operations.
    four_bits : str or None
        What is made of 4-bit floats whose scales lie in a tensor beside them.
    mlx : tuple of (str, Grid) or None
        What is made of a weight that MLX quantizes, and how.
    """

    reads: str
    writes: str
    scale: Literal["row", "column", "tensor"] | None = None
    four_bits: FourBits | None = None
    mlx: tuple[MlxPart, Grid] | None = None

    def __str__(self) -> str:
        """What is done, in words."""
        if self.mlx:
            part, grid = self.mlx
            cast = "" if grid.dtype == self.reads else f" as {grid.dtype}"
            return f"MLX {part} of {self.reads}{cast}, {grid.bits} bits by {grid.size}, as on {grid.on}"
        if self.reads == self.writes:
            return "same values"
        if self.four_bits:
            return f"{self.four_bits} of {self.reads}"
        if self.scale:
            return f"int8 by {self.scale} of {self.reads}"
        if self.reads in BLOCKS_MADE:
            return f"{self.reads} as {self.writes}"
        return f"{self.writes} of {self.reads}"

    @property
    def by_row(self) -> bool:
        """Whether groups of a row share scales, so that columns are none of the parent's."""
        return self.four_bits is not None or self.mlx is not None

    @property
    def may_be_fused(self) -> bool:
        """Whether several tensors may share the largest magnitude that it needs, as those of one product do."""
        return self.four_bits in _BY_TENSOR

    def prepare(self, matrix: Matrix) -> Floats:
        """Largest magnitudes that the scales need, shape (1, n_columns) or (1, 1); empty where rows suffice."""
        if self.scale not in {"column", "tensor"} and not self.may_be_fused:
            return np.empty((0, 0), np.float32)
        return largest_of(matrix, by_column=self.scale == "column")

    def apply(self, codes: NDArray[Any], largest: Floats) -> NDArray[Any]:
        """Codes of whole rows that were made, shape (n, n_made)."""
        if self.mlx:
            return _of_mlx(*self.mlx, decode(codes, self.reads))
        if self.reads == self.writes:
            return codes
        values = decode(codes, self.reads)
        if self.four_bits:
            return _of_four_bits(self.four_bits, values.astype(np.float32), largest)
        if self.scale:
            return _int8(values, np.abs(values).max(axis=1, keepdims=True) if self.scale == "row" else largest)
        return _encode(values, self.writes)


def largest_of(matrix: Matrix, *, by_column: bool = False) -> Floats:
    """Largest magnitudes of columns, shape (1, n_columns), or of all values, shape (1, 1)."""
    largest = np.zeros(matrix.columns, np.float32)
    for _, codes in matrix.bands():
        largest = np.maximum(largest, np.abs(decode(codes, matrix.tensor.dtype)).max(axis=0))
    return (largest if by_column else largest.max(keepdims=True))[None, :]


def operations(reads: str, writes: str, columns: int, grids: Iterable[Grid] = ()) -> Iterator[Operation]:
    """Operations on rows of so many codes between two dtypes, the simplest first; of MLX's on these grids."""
    floats = reads in _FLOATS
    blocks = floats and writes in BLOCKS_MADE and columns % BLOCKS[writes][0] == 0
    if reads == writes or (writes in _FLOATS and (floats or reads in BLOCKS_MADE)) or blocks:
        yield Operation(reads=reads, writes=writes)
    elif floats and writes == "I8":
        yield Operation(reads=reads, writes=writes, scale="row")
        yield Operation(reads=reads, writes=writes, scale="column")
        yield Operation(reads=reads, writes=writes, scale="tensor")
    elif floats:
        for kind, size in _FOUR_BITS.get(writes, {}).items():
            if columns % size == 0:
                yield Operation(reads=reads, writes=writes, four_bits=kind)
    for grid in grids:
        if floats and columns % grid.size == 0:
            parts: tuple[MlxPart, ...] = ("codes",) if writes == "U32" else ("scales", "biases")
            yield from (
                Operation(reads=reads, writes=writes, mlx=(part, grid))
                for part in parts
                if writes in {"U32", grid.dtype}
            )


def decode(codes: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Values of whole rows of a floating dtype or of ``BLOCKS_MADE``, without rounding: float32, or float64 for F64."""
    if dtype == "BF16":
        return (codes.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype == "F64":
        return codes.view(np.float64)
    if dtype in _FP4_BLOCKS:
        blocks = np.ascontiguousarray(codes).reshape(-1, BLOCKS[dtype][1])
        return block_values(blocks, dtype).reshape(len(codes), -1)
    if dtype in _BLOCKS:
        return _dequantize(codes, dtype)
    return codes.view(f"<f{codes.itemsize}").astype(np.float32)


def _dequantize(codes: NDArray[Any], dtype: str) -> Floats:
    """(half - 8) or the code, times the scale of its 32 values; exact in float32."""
    blocks = np.ascontiguousarray(codes).view(_BLOCKS[dtype])
    if dtype == "Q8_0":
        steps = blocks["codes"].astype(np.float32)
    else:
        halves = blocks["halves"]
        steps = np.concatenate((halves & 15, halves >> 4), axis=-1).astype(np.float32) - np.float32(8)
    return (steps * blocks["scale"].astype(np.float32)[..., None]).reshape(len(codes), -1)


def _encode(values: NDArray[Any], dtype: str) -> NDArray[Any]:
    """Codes of the nearest values of a dtype, ties to even; NaN becomes the quiet one of BF16."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype == "F64":
            return values.astype(np.float64).view(np.uint64)
        narrow = values.astype(np.float32)
        if dtype == "F32":
            return narrow.view(np.uint32)
        if dtype == "F16":
            return values.astype(np.float16).view(np.uint16)
        if dtype == "BF16":
            bits = narrow.view(np.uint32)
            rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
            return np.where(np.isnan(narrow), np.uint32(0x7FC0), rounded).astype(np.uint16)
        if dtype in _FP4_BLOCKS:
            return _FP4_BLOCKS[dtype](narrow)
        blocks = narrow.reshape(len(narrow), -1, _BLOCK_VALUES)
        made = _q8_0(blocks) if dtype == "Q8_0" else _q4_0(blocks)
        return made.view(np.uint8).reshape(len(narrow), -1)


def _of_four_bits(kind: FourBits, values: Floats, largest: Floats) -> NDArray[np.uint8]:
    return _BY_ROWS[kind](values) if kind in _BY_ROWS else _BY_TENSOR[kind](values, largest)


def _of_mlx(part: MlxPart, grid: Grid, values: NDArray[Any]) -> NDArray[Any]:
    rounded = decode(_encode(values, grid.dtype), grid.dtype)
    if part == "codes":
        return mlx_codes(rounded, grid)
    return _encode(mlx_scales(rounded, grid) if part == "scales" else mlx_biases(rounded, grid), grid.dtype)


def _int8(values: NDArray[Any], largest: Floats) -> NDArray[np.uint8]:
    """rint(w / (largest / 127)), in float32; 0 where the largest is 0."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        steps = np.rint(values.astype(np.float32) / (largest.astype(np.float32) / np.float32(127)))
        steps = np.where(np.isfinite(steps), np.clip(steps, -128, 127), 0)
    return steps.astype(np.int8).view(np.uint8)


def _q8_0(blocks: Floats) -> NDArray[Any]:
    """Ggml's reference: d = largest / 127, codes round(x (1 / d)) with halves away from zero, d kept as F16."""
    scale = np.abs(blocks).max(axis=-1) / np.float32(127)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    steps = blocks * inverse[..., None]
    whole = np.floor(np.abs(steps))
    steps = np.sign(steps) * (whole + np.floor(2 * (np.abs(steps) - whole)))
    made = np.empty(scale.shape, _Q8_0)
    made["scale"], made["codes"] = scale.astype(np.float16), np.nan_to_num(steps).astype(np.int8)
    return made


def _q4_0(blocks: Floats) -> NDArray[Any]:
    """Ggml's reference: d = the value of largest magnitude / -8, codes floor(x (1 / d) + 8.5), at most 15."""
    place = np.abs(blocks).argmax(axis=-1)[..., None]
    scale = np.take_along_axis(blocks, place, axis=-1)[..., 0] / np.float32(-8)
    with np.errstate(divide="ignore"):
        inverse = np.where(scale == 0, np.float32(0), np.float32(1) / scale)
    steps = np.trunc(blocks.astype(np.float64) * inverse[..., None].astype(np.float64) + 8.5)
    codes = np.clip(np.nan_to_num(steps), 0, 15).astype(np.uint8)
    made = np.empty(scale.shape, _Q4_0)
    made["scale"], made["halves"] = scale.astype(np.float16), codes[..., :16] | (codes[..., 16:] << 4)
    return made
