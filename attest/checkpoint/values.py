"""Values of floating-point bits: widened without rounding, and rounded back to the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.tensor import BITS

__all__ = ["FLOATS", "as_float32", "nearest_bits"]

FLOATS = frozenset({"BF16", "F16", "F32"})
"""Dtypes whose values float32 holds."""

_HALF = 0x8000
"""Of the 16 bits that BF16 leaves out of float32, the pattern half-way between two of its values."""


def as_float32(bits: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Values of BF16, F16 or F32 bits as float32, without rounding."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return bits.astype(np.float32, copy=False)


def nearest_bits(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Bits of the nearest BF16, F16 or F32 values, rounded once, ties to even; infinite beyond their range.

    References
    ----------
    IEEE 754-2019, section 4.3.1 (roundTiesToEven).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype != "BF16":
            return values.astype(BITS[dtype])
        nearest = values.astype(np.float32)
        bits = nearest.view(np.uint32).astype(np.int64)
        # a value that float32 has rounded to a half-way point is not half-way: it is put back on its side
        side = np.sign(np.abs(values) - np.abs(nearest.astype(np.float64)))
    bits += np.where((bits & 0xFFFF) == _HALF, np.nan_to_num(side).astype(np.int64), 0)
    codes = (bits + (_HALF - 1) + ((bits >> 16) & 1)) >> 16
    return np.where(np.isnan(nearest), 0x7FC0, codes).astype(np.uint16)
