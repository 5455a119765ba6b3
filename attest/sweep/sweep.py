"""The one read: every byte of a checkpoint, once, for all digests and all accumulators.

While a block is hot it goes to the file's SHA-256, to the SHA-256 of its chunk, and to whatever the fingerprints asked
for. Nothing that comes out depends on the number of threads, the size of blocks, or how tensors lie in files.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from threading import Lock
from typing import BinaryIO

from attest.checkpoint import Checkpoint, Tensor
from attest.checkpoint.byte_range import fill
from attest.checkpoint.tree import Tree, TreeFile
from attest.cores import usable_cores
from attest.errors import CheckpointError
from attest.sweep.accumulator import Accumulator
from attest.sweep.results import FileDigest, FileResult, Kept, Sweep
from attest.sweep.segment import Accumulators, Piece, runs, segments
from attest.sweep.strand import Crew, Strand

__all__ = ["BLOCK_SIZE", "MAX_BLOCKS", "sweep"]

BLOCK_SIZE = 2 * 1024 * 1024
"""Bytes that are read at once: small enough to stay in a core's cache while they are used."""

MAX_BLOCKS = 128
"""Most blocks in memory at once, however many threads there are."""

_BLOCKS_A_THREAD = 16
"""As many as are hashed while the compiled loops are loaded, so that no thread waits for them."""

Progress = Callable[[int], None]


def sweep(
    checkpoint: Checkpoint,
    accumulators: Accumulators,
    *,
    threads: int | None = None,
    block_size: int = BLOCK_SIZE,
    progress: Progress = lambda _: None,
    kept: Kept | None = None,
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
    kept : Kept, optional
        Where results of finished files are kept, and taken from.

    Raises
    ------
    CheckpointError
        A file changed or shrank while it was read.
    """
    count = threads or usable_cores()
    spare: deque[bytearray] = deque()
    digested = {tensor.file for tensors in checkpoint.beside.values() for tensor in tensors}
    found = {file.path: result for file in checkpoint.tree.files if kept and (result := kept.find(file.path))}
    readers = [
        _FileReader(checkpoint, file, _nothing if file.path in digested else accumulators, block_size, spare, kept)
        for file in checkpoint.tree.files
        if file.path not in found
    ]
    if found:
        progress(sum(result.digest.size for result in found.values()))
    with Crew(threads=count, max_blocks=min(_BLOCKS_A_THREAD * count, MAX_BLOCKS)) as crew:
        for size in _take_turns((reader.blocks(crew) for reader in readers), at_once=max(1, count // 2)):
            progress(size)
        crew.finish()
    found |= {reader.path: reader.result() for reader in readers}
    results = {(path, name): one for path, result in found.items() for name, one in result.tensors.items()}
    return Sweep(
        files=tuple(found[file.path].digest for file in checkpoint.tree.files),
        tensors={tensor.name: results[tensor.file, tensor.name] for tensor in checkpoint.tensors},
        beside={
            kind: {tensor.name: results[tensor.file, tensor.name].digest for tensor in tensors}
            for kind, tensors in checkpoint.beside.items()
        },
        resumed=frozenset(found) - {reader.path for reader in readers},
    )


def _nothing(_: Tensor) -> Mapping[str, Accumulator]:
    """Accumulators of a tensor that is only digested."""
    return {}


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

    def __init__(self, data: memoryview, *, strands: int, spare: deque[bytearray], done: Callable[[], None]) -> None:
        self.data = data
        self._done = done
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
            self._done()


def _hash_pieces(block: _Block, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        piece.segment.hash(piece.of(block.data), piece.offset)
    block.seen()


def _collect_pieces(block: _Block, pieces: Sequence[Piece]) -> None:
    for piece in pieces:
        piece.segment.collect(piece.of(block.data), piece.offset)
    block.seen()


class _FileReader:
    """Reads one file in blocks and hands them to its strands."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        file: TreeFile,
        accumulators: Accumulators,
        block_size: int,
        spare: deque[bytearray],
        kept: Kept | None,
    ) -> None:
        self.path = file.path
        self._kept = kept
        self._left = 1  # blocks on their way, and the reading itself
        self._lock = Lock()
        self._tree: Tree = checkpoint.tree
        self._document = checkpoint.documents.get(file.path)
        self._file = file
        self._block_size = block_size
        self._whole = hashlib.sha256()
        self._spare = spare
        layout = checkpoint.layouts.get(file.path)
        self._parsed = layout.parsed if layout else ()
        self._segments = list(segments(layout, file.size, accumulators))

    def blocks(self, crew: Crew) -> Iterator[int]:
        """Read block after block; yields each one's size in bytes when it was handed out."""
        whole = Strand(crew)
        with self._tree.open(self._file.path) as stream:
            for run in runs(self._segments, self._block_size):
                hashing, collecting = Strand(crew), Strand(crew)
                for pieces in run:
                    size = pieces[-1].begin + pieces[-1].size
                    crew.admit()
                    with self._lock:
                        self._left += 1
                    done = partial(self._end_block, crew)
                    block = _Block(self._read(stream, size), strands=3, spare=self._spare, done=done)
                    whole.add(partial(self._hash, block))
                    hashing.add(partial(_hash_pieces, block, pieces))
                    collecting.add(partial(_collect_pieces, block, pieces))
                    yield size
            if stream.read(1):
                raise self._changed("grew")
        self._end_part()

    def _end_block(self, crew: Crew) -> None:
        self._end_part()
        crew.done()

    def _end_part(self) -> None:
        """Count a block, or the reading, as done; the last keeps the results."""
        with self._lock:
            self._left -= 1
            is_last = self._left == 0
        if is_last and self._kept:
            self._kept.keep(self.result())

    def _read(self, stream: BinaryIO, size: int) -> memoryview:
        buffer = self._spare.popleft() if self._spare else bytearray()
        if len(buffer) < size:
            buffer = bytearray(size)
        view = memoryview(buffer)[:size]
        if not fill(stream, view):
            raise self._changed("ended")
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

    def result(self) -> FileResult:
        """What the file gave, after all blocks are done."""
        seen = {
            segment.begin: tuple(chunk.digest for chunk in segment.chunks) for segment in self._segments if segment.size
        }
        if any(seen[one.begin] != one.chunks for one in self._parsed):
            raise self._changed("its header changed")
        if self._document not in {None, self._whole.hexdigest()}:
            raise self._changed("changed")
        chunks = tuple(chunk for segment in self._segments for chunk in segment.chunks)
        return FileResult(
            digest=FileDigest(path=self.path, size=self._file.size, sha256=self._whole.hexdigest(), chunks=chunks),
            tensors={name: result for segment in self._segments for name, result in segment.results()},
        )
