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
from attest.sweep.sweep import ChunkDigest, FileDigest, Sweep, TensorResult, row_shape, sweep

__all__ = [
    "Accumulator",
    "ChunkDigest",
    "ExactAccumulator",
    "ExactSums",
    "FileDigest",
    "RowDigestAccumulator",
    "RowSums",
    "RowSumsAccumulator",
    "Sweep",
    "TensorResult",
    "ValuesAccumulator",
    "as_float32",
    "row_shape",
    "sweep",
]
