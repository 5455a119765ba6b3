"""The one read: every byte of a checkpoint, once, for all digests and all accumulators.

While a block is hot it goes to the file's SHA-256, to the SHA-256 of its chunk, and to whatever the fingerprints asked
for. Nothing that comes out depends on the number of threads, the size of blocks, or how tensors lie in files.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import BITS, Checkpoint, Tensor
from attest.checkpoint.checkpoint import Layout
from attest.checkpoint.tensor import DTYPE_BITS
from attest.checkpoint.tree import Tree, TreeFile
from attest.digest import CHUNK_SIZE, tensor_digest
from attest.errors import CheckpointError
from attest.sweep.accumulator import Accumulator
from attest.sweep.strand import Crew, Strand

__all__ = [
    "BLOCK_SIZE",
    "MAX_BLOCKS",
    "MAX_ROW",
    "ChunkDigest",
    "FileDigest",
    "Sweep",
    "TensorResult",
    "row_shape",
    "sweep",
]

BLOCK_SIZE = 2 * 1024 * 1024
"""Bytes that are read at once: small enough to stay in a core's cache while they are used."""

MAX_BLOCKS = 128
"""Most blocks in memory at once, however many threads there are."""

MAX_ROW = 16 * 1024 * 1024
"""Longest row in bytes that accumulators see as a row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkDigest:
    """SHA-256 of a run of a file's bytes; ``tensor`` names the tensor it belongs to."""

    begin: int
    size: int
    digest: bytes
    tensor: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class FileDigest:
    """A file's size in bytes, SHA-256, and chunks in order and without a gap."""

    path: str
    size: int
    sha256: str
    chunks: tuple[ChunkDigest, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class TensorResult:
    """A tensor's digest, and what each accumulator collected."""

    digest: str
    collected: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What one read gave: digests of all files, results of all tensors by name."""

    files: tuple[FileDigest, ...]
    tensors: Mapping[str, TensorResult]


Accumulators = Callable[[Tensor], Mapping[str, Accumulator]]
Progress = Callable[[int], None]


def sweep(
    checkpoint: Checkpoint,
    accumulators: Accumulators,
    *,
    threads: int | None = None,
    block_size: int = BLOCK_SIZE,
    progress: Progress = lambda _: None,
) -> Sweep:
    """Read a checkpoint once.

    Parameters
    ----------
    checkpoint : Checkpoint
    accumulators : callable
        Gives the accumulators of a tensor, by name; called once a tensor, before its first byte.
    threads : int, optional
        All cores by default. Results do not depend on it.
    block_size : int
        Bytes read at once. Results do not depend on it.
    progress : callable
        Told the number of bytes of every block that was read.

    Raises
    ------
    CheckpointError
        A file changed or shrank while it was read.
    """
    count = threads or _usable_cores()
    spare: deque[bytearray] = deque()
    readers = [_FileReader(checkpoint, file, accumulators, block_size, spare) for file in checkpoint.tree.files]
    with Crew(threads=count, max_blocks=min(2 * count + 2, MAX_BLOCKS)) as crew:
        for size in _take_turns((reader.blocks(crew) for reader in readers), at_once=max(1, count // 2)):
            progress(size)
        crew.finish()
    return Sweep(
        files=tuple(reader.result() for reader in readers),
        tensors={name: result for reader in readers for name, result in reader.tensors()},
    )


def _usable_cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def row_shape(tensor: Tensor) -> tuple[int, int]:
    """Rows and columns as accumulators see them.

    A matrix, or a stack of matrices, keeps its last dimension as columns. A vector is one row, or one column where
    it is longer than ``MAX_ROW`` bytes, and so is a matrix whose rows are.
    """
    item = DTYPE_BITS[tensor.dtype] // 8
    columns = tensor.shape[-1] if tensor.shape else 1
    if not tensor.size or columns * item > MAX_ROW:
        return tensor.size, 1
    return tensor.size // columns, columns


def _take_turns(sources: Iterator[Iterator[int]], *, at_once: int) -> Iterator[int]:
    """Items of the first few sources in turn; the next source starts where one ends."""
    active = list(islice(sources, at_once))
    while active:
        for source in tuple(active):
            item = next(source, None)
            if item is not None:
                yield item
                continue
            active.remove(source)
            active.extend(islice(sources, 1))


class _Block:
    """Bytes on their way through a few strands; done when the last has seen them."""

    def __init__(self, crew: Crew, data: memoryview, *, strands: int, spare: deque[bytearray]) -> None:
        self.data = data
        self._crew = crew
        self._left = strands
        self._lock = Lock()
        self._spare = spare

    def seen(self) -> None:
        """Count one strand; the last gives the memory back."""
        with self._lock:
            self._left -= 1
            last = self._left == 0
        if last:
            buffer = self.data.obj
            self.data = memoryview(b"")
            if isinstance(buffer, bytearray):
                self._spare.append(buffer)
            self._crew.done()


class _Segment:
    """A run of a file: the bytes of a tensor, which another may share, or those between two."""

    def __init__(self, begin: int, end: int, tensors: Sequence[Tensor], accumulators: Accumulators) -> None:
        self.begin = begin
        self.size = end - begin
        self.tensors = tensors
        self.chunks: list[ChunkDigest] = []
        self._collected: dict[str, Mapping[str, Any]] = {}
        self._accumulators = accumulators
        self._active: list[tuple[Tensor, Mapping[str, Accumulator]]] = []
        self._chunk = hashlib.sha256()

    def cuts(self, block_size: int) -> Iterator[tuple[int, int]]:
        """Offset and size of the blocks: whole rows, as many as fit."""
        step = block_size
        if self.tensors and self.tensors[0].dtype in BITS:
            row_bytes = row_shape(self.tensors[0])[1] * DTYPE_BITS[self.tensors[0].dtype] // 8
            step = max(1, block_size // row_bytes) * row_bytes
        for offset in range(0, self.size, step):
            yield offset, min(step, self.size - offset)

    def hash(self, block: _Block, offset: int) -> None:
        """Digest a block's bytes chunk by chunk."""
        position = 0
        while position < len(block.data):
            within = (offset + position) % CHUNK_SIZE
            part = block.data[position : position + CHUNK_SIZE - within]
            self._chunk.update(part)
            position += len(part)
            if within + len(part) == CHUNK_SIZE or offset + position == self.size:
                self._end_chunk(within + len(part), offset + position)
        block.seen()

    def _end_chunk(self, size: int, end: int) -> None:
        name = self.tensors[0].name if self.tensors else None
        self.chunks.append(
            ChunkDigest(begin=self.begin + end - size, size=size, digest=self._chunk.digest(), tensor=name)
        )
        self._chunk = hashlib.sha256()

    def collect(self, block: _Block, offset: int) -> None:
        """Show a block's values to the accumulators, and take their results after the last."""
        if offset == 0:
            self._active = [(tensor, self._accumulators(tensor)) for tensor in self.tensors]
        for tensor, accumulators in self._active:
            if accumulators:
                _update(tensor, accumulators, block.data, offset)
        if offset + len(block.data) == self.size:
            for tensor, accumulators in self._active:
                self._collected[tensor.name] = {name: one.result() for name, one in accumulators.items()}
            self._active = []
        block.seen()

    def results(self) -> Iterator[tuple[str, TensorResult]]:
        """What is known of the tensors after all blocks are done, by name."""
        for tensor in self.tensors:
            digest = tensor_digest(tensor.dtype, tensor.shape, (chunk.digest for chunk in self.chunks))
            yield tensor.name, TensorResult(digest=digest, collected=self._collected.get(tensor.name, {}))


def _update(tensor: Tensor, accumulators: Mapping[str, Accumulator], data: memoryview, offset: int) -> None:
    columns = row_shape(tensor)[1]
    rows: NDArray[Any] = np.frombuffer(data, dtype=BITS[tensor.dtype]).reshape(-1, columns)
    first_row = offset // (rows.itemsize * columns)
    for accumulator in accumulators.values():
        accumulator.update(rows, first_row)


def _segments(layout: Layout | None, size: int, accumulators: Accumulators) -> Iterator[_Segment]:
    """Runs of a file without a gap: each tensor's bytes, and what lies before, between and behind them."""
    position = 0
    for (begin, end), shared in groupby(layout.tensors if layout else (), key=lambda one: (one.begin, one.end)):
        if begin > position:
            yield _Segment(position, begin, (), accumulators)
        yield _Segment(begin, end, tuple(shared), accumulators)
        position = end
    if position < size or not size:
        yield _Segment(position, size, (), accumulators)


class _FileReader:
    """Reads one file in blocks and hands them to its strands."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        file: TreeFile,
        accumulators: Accumulators,
        block_size: int,
        spare: deque[bytearray],
    ) -> None:
        self._tree: Tree = checkpoint.tree
        self._document = checkpoint.documents.get(file.path)
        self._file = file
        self._block_size = block_size
        self._whole = hashlib.sha256()
        self._spare = spare
        layout = checkpoint.layouts.get(file.path)
        self._parsed = layout.parsed if layout else {}
        self._segments = list(_segments(layout, file.size, accumulators))

    def blocks(self, crew: Crew) -> Iterator[int]:
        """Read block after block; yields each one's size in bytes when it was handed out."""
        whole = Strand(crew)
        with self._tree.open(self._file.path) as stream:
            for segment in self._segments:
                hashing, collecting = Strand(crew), Strand(crew)
                for offset, size in segment.cuts(self._block_size):
                    crew.admit()
                    block = _Block(crew, self._read(stream, size), strands=3, spare=self._spare)
                    whole.add(partial(self._hash, block))
                    hashing.add(partial(segment.hash, block, offset))
                    collecting.add(partial(segment.collect, block, offset))
                    yield size
            if stream.read(1):
                raise self._changed("grew")

    def _read(self, stream: BinaryIO, size: int) -> memoryview:
        buffer = self._spare.popleft() if self._spare else bytearray()
        if len(buffer) < size:
            buffer = bytearray(size)
        view, done = memoryview(buffer)[:size], 0
        while done < size:
            count = stream.readinto(view[done:])  # type: ignore[attr-defined]
            if not count:
                raise self._changed("ended")
            done += count
        return view

    def _changed(self, how: str) -> CheckpointError:
        return CheckpointError(
            "file-changed",
            f"{how} while it was read",
            fix="measure again when nothing writes to it",
            where=self._file.path,
        )

    def _hash(self, block: _Block) -> None:
        self._whole.update(block.data)
        block.seen()

    def result(self) -> FileDigest:
        """Digests of the file, after all blocks are done."""
        seen = {
            segment.begin: tuple(chunk.digest for chunk in segment.chunks) for segment in self._segments if segment.size
        }
        if any(seen.get(begin) != chunks for begin, chunks in self._parsed.items()):
            raise self._changed("its header changed")
        if self._document not in {None, self._whole.hexdigest()}:
            raise self._changed("changed")
        chunks = tuple(chunk for segment in self._segments for chunk in segment.chunks)
        return FileDigest(path=self._file.path, size=self._file.size, sha256=self._whole.hexdigest(), chunks=chunks)

    def tensors(self) -> Iterator[tuple[str, TensorResult]]:
        """Results of the file's tensors, by name, after all blocks are done."""
        for segment in self._segments:
            yield from segment.results()
