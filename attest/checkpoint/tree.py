"""The files of a checkpoint: what every source gives, and the source that is a folder on this machine.

Whoever made the checkpoint chose its names and links, so every path is contained in the folder, every name can be
printed and signed, and a file that changes while it is read is noticed. Other sources are in
``attest.checkpoint.source``.
"""

from __future__ import annotations

import os
import re
import stat
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self

from attest.errors import CheckpointError
from attest.finding import Finding

__all__ = [
    "MAX_FILES",
    "MAX_IGNORED",
    "MAX_PATH",
    "DigestClaim",
    "LocalTree",
    "Origin",
    "Tree",
    "TreeFile",
    "blobs_beside",
    "check_path",
    "is_portable",
    "open_file",
    "read_tree",
]

MAX_FILES = 1_000_000
"""Most files and folders in one checkpoint."""

MAX_IGNORED = 100
"""Most version control folders in one checkpoint; a statement names them all."""

MAX_PATH = 1024
"""Longest path in characters; a statement names many."""

_IGNORED = frozenset({".git", ".hg", ".svn"})


_CACHED_REPOSITORY = re.compile(r"models--[A-Za-z0-9._-]{1,200}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_DRIVE = re.compile("[A-Za-z]:")


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeFile:
    """One file as it was found.

    Parameters
    ----------
    path : str
        POSIX path relative to the root.
    size : int
        Bytes.
    identity : str
        What changes when the file does: device, inode and times here; an entity tag or an object id elsewhere.
    """

    path: str
    size: int
    identity: str

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Self:
        """Entry of a local file from its status."""
        return cls(path=path, size=status.st_size, identity=_identity(status))


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """Where a checkpoint that does not lie on this machine was read from.

    Parameters
    ----------
    uri : str
        Without credentials, query or fragment.
    revision : str or None
        As it was asked for.
    commit : str or None
        What the server resolved the revision to; everything was read at it.
    """

    uri: str
    revision: str | None
    commit: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class DigestClaim:
    """The SHA-256 that somebody else names for a file: held against the computed one, never instead of it.

    Parameters
    ----------
    path : str
    sha256 : str
    by : str
        Who names it, in words: ``the server``.
    """

    path: str
    sha256: str
    by: str


@dataclass(frozen=True, kw_only=True)
class Tree(ABC):
    """All files of a checkpoint, sorted by the UTF-8 bytes of their paths, wherever they lie.

    Parameters
    ----------
    name : str
        The folder's or file's own name.
    files : tuple of TreeFile
    ignored : tuple of str
        Version control folders that were left out.
    origin : Origin or None
        None for a local checkpoint.
    claims : tuple of DigestClaim
    """

    name: str
    files: tuple[TreeFile, ...]
    ignored: tuple[str, ...] = ()
    origin: Origin | None = None
    claims: tuple[DigestClaim, ...] = ()

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of every file, as it was found."""
        return {file.path: file.size for file in self.files}

    @cached_property
    def identities(self) -> Mapping[str, str]:
        """Identity of every file, as it was found."""
        return {file.path: file.identity for file in self.files}

    @abstractmethod
    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open one of the files: a seekable stream that may return less than was asked for.

        Raises
        ------
        CheckpointError
            The file cannot be opened or read, or is not the one that was found.
        NetworkError
            Its server does not answer as it must.
        """

    @abstractmethod
    def again(self) -> Tree:
        """The same place, looked at anew."""

    def describe(self) -> tuple[Finding, ...]:
        """How the files came about, told once all of them were read; nothing of files that are as they lie somewhere."""
        return ()

    def check_unchanged(self) -> None:
        """Refuse a tree that is not the same any more: its files were read at different times.

        Raises
        ------
        CheckpointError
        """
        if self.again().files != self.files:
            raise CheckpointError(
                "file-changed",
                "changed while it was measured",
                fix="measure again when nothing writes to it",
                where=self.name,
            )


@dataclass(frozen=True, kw_only=True)
class LocalTree(Tree):
    """Files in a folder of this machine, or the one file that was given; ``root`` is the folder."""

    root: Path
    place: Path

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        """Open one of the files, as ``open_file`` does."""
        with open_file(self.root, path) as stream:
            if path in self.identities and _identity(os.fstat(stream.fileno())) != self.identities[path]:
                raise _changed(path)
            yield stream

    def again(self) -> LocalTree:
        """The same folder, walked anew."""
        return read_tree(self.place)


def read_tree(path: Path) -> LocalTree:
    """Files of a checkpoint folder, or the one file that is given instead.

    Parameters
    ----------
    path : Path
        A folder or a file. It may be a link itself; nothing below it may lead outside.

    Raises
    ------
    CheckpointError
        It does not exist or holds no file; a name is not UTF-8, holds control characters or is too long; a link
        leads to a folder or out of the tree; something is neither file nor folder; there is too much in it.
    """
    try:
        root = path.resolve(strict=True)
        check_path(root.name)
        if root.is_file():
            only = TreeFile.of(root.name, root.stat())
            return LocalTree(name=root.name, root=root.parent, place=path, files=(only,))
        if not root.is_dir():
            raise CheckpointError(
                "special-file", "is neither a file nor a folder", fix="give another path", where=str(path)
            )
        ignored: list[str] = []
        files = tuple(sorted(_walk(root, ignored), key=lambda file: file.path.encode()))
    except (FileNotFoundError, NotADirectoryError, RuntimeError) as error:  # resolve raises the last on a loop of links
        raise CheckpointError(
            "no-checkpoint", "there is no such file or folder", fix="check the path", where=str(path)
        ) from error
    except OSError as error:
        raise _cannot_read(error, str(error.filename or path)) from error
    if not files:
        raise CheckpointError(
            "empty-checkpoint", "holds no file", fix="give the folder that holds the weights", where=str(path)
        )
    return LocalTree(name=root.name, root=root, place=path, files=files, ignored=tuple(sorted(ignored)))


def _walk(root: Path, ignored: list[str]) -> Iterator[TreeFile]:
    folders = [(str(root), "")]
    seen = 0
    while folders:
        folder, above = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                path = above + entry.name
                check_path(path)
                seen += 1
                if not entry.is_dir(follow_symlinks=False):
                    yield _file(root, entry, path)
                elif entry.name in _IGNORED:
                    ignored.append(path)
                else:
                    folders.append((entry.path, f"{path}/"))
                if seen > MAX_FILES or len(ignored) > MAX_IGNORED:
                    raise CheckpointError(
                        "too-many-files",
                        f"more than {MAX_FILES} files and folders, or {MAX_IGNORED} version control folders",
                        fix="give the checkpoint's own folder",
                        where=str(root),
                    )


def _file(root: Path, entry: os.DirEntry[str], path: str) -> TreeFile:
    if entry.is_symlink():
        return TreeFile.of(path, _contained(root, Path(entry.path), path).stat())
    if entry.is_file(follow_symlinks=False):
        return TreeFile.of(path, entry.stat(follow_symlinks=False))
    raise CheckpointError(
        "special-file", "is neither a file nor a folder", fix="remove it from the checkpoint", where=path
    )


def _cannot_read(error: OSError, where: str) -> CheckpointError:
    return CheckpointError(
        "cannot-read", f"cannot be read ({error.strerror})", fix="check the path and its permissions", where=where
    )


def check_path(path: str) -> None:
    """Refuse names that cannot be signed or shown as they are.

    Raises
    ------
    CheckpointError
    """
    try:
        path.encode()
    except UnicodeEncodeError:
        problem = "is not valid UTF-8"
    else:
        if len(path) > MAX_PATH:
            problem = f"is longer than {MAX_PATH} characters"
        elif is_portable(path):
            return
        else:
            problem = "holds control characters or a backslash, or begins as a drive of Windows does"
    raise CheckpointError("unsafe-name", f"the name {path[:200]!r} {problem}", fix="rename it")


def is_portable(path: str) -> bool:
    """Whether a name can be printed, and means no other place on Windows."""
    return path.isprintable() and "\\" not in path and not _DRIVE.match(path)


def _contained(root: Path, link: Path, path: str) -> Path:
    """Target of a link, which must be a file inside the tree."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        target = Path()
    if not target.is_file() or not (target.is_relative_to(root) or _is_blob(root, target)):
        raise CheckpointError(
            "link-out-of-tree",
            "is a link that leads out of the checkpoint, to a folder, or nowhere",
            fix="replace the link by the file itself",
            where=path,
        )
    return target


def blobs_beside(root: Path) -> Path | None:
    """Folder ``blobs`` of the Hub's cache that a snapshot's links lead to; None where ``root`` is no snapshot.

    References
    ----------
    huggingface_hub, "Understand caching": ``models--<org>--<name>/snapshots/<commit>/<file>`` links to
    ``../../blobs/<etag>``.
    """
    repository = root.parent.parent
    if not (_COMMIT.fullmatch(root.name) and root.parent.name == "snapshots"):
        return None
    return repository / "blobs" if _CACHED_REPOSITORY.fullmatch(repository.name) else None


def _is_blob(root: Path, target: Path) -> bool:
    return target.parent == blobs_beside(root) and bool(_BLOB.fullmatch(target.name))


@contextmanager
def open_file(root: Path, path: str) -> Iterator[BinaryIO]:
    """Open one file of a tree for reading; unbuffered, never through a link that leads outside.

    Raises
    ------
    CheckpointError
        The file cannot be opened or read, leads outside, or changed between opening and closing.
    """
    named = Path(path)
    full = root / named
    if ".." in named.parts or named.is_absolute() or "\0" in path:
        raise CheckpointError("unsafe-path", "leads out of the checkpoint", fix="ask for an intact copy", where=path)
    try:
        # realpath, since Path.resolve raises RuntimeError on a loop of links
        if full.is_symlink() or not os.path.realpath(full).startswith(f"{os.path.realpath(root)}{os.sep}"):
            full = _contained(root.resolve(), full, path)
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _cannot_read(error, path) from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise CheckpointError("special-file", "is not a regular file", fix="remove it", where=path)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        try:
            yield stream
        except OSError as error:
            raise _cannot_read(error, path) from error
        if _identity(before) != _identity(os.fstat(descriptor)):
            raise _changed(path)


def _changed(path: str) -> CheckpointError:
    return CheckpointError(
        "file-changed", "changed while it was read", fix="measure again when nothing writes to it", where=path
    )


def _identity(status: os.stat_result) -> str:
    parts = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
    return ":".join(map(str, parts))
