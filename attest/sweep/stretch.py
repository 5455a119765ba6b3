"""A file in stretches: what is kept at once, so that a stop in the middle of a large file loses little."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from threading import Lock

from attest.checkpoint.format import ParsedRange
from attest.digest import CHUNK_SIZE
from attest.sweep.results import ChunkDigest, Kept, StretchResult
from attest.sweep.segment import Segment

__all__ = ["STRETCH_SIZE", "Stretch", "stretches"]

STRETCH_SIZE = 256 * 1024 * 1024
"""Bytes after which a stretch ends, at the next end of a segment: an entry that is written costs about as much as
reading so many bytes a hundred times faster."""


class Stretch:
    """Segments of a file that lie together.

    Parameters
    ----------
    path : str
        Of the file.
    number : int
        In its file, from 0.
    segments : sequence of Segment
        At least one.
    parsed : iterable of ParsedRange
        What was parsed of the file.

    Attributes
    ----------
    result : StretchResult or None
        Once all of it is done, or was found among what an earlier run kept.
    """

    def __init__(self, path: str, number: int, segments: Sequence[Segment], parsed: Iterable[ParsedRange]) -> None:
        self.segments = segments
        self.result: StretchResult | None = None
        self._path = path
        self._number = number
        self._end = segments[-1].end
        self._parsed = tuple(one for one in parsed if segments[0].begin <= one.begin < self._end)
        self._left = 1  # blocks on their way, and the digest of the file up to here
        self._lock = Lock()
        self._sha256 = ""
        self._state: bytes | None = None

    def begin_block(self) -> None:
        """Count a block that is on its way."""
        with self._lock:
            self._left += 1

    def end_file_digest(self, sha256: str, state: bytes | None) -> bool:
        """Take the digest of the file up to the end of this stretch; whether nothing is on its way any more."""
        self._sha256, self._state = sha256, state
        return self.end_block()

    def end_block(self) -> bool:
        """Count a block as done; whether nothing is on its way any more."""
        with self._lock:
            self._left -= 1
            return self._left == 0

    def finish(self) -> StretchResult | None:
        """Make the result; None where what was parsed of the file are other bytes than those that were read."""
        chunks = tuple(chunk for segment in self.segments for chunk in segment.chunks)
        if self._is_as_parsed(chunks):
            tensors = {name: result for segment in self.segments for name, result in segment.results()}
            self.result = StretchResult(
                path=self._path, number=self._number, end=self._end, sha256=self._sha256, state=self._state,
                chunks=chunks, tensors=tensors,
            )  # fmt: skip
        return self.result

    def take(self, kept: Kept) -> StretchResult | None:
        """Take the result from what an earlier run kept; None where there is none, or it is not of this stretch."""
        found = kept.find(self._path, self._number)
        if found and found.end == self._end and self._is_as_parsed(found.chunks):
            self.result = found
        return self.result

    def _is_as_parsed(self, chunks: Iterable[ChunkDigest]) -> bool:
        digests = {chunk.begin: chunk.digest for chunk in chunks}
        return all(
            digests.get(one.begin + number * CHUNK_SIZE) == digest
            for one in self._parsed
            for number, digest in enumerate(one.chunks)
        )


def stretches(path: str, line: Iterable[Segment], parsed: Sequence[ParsedRange]) -> Iterator[Stretch]:
    """All segments of a file, as its stretches."""
    number = 0
    held: list[Segment] = []
    for segment in line:
        held.append(segment)
        if segment.end - held[0].begin >= STRETCH_SIZE:
            yield Stretch(path, number, held, parsed)
            number, held = number + 1, []
    if held:
        yield Stretch(path, number, held, parsed)
