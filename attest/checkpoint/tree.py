"""The files of a checkpoint: found without leaving its folder, opened without following a link.

Whoever made the checkpoint chose its names and links, so every path is contained in the folder, every name can be
printed and signed, and a file that changes while it is read is noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Self

from attest.errors import CheckpointError

__all__ = ["MAX_FILES", "MAX_IGNORED", "MAX_PATH", "Tree", "TreeFile", "open_file", "read_tree"]

MAX_FILES = 1_000_000
"""Most files and folders in one checkpoint."""

MAX_IGNORED = 100
"""Most version control folders in one checkpoint; a statement names them all."""

MAX_PATH = 1024
"""Longest path in characters; a statement names many."""

_IGNORED = frozenset({".git", ".hg", ".svn"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeFile:
    """One regular file: POSIX path relative to the root, size in bytes and time of change (ns) when it was found."""

    path: str
    size: int
    modified: int

    @classmethod
    def of(cls, path: str, status: os.stat_result) -> Self:
        """Entry of a file from its status."""
        return cls(path=path, size=status.st_size, modified=status.st_mtime_ns)


@dataclass(frozen=True, kw_only=True)
class Tree:
    """All files under a root, sorted by the UTF-8 bytes of their paths.

    ``ignored`` names the version control folders that were left out.
    """

    root: Path
    files: tuple[TreeFile, ...]
    ignored: tuple[str, ...]

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Size in bytes of every file, as it was found."""
        return {file.path: file.size for file in self.files}

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        """Open one of the files, as ``open_file`` does."""
        return open_file(self.root, path)


def read_tree(path: Path) -> Tree:
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
        _check_name(root.name)
        if root.is_file():
            return Tree(root=root.parent, files=(TreeFile.of(root.name, root.stat()),), ignored=())
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
    return Tree(root=root, files=files, ignored=tuple(sorted(ignored)))


def _walk(root: Path, ignored: list[str]) -> Iterator[TreeFile]:
    folders = [root]
    seen = 0
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in entries:
                path = Path(entry.path).relative_to(root).as_posix()
                _check_name(path)
                seen += 1
                if not entry.is_dir(follow_symlinks=False):
                    yield _file(root, entry, path)
                elif entry.name in _IGNORED:
                    ignored.append(path)
                else:
                    folders.append(Path(entry.path))
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


def _check_name(path: str) -> None:
    """Refuse names that cannot be signed or shown as they are."""
    try:
        path.encode()
    except UnicodeEncodeError:
        problem = "is not valid UTF-8"
    else:
        if len(path) > MAX_PATH:
            problem = f"is longer than {MAX_PATH} characters"
        elif path.isprintable() and "\\" not in path:
            return
        else:
            problem = "holds control characters or a backslash"
    raise CheckpointError("unsafe-name", f"the name {path[:200]!r} {problem}", fix="rename the file")


def _contained(root: Path, link: Path, path: str) -> Path:
    """Target of a link, which must be a file inside the tree."""
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        target = Path()
    if not target.is_file() or not target.is_relative_to(root):
        raise CheckpointError(
            "link-out-of-tree",
            "is a link that leads out of the checkpoint, to a folder, or nowhere",
            fix="replace the link by the file itself",
            where=path,
        )
    return target


@contextmanager
def open_file(root: Path, path: str) -> Iterator[BinaryIO]:
    """Open one file of a tree for reading; unbuffered, never through a link that leads outside.

    Raises
    ------
    CheckpointError
        The file cannot be opened or read, leads outside, or changed between opening and closing.
    """
    full = root / path
    if ".." in Path(path).parts or Path(path).is_absolute() or "\0" in path:
        raise CheckpointError("unsafe-path", "leads out of the checkpoint", fix="ask for an intact copy", where=path)
    try:
        # realpath, since Path.resolve raises RuntimeError on a loop of links
        if full.is_symlink() or not Path(os.path.realpath(full)).is_relative_to(os.path.realpath(root)):
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
        after = os.fstat(descriptor)
        if _identity(before) != _identity(after):
            raise CheckpointError(
                "file-changed", "changed while it was read", fix="measure again when nothing writes to it", where=path
            )


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
