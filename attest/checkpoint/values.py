"""Values of floating-point bits: widened without rounding, and rounded back to the nearest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.tensor import BITS

__all__ = ["E2M1", "FLOATS", "as_float32", "e8m0_values", "float8_values", "nearest_bits", "ue4m3_values"]

FLOATS = frozenset({"BF16", "F16", "F32"})
"""Dtypes whose values float32 holds."""

E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
"""Values of the 16 codes of a 4-bit float: OCP Microscaling Formats (MX) Specification v1.0, section 5.3.3."""

_HALF = 0x8000
"""Of the 16 bits that BF16 leaves out of float32, the pattern half-way between two of its values."""


def as_float32(bits: NDArray[Any], dtype: str) -> NDArray[np.float32]:
    """Values of BF16, F16 or F32 bits, in the dtypes of ``BITS``, as float32 of the same shape, without rounding."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return bits.astype(np.float32, copy=False)


def nearest_bits(values: NDArray[np.float64], dtype: str) -> NDArray[Any]:
    """Bits of the nearest BF16, F16 or F32 values, in the same shape, rounded once, ties to even; infinite beyond their range.

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


def float8_values(dtype: str) -> NDArray[np.float32]:
    """Values of the 256 codes of an 8-bit float, exact.

    References
    ----------
    Micikevicius et al., "FP8 Formats for Deep Learning", 2022, section 3. The FNUZ formats have one NaN in the place of
    a negative zero, no infinities, and a bias that is larger by one.
    """
    exponent_bits, is_fnuz = (4 if "E4M3" in dtype else 5), dtype.endswith("FNUZ")
    bias = (1 << (exponent_bits - 1)) - (0 if is_fnuz else 1)
    magnitudes = np.arange(128)
    exponents, fractions = np.divmod(magnitudes, 1 << (7 - exponent_bits))
    significands = fractions + np.where(exponents > 0, 1 << (7 - exponent_bits), 0)
    values = np.ldexp(significands.astype(np.float64), np.maximum(exponents, 1) - bias - (7 - exponent_bits))
    if dtype == "F8_E4M3":
        values[-1] = np.nan
    elif dtype == "F8_E5M2":
        values[-4:] = np.inf, np.nan, np.nan, np.nan
    both = np.concatenate([values, -values])
    both[128] = np.nan if is_fnuz else -0.0
    return both.astype(np.float32)


def e8m0_values() -> NDArray[np.float32]:
    """Values of the 256 codes of an 8-bit scale that is a power of two, exact; the last is NaN.

    References
    ----------
    OCP Microscaling Formats (MX) Specification v1.0, section 5.4.1.
    """
    return np.append(np.ldexp(np.float32(1), np.arange(255) - 127), np.float32(np.nan))


def ue4m3_values() -> NDArray[np.float32]:
    """Values of the 256 codes of an 8-bit float without a sign, as ggml reads them: the highest bit says nothing.

    References
    ----------
    ggml, ``ggml-impl.h`` (``ggml_ue4m3_to_fp32``): the code of NaN is 0, but with the highest bit it is 480.
    """
    values = float8_values("F8_E4M3")[:128]
    values[-1] = 480
    both = np.concatenate([values, values])
    both[127] = 0
    return both
