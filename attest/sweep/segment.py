"""A file in segments: the bytes of each tensor, and those between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import Tensor
from attest.checkpoint.checkpoint import Layout
from attest.checkpoint.format import ParsedRange
from attest.checkpoint.tensor import BLOCKS, DTYPE_BITS, item_type
from attest.digest import CHUNK_SIZE, tensor_digest
from attest.sweep.accumulator import Accumulator
from attest.sweep.results import ChunkDigest, TensorResult

__all__ = ["MAX_ROW", "Accumulators", "Piece", "Segment", "row_shape", "runs", "segments"]

MAX_ROW = 16 * 1024 * 1024
"""Longest row in bytes that accumulators see as a row."""

_ALIGNMENT = 8
"""Values begin at a multiple of so many bytes in memory, wherever they lie in the file."""

Accumulators = Callable[[Tensor], Mapping[str, Accumulator]]


def row_shape(tensor: Tensor) -> tuple[int, int]:
    """Rows and columns as accumulators see them, in values; in blocks of values for a quantized dtype.

    A matrix, or a stack of matrices, keeps its last dimension as columns. A vector is one row, or one column where
    it is longer than ``MAX_ROW`` bytes, and so is a matrix whose rows are.
    """
    values, item = BLOCKS.get(tensor.dtype) or (1, DTYPE_BITS[tensor.dtype] // 8)
    size, columns = tensor.size // values, (tensor.shape[-1] if tensor.shape else 1) // values
    if not size or not columns or columns * item > MAX_ROW:
        return size, 1
    return size // columns, columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Piece:
    """The part of a block that belongs to one segment: ``size`` bytes from ``begin``, from ``offset`` of the segment."""

    segment: Segment
    begin: int
    size: int
    offset: int

    def of(self, block: memoryview) -> memoryview:
        """Its bytes."""
        return block[self.begin : self.begin + self.size]


class Segment:
    """A run of a file: the bytes of a tensor, which another may share, or those between two."""

    def __init__(self, begin: int, end: int, tensors: Sequence[Tensor], accumulators: Accumulators) -> None:
        self.begin = begin
        self.end = end
        self.size = end - begin
        self.tensors = tensors
        self.chunks: list[ChunkDigest] = []
        self._collected: dict[str, Mapping[str, Any]] = {}
        self._accumulators = accumulators
        self._active: list[tuple[Tensor, Mapping[str, Accumulator]]] = []
        self._chunk = hashlib.sha256()

    def cuts(self, block_size: int) -> Iterator[Piece]:
        """Blocks of its own: whole rows, as many as fit."""
        step = block_size
        item = item_type(self.tensors[0].dtype) if self.tensors else None
        if item:
            row_bytes = row_shape(self.tensors[0])[1] * np.dtype(item).itemsize
            step = max(1, block_size // row_bytes) * row_bytes
        for offset in range(0, self.size, step):
            yield Piece(segment=self, begin=0, size=min(step, self.size - offset), offset=offset)

    def hash(self, data: memoryview, offset: int) -> None:
        """Digest its next bytes chunk by chunk."""
        position = 0
        while position < len(data):
            within = (offset + position) % CHUNK_SIZE
            part = data[position : position + CHUNK_SIZE - within]
            self._chunk.update(part)
            position += len(part)
            if within + len(part) == CHUNK_SIZE or offset + position == self.size:
                self._end_chunk(within + len(part), offset + position)

    def _end_chunk(self, size: int, end: int) -> None:
        name = self.tensors[0].name if self.tensors else None
        self.chunks.append(
            ChunkDigest(begin=self.begin + end - size, size=size, digest=self._chunk.digest(), tensor=name)
        )
        self._chunk = hashlib.sha256()

    def collect(self, data: memoryview, offset: int) -> None:
        """Show its next values to the accumulators, and take their results after the last."""
        if offset == 0:
            self._active = [(tensor, self._accumulators(tensor)) for tensor in self.tensors]
        for tensor, accumulators in self._active:
            if accumulators:
                _update(tensor, accumulators, data, offset)
        if offset + len(data) == self.size:
            for tensor, accumulators in self._active:
                self._collected[tensor.name] = {name: one.result() for name, one in accumulators.items()}
            self._active = []

    def results(self) -> Iterator[tuple[str, TensorResult]]:
        """What is known of the tensors after all blocks are done, by name."""
        for tensor in self.tensors:
            digest = tensor_digest(tensor.dtype, tensor.shape, (chunk.digest for chunk in self.chunks))
            yield tensor.name, TensorResult(digest=digest, collected=self._collected.get(tensor.name, {}))


def _update(tensor: Tensor, accumulators: Mapping[str, Accumulator], data: memoryview, offset: int) -> None:
    columns = row_shape(tensor)[1]
    rows: NDArray[Any] = np.frombuffer(data, dtype=item_type(tensor.dtype)).reshape(-1, columns)
    first_row = offset // (rows.itemsize * columns)
    for accumulator in accumulators.values():
        accumulator.update(rows, first_row)


def segments(layout: Layout | None, size: int, accumulators: Accumulators) -> Iterator[Segment]:
    """Runs of a file without a gap: each tensor's bytes, each range that was parsed, and what lies between them."""
    position = 0
    pieces: list[Tensor | ParsedRange] = [*layout.tensors, *layout.parsed] if layout else []
    for (begin, end), shared in groupby(sorted(pieces, key=_place), key=_place):
        if begin > position:
            yield Segment(position, begin, (), accumulators)
        yield Segment(begin, end, tuple(one for one in shared if isinstance(one, Tensor)), accumulators)
        position = end
    if position < size or not size:
        yield Segment(position, size, (), accumulators)


def _place(one: Tensor | ParsedRange) -> tuple[int, int]:
    return one.begin, one.end


def runs(line: Iterable[Segment], block_size: int) -> Iterator[Iterator[tuple[Piece, ...]]]:
    """Blocks to read, each as the pieces that it holds.

    A run is a large segment, whose blocks come one after another, or one block of small segments that lie together:
    threads with ten thousand small jobs spend their time on taking turns.
    """
    small: list[Piece] = []
    filled = 0
    for segment in line:
        if small and (filled + segment.size > block_size or filled % _ALIGNMENT):
            yield iter((tuple(small),))
            small, filled = [], 0
        if segment.size > block_size:
            yield ((piece,) for piece in segment.cuts(block_size))
        elif segment.size:
            small.append(Piece(segment=segment, begin=filled, size=segment.size, offset=0))
            filled += segment.size
    if small:
        yield iter((tuple(small),))
