"""Quantizing as MLX does it in its affine mode, in binary32, each operation rounded by itself.

References
----------
MLX 0.32, ``backend/cpu/quantized.cpp`` (``quantize``: halves go to the even code) and ``backend/metal/kernels/quantized.h``
(``affine_quantize``: halves go away from 0, and the largest value is 0 at least); so from 0.24 on, before which the arithmetic
was that of the weights' dtype. mlx-lm 0.32, ``convert``: weights are cast to one dtype before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Grid", "mlx_biases", "mlx_codes", "mlx_scales"]

Floats = NDArray[np.float32]

_LEAST = np.float32(1e-7)


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Grid:
    """How a weight is quantized.

    Parameters
    ----------
    bits, size : int
        Of a code, and how many values share a scale.
    dtype : str
        Of the scales, and of the weight before.
    on : {"a CPU", "a GPU"}
        Where it is done.
    """

    bits: int
    size: int
    dtype: str
    on: Literal["a CPU", "a GPU"]

    @property
    def top(self) -> np.float32:
        """The largest code."""
        return np.float32((1 << self.bits) - 1)

    def nearest(self, steps: Floats) -> Floats:
        """The nearest whole numbers."""
        if self.on == "a CPU":
            return np.rint(steps)
        whole: Floats = np.floor(np.abs(steps))
        return np.copysign(whole + np.floor(2 * (np.abs(steps) - whole)), steps)


def mlx_codes(values: Floats, grid: Grid) -> NDArray[np.uint32]:
    """Words of whole rows, shape (n, n_columns * bits / 32): codes one after the other, the lowest bits first."""
    scales, biases = _scales(values, grid)
    with np.errstate(all="ignore"):
        steps = grid.nearest((_groups(values, grid) - biases[..., None]) / scales[..., None])
        codes = np.clip(np.nan_to_num(steps), 0, grid.top).astype(np.uint32)
    together = grid.bits // int(np.gcd(grid.bits, 32))
    codes = codes.reshape(-1, 32 * together // grid.bits)
    words = np.zeros((len(codes), together), np.uint32)
    for place in range(codes.shape[1]):
        word, shift = divmod(place * grid.bits, 32)
        words[:, word] |= codes[:, place] << np.uint32(shift)
        if shift + grid.bits > 32:
            words[:, word + 1] |= codes[:, place] >> np.uint32(32 - shift)
    return words.reshape(len(values), -1)


def mlx_scales(values: Floats, grid: Grid) -> Floats:
    """Scales of the groups of whole rows, before they are rounded to the weight's dtype."""
    return _scales(values, grid)[0]


def mlx_biases(values: Floats, grid: Grid) -> Floats:
    """Biases of the groups of whole rows, as the scales."""
    return _scales(values, grid)[1]


def _groups(values: Floats, grid: Grid) -> Floats:
    return values.reshape(len(values), -1, grid.size)


def _scales(values: Floats, grid: Grid) -> tuple[Floats, Floats]:
    """Scale and bias of every group: the value of largest magnitude is met, and so is 0 where it lies between."""
    groups = _groups(values, grid)
    low, high = groups.min(axis=-1), groups.max(axis=-1)
    if grid.on == "a GPU":
        high = np.maximum(high, np.float32(0))
    with np.errstate(all="ignore"):
        below = np.abs(low) > np.abs(high)
        scales = np.maximum((high - low) / grid.top, _LEAST)
        scales = np.where(below, scales, -scales)
        edges = np.where(below, low, high)
        steps = grid.nearest(edges / scales)
        return np.where(steps == 0, scales, edges / steps), np.where(steps == 0, np.float32(0), edges)
