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
from attest.sweep.results import ChunkDigest, FileDigest, FileResult, Kept, Sweep, TensorResult
from attest.sweep.segment import row_shape
from attest.sweep.sweep import sweep

__all__ = [
    "Accumulator",
    "ChunkDigest",
    "ExactAccumulator",
    "ExactSums",
    "FileDigest",
    "FileResult",
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
    "Sweep",
    "TensorResult",
    "ValuesAccumulator",
    "as_float32",
    "row_shape",
    "sweep",
]
