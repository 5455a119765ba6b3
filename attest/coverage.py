"""Coverage: which files of a checkpoint are those that a statement names, and where the others differ."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import BinaryIO

from attest.checkpoint.source import Location, open_tree
from attest.checkpoint.tree import Tree, TreeFile, is_portable
from attest.digest import tree_digest
from attest.document import record
from attest.errors import CheckpointError
from attest.evidence import MAX_LISTED_FILES, CheckpointSummary, Chunk, ChunkList
from attest.hashing import Progress, digest_next, hash_files
from attest.oms import ModelManifest

__all__ = [
    "MAX_LISTED",
    "Coverage",
    "DifferingChunk",
    "DifferingFile",
    "DigestedTree",
    "UnreadableFile",
    "cover",
    "cover_digests",
    "digest_tree",
    "list_problems",
]

MAX_LISTED = 100
"""Most differing chunks that are listed for one file; all of them are counted."""


@record
class DifferingChunk:
    """One chunk whose bytes are not those that were measured: bytes ``begin`` up to, not including, ``end``."""

    index: int
    begin: int
    end: int
    tensor: str | None


@record
class DifferingFile:
    """A file that is not the one that was measured.

    ``chunks`` lists the first 100 of ``chunk_count`` differing chunks; both are null where the chunk digests could
    not be used. ``size_found`` above ``size_named`` without a differing chunk means bytes added at the end.
    """

    path: str
    size_named: int
    size_found: int
    chunks: tuple[DifferingChunk, ...] | None
    chunk_count: int | None

    @property
    def problems(self) -> tuple[str, ...]:
        """What differs, a sentence for the file and one for each chunk that is listed."""
        size = "" if self.size_found == self.size_named else f", {self.size_found} bytes instead of {self.size_named}"
        return (
            f"differs: {self.path}{size}",
            *(
                f"differs: {self.path}, chunk {chunk.index}, bytes {chunk.begin} to {chunk.end - 1}"
                + (f", tensor {chunk.tensor}" if chunk.tensor is not None else "")
                for chunk in self.chunks or ()
            ),
        )


@record
class UnreadableFile:
    """A file that could not be read to its end, and why."""

    path: str
    reason: str


@record
class Coverage:
    """A checkpoint's files against those that a statement names.

    Parameters
    ----------
    files_named, bytes_named : int
        What the statement is about.
    files_present, bytes_present : int
        What the checkpoint holds, without ``ignored``.
    files_covered, bytes_covered : int
        What was read and found to be what the statement names.
    missing, extra : tuple of str
        Named and not there; there and not named.
    unlisted : int
        Files beyond a statement's list (it lists weight files only above 1,000 files) whose common digest does not
        hold: which of them differs cannot be told.
    differing : tuple of DifferingFile
    unreadable : tuple of UnreadableFile
    ignored : tuple of str
        Version control folders that were left out, now as when it was measured.
    """

    files_named: int
    bytes_named: int
    files_present: int
    bytes_present: int
    files_covered: int
    bytes_covered: int
    missing: tuple[str, ...]
    extra: tuple[str, ...]
    unlisted: int
    differing: tuple[DifferingFile, ...]
    unreadable: tuple[UnreadableFile, ...]
    ignored: tuple[str, ...]

    @property
    def is_complete(self) -> bool:
        """Whether the checkpoint is, file for file and byte for byte, what the statement names."""
        return self.files_covered == self.files_named == self.files_present

    @property
    def sentence(self) -> str:
        """How much of what the statement names is there."""
        return (
            f"{self.files_covered:,} of {self.files_named:,} files and {self.bytes_covered:,} of "
            f"{self.bytes_named:,} bytes are those that the statement names."
        )

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is not as the statement says, a sentence each; names are hostile input."""
        unlisted = f"{self.unlisted} files that are not listed one by one do not have, with the others, the tree digest"
        return (
            *(problem for file in self.differing for problem in file.problems),
            *(f"missing: {path}" for path in self.missing),
            *(f"not named: {path}" for path in self.extra),
            *(f"not read: {file.reason}" for file in self.unreadable),
            *((unlisted,) if self.unlisted else ()),
        )


