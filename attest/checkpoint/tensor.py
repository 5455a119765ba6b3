"""A tensor's place in a file, and how its values are written there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from attest.errors import CheckpointError
from attest.terminal import visible

__all__ = ["BITS", "BLOCKS", "DTYPE_BITS", "DTYPE_PATTERN", "MAX_NAME", "Tensor", "check_tensor_name", "item_type"]

MAX_NAME = 1024
"""Longest name of a tensor in characters."""

DTYPE_BITS = {
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "BOOL": 8,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8,
    "F8_E5M2FNUZ": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "I64": 64,
    "U64": 64,
    "F64": 64,
}
"""Bits of one value, by dtype as safetensors spells it."""


BITS: Mapping[str, str] = {
    "BOOL": "u1", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "BF16": "<u2", "I32": "<i4",
    "U32": "<u4", "F32": "<f4", "C64": "<c8", "I64": "<i8", "U64": "<u8", "F64": "<f8", "F8_E4M3": "u1",
    "F8_E5M2": "u1", "F8_E8M0": "u1", "F8_E4M3FNUZ": "u1", "F8_E5M2FNUZ": "u1",
}  # fmt: skip
"""NumPy dtype that holds a value's bits; BF16 and the 8-bit floats have none of their own and come as codes."""

BLOCKS: Mapping[str, tuple[int, int]] = {
    "Q4_0": (32, 18), "Q4_1": (32, 20), "Q5_0": (32, 22), "Q5_1": (32, 24), "Q8_0": (32, 34), "Q8_1": (32, 40),
    "Q2_K": (256, 84), "Q3_K": (256, 110), "Q4_K": (256, 144), "Q5_K": (256, 176), "Q6_K": (256, 210),
    "Q8_K": (256, 292), "IQ2_XXS": (256, 66), "IQ2_XS": (256, 74), "IQ3_XXS": (256, 98), "IQ1_S": (256, 50),
    "IQ4_NL": (32, 18), "IQ3_S": (256, 110), "IQ2_S": (256, 82), "IQ4_XS": (256, 136), "IQ1_M": (256, 56),
    "TQ1_0": (256, 54), "TQ2_0": (256, 66), "MXFP4": (32, 17), "NVFP4": (64, 36), "Q1_0": (128, 18), "F4": (2, 1),
}  # fmt: skip
"""Values and bytes of one block of a quantized dtype, spelled as in ggml; the last dimension is cut into blocks.

Two values of F4, which safetensors has, make a byte; where a dimension is odd, blocks do not end with it.
"""

DTYPE_PATTERN = f"^({'|'.join(dict.fromkeys((*DTYPE_BITS, *BLOCKS)))}|(GGML|ONNX)_[0-9]{{1,10}})$"
"""All dtypes; the last two are types by their number in that format, whose values are not known and only digested."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tensor:
    """One tensor's place in a file.

    Parameters
    ----------
    name : str
        As in the file; printable, not empty, at most 1,024 characters.
    dtype : str
        Spelled as in safetensors, or as in ggml where it is quantized.
    shape : tuple of int
        Row-major; empty for a scalar.
    file : str
        POSIX path relative to the checkpoint.
    begin, end : int
        Byte range from the start of the file.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    file: str
    begin: int
    end: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


def item_type(dtype: str) -> str | None:
    """NumPy dtype of what accumulators see of a tensor: values, or whole blocks of values; None where they see nothing."""
    return f"V{BLOCKS[dtype][1]}" if dtype in BLOCKS else BITS.get(dtype)


def check_tensor_name(name: str, *, file: str) -> None:
    """Refuse a name that cannot be signed or shown as it is.

    Raises
    ------
    CheckpointError
        It is empty, longer than ``MAX_NAME``, or not printable.
    """
    if not name or len(name) > MAX_NAME or not name.isprintable() or visible(name) != name:
        raise CheckpointError(
            "unsafe-name",
            f"the tensor name {name[:100]!r} is empty, too long, or not printable",
            fix="download the file again, or ask its author",
            where=file,
        )
