"""The one read: every byte of a checkpoint, once, for all digests and all accumulators.

While a block is hot it goes to the file's SHA-256, to the SHA-256 of its chunk, and to whatever the fingerprints asked
for. Nothing that comes out depends on the number of threads, the size of blocks, or how tensors lie in files.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from threading import Lock
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import BITS, Checkpoint, Tensor
from attest.checkpoint.safetensors import DTYPE_BITS
from attest.checkpoint.tree import TreeFile, open_file
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
    """A run of a file: its header, a tensor, or the whole of a file that holds none."""

    def __init__(self, begin: int, end: int, tensor: Tensor | None, accumulators: Accumulators) -> None:
        self.begin = begin
        self.size = end - begin
        self.tensor = tensor
        self.chunks: list[ChunkDigest] = []
        self.collected: dict[str, Any] = {}
        self._accumulators = accumulators
        self._active: Mapping[str, Accumulator] = {}
        self._chunk = hashlib.sha256()

    def cuts(self, block_size: int) -> Iterator[tuple[int, int]]:
        """Offset and size of the blocks: whole rows, as many as fit."""
        step = block_size
        if self.tensor is not None and self.tensor.dtype in BITS and self.size:
            row_bytes = row_shape(self.tensor)[1] * DTYPE_BITS[self.tensor.dtype] // 8
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
        name = self.tensor.name if self.tensor else None
        self.chunks.append(
            ChunkDigest(begin=self.begin + end - size, size=size, digest=self._chunk.digest(), tensor=name)
        )
        self._chunk = hashlib.sha256()

    def collect(self, block: _Block, offset: int) -> None:
        """Show a block's values to the accumulators, and take their results after the last."""
        if self.tensor is not None:
            if offset == 0:
                self._active = self._accumulators(self.tensor)
            self._update(block.data, offset)
            if offset + len(block.data) == self.size:
                self.collected = {name: one.result() for name, one in self._active.items()}
                self._active = {}
        block.seen()

    def _update(self, data: memoryview, offset: int) -> None:
        if self.tensor is None or not self._active:
            return
        columns = row_shape(self.tensor)[1]
        rows: NDArray[Any] = np.frombuffer(data, dtype=BITS[self.tensor.dtype]).reshape(-1, columns)
        first_row = offset // (rows.itemsize * columns)
        for accumulator in self._active.values():
            accumulator.update(rows, first_row)

    def result(self) -> TensorResult | None:
        """What is known of the tensor after all blocks are done."""
        if self.tensor is None:
            return None
        digest = tensor_digest(self.tensor.dtype, self.tensor.shape, (chunk.digest for chunk in self.chunks))
        return TensorResult(digest=digest, collected=self.collected)


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
        self._root = checkpoint.tree.root
        self._parsed = checkpoint.documents.get(file.path)
        self._file = file
        self._block_size = block_size
        self._whole = hashlib.sha256()
        self._spare = spare
        self._header = header = checkpoint.headers.get(file.path)
        self._segments = [_Segment(0, header.end if header else file.size, None, accumulators)]
        self._segments += [
            _Segment(tensor.begin, tensor.end, tensor, accumulators) for tensor in (header.tensors if header else ())
        ]

    def blocks(self, crew: Crew) -> Iterator[int]:
        """Read block after block; yields each one's size in bytes when it was handed out."""
        whole = Strand(crew)
        with open_file(self._root, self._file.path) as stream:
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
        if self._header and self._header.chunks != tuple(chunk.digest for chunk in self._segments[0].chunks):
            raise self._changed("its header changed")
        if self._parsed not in {None, self._whole.hexdigest()}:
            raise self._changed("changed")
        chunks = tuple(chunk for segment in self._segments for chunk in segment.chunks)
        return FileDigest(path=self._file.path, size=self._file.size, sha256=self._whole.hexdigest(), chunks=chunks)

    def tensors(self) -> Iterator[tuple[str, TensorResult]]:
        """Results of the file's tensors, by name, after all blocks are done."""
        for segment in self._segments:
            result = segment.result()
            if segment.tensor is not None and result is not None:
                yield segment.tensor.name, result
