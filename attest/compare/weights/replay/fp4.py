"""Quantizing to 4-bit floats as the reference quantizers do, in binary32, each operation rounded by itself.

References
----------
OCP Microscaling Formats (MX) Specification v1.0, section 6.3 (conversion to MXFP4: the scale is the greatest power of two
in the largest magnitude over that in 6; nearest elements, ties to even, clamped). NVIDIA TensorRT Model Optimizer,
``nvfp4_tensor.py`` (NVFP4: scales in E4M3 under the largest magnitude of the tensor over 6 times 448; ties to even). ggml,
``ggml-quants.c`` (``quantize_row_mxfp4_ref``, ``quantize_row_nvfp4_ref``: of levels equally near the smaller magnitude).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.values import E2M1, e8m0_values, float8_values, ue4m3_values

__all__ = ["ggml_mxfp4", "ggml_nvfp4", "mxfp4_codes", "mxfp4_scales", "nvfp4_codes", "nvfp4_scales"]

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]

_LEVELS = (2 * E2M1)[:8]
_HALFWAY = (E2M1[:7] + E2M1[1:8]) / 2
_TOP = np.float32(6)
_TOPS = np.float32(6 * 448)


def ggml_mxfp4(values: Floats) -> Bytes:
    """Blocks of whole rows, shape (n, n_columns * 17 / 32)."""
    blocks = values.reshape(len(values), -1, 1, 32)
    largest = np.abs(blocks).max(axis=-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        exponents = np.where(largest > 0, np.floor(np.log2(largest)) + np.float32(125), 0)
    scales = np.clip(np.nan_to_num(exponents), 0, 255).astype(np.uint8)
    codes = _nearest_levels(blocks, np.ldexp(np.float32(1), scales.astype(np.int32) - 128))
    return np.concatenate([scales[:, :, :, 0], _halves(codes)], axis=2).reshape(len(values), -1)


def ggml_nvfp4(values: Floats) -> Bytes:
    """Blocks of whole rows, shape (n, n_columns * 36 / 64)."""
    blocks = values.reshape(len(values), -1, 4, 16)
    scales = _nearest_ue4m3(np.abs(blocks).max(axis=-1) / _TOP)
    codes = _nearest_levels(blocks, ue4m3_values()[scales][..., None] * np.float32(0.5))
    return np.concatenate([scales, _halves(codes)], axis=2).reshape(len(values), -1)


def _nearest_ue4m3(values: Floats) -> Bytes:
    """Codes of the nearest 8-bit floats without a sign, halves up."""
    bits = np.clip(np.nan_to_num(values), 0, 448).astype(np.float32).view(np.uint32).astype(np.int64)
    normal = ((bits >> 20) + ((bits >> 19) & 1)) - (120 << 3)
    small = np.clip((bits.astype(np.uint32).view(np.float32) * np.float32(512) + np.float32(0.5)).astype(int), 0, 7)
    return np.minimum(np.where(bits >> 23 <= 120, small, normal), 0x7E).astype(np.uint8)


def _nearest_levels(values: Floats, scales: Floats) -> Bytes:
    """Codes of the levels that come nearest after scaling; of two the smaller magnitude, and never a negative 0."""
    magnitudes = np.abs(values)
    least, codes = magnitudes.copy(), np.zeros(values.shape, np.uint8)
    for code in range(1, 8):
        error = np.abs(_LEVELS[code] * scales - magnitudes)
        nearer = error < least
        codes[nearer] = code
        least[nearer] = error[nearer]
    codes[(values < 0) & (codes > 0)] += 8
    return codes


def _halves(codes: Bytes) -> Bytes:
    """Two codes a byte: of each run the first half in the lower bits; runs of a block are joined."""
    half = codes.shape[-1] // 2
    packed: Bytes = codes[..., :half] | codes[..., half:] << np.uint8(4)
    return packed.reshape(packed.shape[0], packed.shape[1], -1)


def mxfp4_scales(values: Floats) -> Bytes:
    """E8M0 codes of the blocks of 32 of whole rows."""
    exponents: NDArray[np.int32] = np.frexp(np.abs(values.reshape(len(values), -1, 32)).max(axis=-1))[1]
    return np.clip(exponents + (127 - 1 - 2), 0, 254).astype(np.uint8)


def mxfp4_codes(values: Floats) -> Bytes:
    """Codes of whole rows, two to a byte, the first in the lower bits."""
    scales = e8m0_values()[mxfp4_scales(values)]
    with np.errstate(invalid="ignore", over="ignore"):
        scaled = values.reshape(len(values), -1, 32) / scales[..., None]
    return _pairs(scaled, np.signbit(scaled))


def nvfp4_scales(values: Floats, largest: Floats) -> Bytes:
    """E4M3 codes of the blocks of 16 of whole rows, under the largest magnitude of the tensor; 1 for blocks of zeros."""
    tops = np.abs(values.reshape(len(values), -1, 16)).max(axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        scales = tops / (_TOP * (largest.reshape(()) / _TOPS))
    return _nearest_e4m3(np.where(scales == 0, np.float32(1), scales))


def _nearest_e4m3(values: Floats) -> Bytes:
    """Codes of the nearest 8-bit floats that are not negative, ties to even; NaN where there is none."""
    finite = float8_values("F8_E4M3")[:127]
    halfway = (finite[1:] + finite[:-1]) / 2
    codes = np.searchsorted(halfway, values)
    tied = halfway[np.minimum(codes, halfway.size - 1)] == values
    codes = codes + (tied & (codes % 2 == 1))
    return np.where(values <= finite[-1] + 16, codes, 127).astype(np.uint8)


def nvfp4_codes(values: Floats, largest: Floats) -> Bytes:
    """Codes of whole rows, two to a byte, the first in the lower bits."""
    scales = float8_values("F8_E4M3")[nvfp4_scales(values, largest)] * (largest.reshape(()) / _TOPS)
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = values.reshape(len(values), -1, 16) / scales[..., None]
    return _pairs(scaled.astype(np.float32, copy=False), scaled < 0)


def _pairs(scaled: Floats, negative: NDArray[np.bool_]) -> Bytes:
    """Codes of the nearest 4-bit floats, ties to even, two to a byte; the sign of what is rounded to 0 is kept."""
    magnitudes = np.abs(scaled).reshape(len(scaled), -1)
    codes = np.searchsorted(_HALFWAY, magnitudes).astype(np.uint8)
    codes += np.isin(magnitudes, _HALFWAY[1::2])
    codes[negative.reshape(codes.shape)] += 8
    return codes[:, ::2] | codes[:, 1::2] << np.uint8(4)
