"""The one read: bytes in, digests and exact sums out."""

from attest.sweep.accumulator import (
    Accumulator,
    ExactAccumulator,
    RowDigestAccumulator,
    RowSums,
    RowSumsAccumulator,
    ValuesAccumulator,
    as_float32,
)
from attest.sweep.exact import ExactSums
from attest.sweep.four_bits import FourBitAccumulator, FourBitBlocksAccumulator
from attest.sweep.quantized import QuantizedAccumulator, QuantizedSums, Scales, ScalesAccumulator
from attest.sweep.results import ChunkDigest, FileDigest, Kept, StretchResult, Sweep, TensorResult
from attest.sweep.segment import row_shape
from attest.sweep.sweep import sweep

__all__ = [
    "Accumulator",
    "ChunkDigest",
    "ExactAccumulator",
    "ExactSums",
    "FileDigest",
    "FourBitAccumulator",
    "FourBitBlocksAccumulator",
    "Kept",
    "QuantizedAccumulator",
    "QuantizedSums",
    "RowDigestAccumulator",
    "RowSums",
    "RowSumsAccumulator",
    "Scales",
    "ScalesAccumulator",
    "StretchResult",
    "Sweep",
    "TensorResult",
    "ValuesAccumulator",
    "as_float32",
    "row_shape",
    "sweep",
]
