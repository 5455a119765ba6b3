"""Exact sums of 4-bit floats: alone, two to a byte, or in ggml's blocks, with the scales that these have.

Every value is an integer times a power of two, and how often each code occurs under each scale is counted: nothing is
rounded, and no order matters.

References
----------
OCP Microscaling Formats (MX) Specification v1.0, sections 5.3.3 (E2M1) and 6.3 (MXFP4). ggml, ``ggml-common.h``
(``block_mxfp4``, ``block_nvfp4``) and ``ggml-impl.h`` (values of their scales).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.tensor import BLOCKS
from attest.checkpoint.values import E2M1, float8_values, ue4m3_values
from attest.sweep.counted import sums_of_codes
from attest.sweep.exact import ExactSums
from attest.sweep.quantized import QuantizedSums

__all__ = ["FourBitAccumulator", "FourBitBlocksAccumulator"]

_WIDER = "F8_E4M3"
_LEVELS = (2 * E2M1).astype(int).tolist()
_IN_ORDER = (*range(15, 7, -1), *range(8))
"""Codes by their values, the least first; 0 has two, the negative one first."""


class FourBitAccumulator:
    """Counts the bytes of a tensor of 4-bit floats."""

    DTYPES = frozenset({"F4"})

    def __init__(self) -> None:
        self._bytes = np.zeros(256, np.int64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - order does not matter here
        """Count a block."""
        self._bytes += np.bincount(np.ascontiguousarray(rows).reshape(-1).view(np.uint8), minlength=256)

    def result(self) -> ExactSums:
        """Exact sums of the values."""
        counts = np.zeros(256, np.int64)
        counts[_wider_codes()] = _codes_of_pairs(self._bytes)
        return sums_of_codes(counts, _WIDER)


def _wider_codes() -> NDArray[np.int64]:
    """The code of the 8-bit float that each 4-bit float is, by its bits: 0 and its negative are two."""
    bits = float8_values(_WIDER).view(np.uint32).tolist()
    return np.array([bits.index(one) for one in E2M1.view(np.uint32).tolist()])


def _codes_of_pairs(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Occurrences of the 16 codes, from those of the 256 bytes."""
    pairs = counts.reshape(*counts.shape[:-1], 16, 16)
    codes: NDArray[np.int64] = pairs.sum(axis=-1) + pairs.sum(axis=-2)
    return codes


class FourBitBlocksAccumulator:
    """Counts the codes of ggml's blocks of 4-bit floats under each of their 256 scales.

    Parameters
    ----------
    dtype : str
        One of ``DTYPES``.
    """

    DTYPES = frozenset({"MXFP4", "NVFP4"})

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._counts = np.zeros(1 << 16, np.int64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - order does not matter here
        """Count the blocks of a few rows."""
        blocks = np.ascontiguousarray(rows).reshape(-1).view(np.uint8).reshape(-1, BLOCKS[self._dtype][1])
        count, together = (1, 16) if self._dtype == "MXFP4" else (4, 8)
        scales, codes = blocks[:, :count].astype(np.uint16), blocks[:, count:].reshape(-1, count, together)
        self._counts += np.bincount((scales[:, :, None] << 8 | codes).ravel(), minlength=self._counts.size)

    def result(self) -> QuantizedSums:
        """Exact sums of the values that ggml makes of the blocks."""
        counts = _codes_of_pairs(self._counts.reshape(256, 256))
        units, scale = _scales_of(self._dtype)
        found = [(units[row] * _LEVELS[code], int(counts[row, code])) for row, code in np.argwhere(counts).tolist()]
        values = [value for value, _ in found]
        return QuantizedSums(
            n=int(counts.sum()),
            powers=tuple(sum(count * value**power for value, count in found) for power in range(1, 5)),
            scale=scale,
            zeros=sum(count for value, count in found if value == 0),
            nans=0,
            infinities=0,
            minimum=min(values) / (1 << scale) if values else None,
            maximum=max(values) / (1 << scale) if values else None,
            quantiles=None,
            distinct=None,
            multiset=None,
            codes=tuple(counts.sum(axis=0)[list(_IN_ORDER)].tolist()),
        )


def _scales_of(dtype: str) -> tuple[list[int], int]:
    """What each scale makes of a level of 1, which is a half, as an integer over a power of two; and that power."""
    if dtype == "MXFP4":
        return [1 << code for code in range(256)], 128
    return (ue4m3_values() * np.float32(1 << 9)).astype(int).tolist(), 10