def list_problems(summary: CheckpointSummary) -> list[str]:
    """What is wrong with a statement's list of files, taken by itself, a sentence each."""
    files = summary.files
    paths = [file.path for file in files]
    problems = [f"unsafe file name {path!r}" for path in paths if not _is_plain(path)]
    if len(set(paths)) != len(paths):
        problems.append("a file is listed twice")
    if not files:
        problems.append("no file is listed")
    if summary.file_count == len(files):
        if sum(file.size for file in files) != summary.bytes:
            problems.append("the sizes of the files do not add up to its total")
        if tree_digest((file.path, file.size, file.sha256) for file in files) != summary.tree_digest:
            problems.append("the files do not have its tree digest")
    elif summary.file_count <= max(len(files), MAX_LISTED_FILES):
        problems.append(f"lists {len(files)} of {summary.file_count} files")
    return problems


def _is_plain(path: str) -> bool:
    return is_portable(path) and not {"", ".", ".."} & set(path.split("/"))


def cover(
    summary: CheckpointSummary,
    checkpoint: Location,
    chunks: ChunkList | None,
    *,
    progress: Progress = lambda _done, _total: None,
) -> Coverage:
    """Read a checkpoint and hold every file against the statement.

    Parameters
    ----------
    summary : CheckpointSummary
        The predicate's files; their tree digest must agree with them.
    checkpoint : Path or str
        Folder, the one file, or a URI.
    chunks : ChunkList or None
        Chunk digests that are bound by the statement; None where they cannot be trusted.
    progress : callable
        Told the bytes read and the bytes to read.

    Raises
    ------
    CheckpointError
        The folder cannot be read as a checkpoint (links out of it, unsafe names, no file).

    Notes
    -----
    A file of another size is not hashed: its size tells. Only a file that differs is read a second time, chunk by
    chunk.
    """
    tree = open_tree(checkpoint)
    listed = {file.path: file for file in summary.files}
    named = [file for file in tree.files if file.path in listed]
    others = [file for file in tree.files if file.path not in listed]
    same_size = [file for file in named if file.size == listed[file.path].size]
    digests, unreadable = hash_files(tree, same_size, progress)
    covered = [file for file in same_size if digests.get(file.path) == listed[file.path].sha256]
    is_whole_list = summary.file_count == len(listed)
    if not is_whole_list and _rest_holds(summary, tree, others, digests, progress):
        covered, others = covered + others, []
    settled = {file.path for file in covered} | unreadable.keys()
    chunks_of = {file.path: file.chunks for file in chunks.files} if chunks else {}
    return Coverage(
        files_named=summary.file_count,
        bytes_named=summary.bytes,
        files_present=len(tree.files),
        bytes_present=sum(file.size for file in tree.files),
        files_covered=len(covered),
        bytes_covered=sum(file.size for file in covered),
        missing=tuple(sorted(listed.keys() - {file.path for file in named})),
        extra=tuple(file.path for file in others) if is_whole_list else (),
        unlisted=0 if is_whole_list else len(others),
        differing=tuple(
            _locate(tree, file, listed[file.path].size, chunks_of.get(file.path, ()))
            for file in named
            if file.path not in settled
        ),
        unreadable=tuple(UnreadableFile(path=path, reason=str(error)) for path, error in unreadable.items()),
        ignored=tree.ignored,
    )


