"""What one read gives, file by file and tensor by tensor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["ChunkDigest", "FileDigest", "Kept", "StretchResult", "Sweep", "TensorResult"]


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
class StretchResult:
    """What a stretch of a file gave: its digests, and the results of its tensors by name.

    Parameters
    ----------
    path : str
        Of the file.
    number : int
        Of the stretch in its file, from 0.
    end : int
        Offset in the file behind its last byte.
    sha256 : str
        Of all bytes of the file before ``end``: of the whole file, for its last stretch.
    state : bytes or None
        State of that SHA-256, see ``ResumableSha256``; None for local files, which are read again instead.
    chunks : tuple of ChunkDigest
        In order and without a gap.
    tensors : mapping of str to TensorResult
    """

    path: str
    number: int
    end: int
    sha256: str
    state: bytes | None
    chunks: tuple[ChunkDigest, ...]
    tensors: Mapping[str, TensorResult]


class Kept(Protocol):
    """Keeps results of stretches that were read to their end, and gives them back after an interruption."""

    def find(self, path: str, number: int) -> StretchResult | None:
        """What was kept of a stretch of a file."""

    def keep(self, result: StretchResult) -> None:
        """Keep what a stretch gave. Called from any thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sweep:
    """What one read gave.

    Parameters
    ----------
    files : tuple of FileDigest
        All files.
    tensors : mapping of str to TensorResult
        All tensors of the checkpoint, by name.
    beside : mapping of str to mapping
        Digests of the tensors in other formats, by format and name.
    resumed : frozenset of str
        Paths of the files of which an earlier run kept results.
    read_again : mapping of str to int
        Bytes at the beginning of local ones of them that were not kept whole: read for the file's SHA-256 only.
    """

    files: tuple[FileDigest, ...]
    tensors: Mapping[str, TensorResult]
    beside: Mapping[str, Mapping[str, str]]
    resumed: frozenset[str]
    read_again: Mapping[str, int]
