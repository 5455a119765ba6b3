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
from attest.sweep.results import FileDigest, Kept, StretchResult, Sweep
from attest.sweep.resumable import ResumableSha256
from attest.sweep.segment import Accumulators, Piece, runs, segments
from attest.sweep.strand import Crew, Strand
from attest.sweep.stretch import Stretch, stretches

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
        Told the number of bytes of every block that was read, after those of files that were kept whole.
    kept : Kept, optional
        Where results of finished stretches of files are kept, and taken from.

    Raises
    ------
    CheckpointError
        A file changed or shrank while it was read, or since its results were kept.
    """
    count = threads or usable_cores()
    spare: deque[bytearray] = deque()
    digested = {tensor.file for tensors in checkpoint.beside.values() for tensor in tensors}
    readers = [
        _FileReader(checkpoint, file, _nothing if file.path in digested else accumulators, block_size, spare, kept)
        for file in checkpoint.tree.files
    ]
    unread = [reader for reader in readers if not reader.is_kept]
    if len(unread) < len(readers):
        progress(sum(reader.kept_bytes for reader in readers if reader.is_kept))
    with Crew(threads=count, max_blocks=min(_BLOCKS_A_THREAD * count, MAX_BLOCKS)) as crew:
        for size in _take_turns((reader.blocks(crew) for reader in unread), at_once=max(1, count // 2)):
            progress(size)
        crew.finish()
    found = {reader.path: reader.results() for reader in readers}
    results = {
        (path, name): one for path, parts in found.items() for part in parts for name, one in part.tensors.items()
    }
    return Sweep(
        files=tuple(reader.digest() for reader in readers),
        tensors={tensor.name: results[tensor.file, tensor.name] for tensor in checkpoint.tensors},
        beside={
            kind: {tensor.name: results[tensor.file, tensor.name].digest for tensor in tensors}
            for kind, tensors in checkpoint.beside.items()
        },
        resumed=frozenset(reader.path for reader in readers if reader.kept_bytes),
        read_again={reader.path: reader.read_again for reader in unread if reader.read_again},
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
        self._tree: Tree = checkpoint.tree
        self._document = checkpoint.documents.get(file.path)
        self._size = file.size
        self._block_size = block_size
        is_remote = self._tree.origin is not None
        self._whole = ResumableSha256() if kept and is_remote else hashlib.sha256()
        self._spare = spare
        layout = checkpoint.layouts.get(file.path)
        line = segments(layout, file.size, accumulators)
        self._stretches = list(stretches(file.path, line, layout.parsed if layout else ()))
        self._found = list(_take_kept(self._stretches, kept)) if kept else []
        self.kept_bytes = self._found[-1].end if self._found else 0
        self.read_again = 0
        self.is_kept = len(self._found) == len(self._stretches)

    def blocks(self, crew: Crew) -> Iterator[int]:
        """Read block after block; yields each one's size in bytes when it was handed out."""
        whole = Strand(crew)
        with self._tree.open(self.path) as stream:
            if self._found:
                yield from self._take_up(self._found[-1], stream, whole, crew)
            for stretch in self._stretches[len(self._found) :]:
                for run in runs(stretch.segments, self._block_size):
                    hashing, collecting = Strand(crew), Strand(crew)
                    for pieces in run:
                        size = pieces[-1].begin + pieces[-1].size
                        stretch.begin_block()
                        block = self._read(stream, size, crew, strands=3, done=partial(self._end_block, stretch, crew))
                        whole.add(partial(self._hash, block))
                        hashing.add(partial(_hash_pieces, block, pieces))
                        collecting.add(partial(_collect_pieces, block, pieces))
                        yield size
                crew.admit()
                whole.add(partial(self._end_stretch, stretch, crew))
            if stream.read(1):
                raise self._changed("grew")

    def _take_up(self, kept: StretchResult, stream: BinaryIO, whole: Strand, crew: Crew) -> Iterator[int]:
        """Go on with the digest of the file: at the state that was kept, or by digesting again what was measured."""
        found = ResumableSha256.at(kept.state, kept.sha256)
        if found:
            self._whole = found
            stream.seek(kept.end)
            yield kept.end
            return
        self.read_again = kept.end
        for begin in range(0, kept.end, self._block_size):
            size = min(self._block_size, kept.end - begin)
            whole.add(partial(self._hash, self._read(stream, size, crew, strands=1, done=crew.done)))
            yield size
        crew.admit()
        whole.add(partial(self._compare, kept, crew))

    def _compare(self, kept: StretchResult, crew: Crew) -> None:
        if self._whole.hexdigest() != kept.sha256:
            raise CheckpointError(
                "file-changed",
                "holds other bytes than when an earlier run kept its results",
                fix="remove the folder of --resume, and measure again",
                where=self.path,
            )
        crew.done()

    def _end_block(self, stretch: Stretch, crew: Crew) -> None:
        if stretch.end_block():
            self._finish(stretch)
        crew.done()

    def _end_stretch(self, stretch: Stretch, crew: Crew) -> None:
        state = self._whole.state() if isinstance(self._whole, ResumableSha256) else None
        if stretch.end_file_digest(self._whole.hexdigest(), state):
            self._finish(stretch)
        crew.done()

    def _finish(self, stretch: Stretch) -> None:
        result = stretch.finish()
        if result is None:
            raise self._changed("its header changed")
        if self._kept:
            self._kept.keep(result)

    def _read(self, stream: BinaryIO, size: int, crew: Crew, *, strands: int, done: Callable[[], None]) -> _Block:
        crew.admit()
        buffer = self._spare.popleft() if self._spare else bytearray()
        if len(buffer) < size:
            buffer = bytearray(size)
        view = memoryview(buffer)[:size]
        if not fill(stream, view):
            raise self._changed("ended")
        return _Block(view, strands=strands, spare=self._spare, done=done)

    def _changed(self, how: str) -> CheckpointError:
        return CheckpointError(
            "file-changed",
            f"{how} while it was read",
            fix="measure again when nothing writes to it",
            where=self.path,
        )

    def _hash(self, block: _Block) -> None:
        self._whole.update(block.data)
        block.seen()

    def results(self) -> list[StretchResult]:
        """What the stretches gave, after all blocks are done."""
        return [stretch.result for stretch in self._stretches if stretch.result]

    def digest(self) -> FileDigest:
        """Digests of the file, after all blocks are done."""
        results = self.results()
        sha256 = results[-1].sha256
        if self._document not in {None, sha256}:
            raise self._changed("changed")
        chunks = tuple(chunk for result in results for chunk in result.chunks)
        return FileDigest(path=self.path, size=self._size, sha256=sha256, chunks=chunks)


def _take_kept(line: Sequence[Stretch], kept: Kept) -> Iterator[StretchResult]:
    """What an earlier run kept of the stretches, up to the first of which it kept nothing."""
    for stretch in line:
        result = stretch.take(kept)
        if result is None:
            return
        yield result