def cover_digests(
    manifest: ModelManifest,
    checkpoint: Location,
    *,
    left_out: Sequence[str],
    progress: Progress = lambda _done, _total: None,
) -> Coverage:
    """Read a checkpoint and hold every file against a model signature.

    Parameters
    ----------
    manifest : ModelManifest
    checkpoint : Path or str
    left_out : sequence of str
        Files and folders that the reader, not the signer, leaves out; they are listed as ignored.
    progress : callable

    Raises
    ------
    CheckpointError
        The folder cannot be read as a checkpoint.
    """
    tree, named = open_tree(checkpoint), manifest.files
    ignored = [
        file for file in tree.files if any(file.path == one or file.path.startswith(f"{one}/") for one in left_out)
    ]
    present = [file for file in tree.files if file not in ignored]
    to_read = [file for file in present if file.path in named]

    def shards(path: str, stream: BinaryIO, advance: Callable[[int], None]) -> str:
        ends = named[path].ends or (sys.maxsize,)
        sizes = (end - begin for begin, end in pairwise((0, *ends)))
        found = [digest_next(stream, size, advance, manifest.algorithm) for size in sizes]
        return " ".join(found) + (" and more" if stream.read(1) else "")

    digests, unreadable = hash_files(tree, to_read, progress, shards)
    covered = [file for file in to_read if digests.get(file.path) == " ".join(named[file.path].digests)]
    differing = [file for file in to_read if file.path in digests and file not in covered]
    return Coverage(
        files_named=len(named),
        bytes_named=sum(file.size for file in to_read) if manifest.size is None else manifest.size,
        files_present=len(present),
        bytes_present=sum(file.size for file in present),
        files_covered=len(covered),
        bytes_covered=sum(file.size for file in covered),
        missing=tuple(sorted(named.keys() - {file.path for file in to_read})),
        extra=tuple(file.path for file in present if file.path not in named),
        unlisted=0,
        differing=tuple(
            DifferingFile(
                path=file.path,
                size_named=named[file.path].size or file.size,
                size_found=file.size,
                chunks=None,
                chunk_count=None,
            )
            for file in differing
        ),
        unreadable=tuple(UnreadableFile(path=path, reason=str(error)) for path, error in unreadable.items()),
        ignored=(*tree.ignored, *(file.path for file in ignored)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class DigestedTree:
    """Tree digest of a checkpoint, and of how many files and bytes."""

    digest: str
    files: int
    bytes: int


def digest_tree(checkpoint: Location, *, progress: Progress = lambda _done, _total: None) -> DigestedTree:
    """Tree digest of a checkpoint, every byte of it read.

    Raises
    ------
    CheckpointError
        A file cannot be read, or the folder cannot be read as a checkpoint.
    """
    tree = open_tree(checkpoint)
    digests, unreadable = hash_files(tree, tree.files, progress)
    for error in unreadable.values():
        raise error
    digest = tree_digest((file.path, file.size, digests[file.path]) for file in tree.files)
    return DigestedTree(digest=digest, files=len(tree.files), bytes=sum(file.size for file in tree.files))


def _rest_holds(
    summary: CheckpointSummary, tree: Tree, others: Sequence[TreeFile], listed: Mapping[str, str], progress: Progress
) -> bool:
    """Whether all files together have the named tree digest, where the statement lists only some of them."""
    if sum(file.size for file in tree.files) != summary.bytes:
        return False
    digests = {**listed, **hash_files(tree, others, progress)[0]}
    return len(digests) == len(tree.files) and summary.tree_digest == tree_digest(
        (file.path, file.size, digests[file.path]) for file in tree.files
    )


def _locate(tree: Tree, file: TreeFile, size_named: int, chunks: Sequence[Chunk]) -> DifferingFile:
    """Where a file differs, read again chunk by chunk."""
    ends = list(accumulate((chunk.size for chunk in chunks), initial=0))
    begins = [chunk.begin for chunk in chunks]
    differing = None
    if begins == ends[:-1] and ends[-1] == size_named and all(chunk.size >= 0 for chunk in chunks):
        with suppress(CheckpointError, OSError):
            differing = _differing_chunks(tree, file.path, chunks)
    return DifferingFile(
        path=file.path,
        size_named=size_named,
        size_found=file.size,
        chunks=None if differing is None else tuple(differing[:MAX_LISTED]),
        chunk_count=None if differing is None else len(differing),
    )


def _differing_chunks(tree: Tree, path: str, chunks: Sequence[Chunk]) -> list[DifferingChunk]:
    differing = []
    with tree.open(path) as stream:
        for index, chunk in enumerate(chunks):
            if digest_next(stream, chunk.size, lambda _size: None) != chunk.sha256:
                end = chunk.begin + chunk.size
                differing.append(DifferingChunk(index=index, begin=chunk.begin, end=end, tensor=chunk.tensor))
    return differing
