"""The files of a checkpoint: found without leaving its folder, opened without following a link.

Whoever made the checkpoint chose its names and links, so every path is contained in the folder, every name can be
printed and signed, and a file that changes while it is read is noticed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from attest.errors import CheckpointError

__all__ = ["MAX_FILES", "Tree", "TreeFile", "open_file", "read_tree"]

MAX_FILES = 1_000_000
_IGNORED = frozenset({".git", ".hg", ".svn"})


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeFile:
    """One regular file: POSIX path relative to the root, and size in bytes when it was found."""

    path: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """All files under a root, sorted by the UTF-8 bytes of their paths.

    ``ignored`` names the version control folders that were left out.
    """

    root: Path
    files: tuple[TreeFile, ...]
    ignored: tuple[str, ...]


def read_tree(path: Path) -> Tree:
    """Files of a checkpoint folder, or the one file that is given instead.

    Parameters
    ----------
    path : Path
        A folder or a file. It may be a link itself; nothing below it may lead outside.

    Raises
    ------
    CheckpointError
        It does not exist or holds no file; a name is not UTF-8 or holds control characters; a link leads to a
        folder or out of the tree; something is neither file nor folder; there are too many files.
    """
    if path.is_file():
        return Tree(
            root=path.parent.resolve(),
            files=(TreeFile(path=_check_name(path.name), size=path.stat().st_size),),
            ignored=(),
        )
    if not path.is_dir():
        raise CheckpointError("no-checkpoint", "there is no such file or folder", fix="check the path", where=str(path))
    root = path.resolve()
    files: list[TreeFile] = []
    ignored: list[str] = []
    try:
        for entry in _walk(root, ignored):
            files.append(entry)
            if len(files) > MAX_FILES:
                raise CheckpointError(
                    "too-many-files",
                    f"more than {MAX_FILES} files",
                    fix="give the checkpoint's own folder",
                    where=str(path),
                )
    except OSError as error:
        raise CheckpointError(
            "cannot-read", f"cannot be read ({error.strerror})", fix="check its permissions", where=str(error.filename)
        ) from error
    if not files:
        raise CheckpointError(
            "empty-checkpoint", "holds no file", fix="give the folder that holds the weights", where=str(path)
        )
    return Tree(
        root=root,
        files=tuple(sorted(files, key=lambda file: file.path.encode())),
        ignored=tuple(sorted(ignored)),
    )


def _walk(root: Path, ignored: list[str]) -> Iterator[TreeFile]:
    folders = [root]
    while folders:
        with os.scandir(folders.pop()) as entries:
            ordered = sorted(entries, key=lambda entry: entry.name)
        for entry in ordered:
            path = Path(entry.path).relative_to(root).as_posix()
            _check_name(path)
            if entry.is_dir(follow_symlinks=False):
                if entry.name in _IGNORED:
                    ignored.append(path)
                else:
                    folders.append(Path(entry.path))
            elif entry.is_symlink():
                yield TreeFile(path=path, size=_contained(root, Path(entry.path), path).stat().st_size)
            elif entry.is_file(follow_symlinks=False):
                yield TreeFile(path=path, size=entry.stat(follow_symlinks=False).st_size)
            else:
                raise CheckpointError(
                    "special-file", "is neither a file nor a folder", fix="remove it from the checkpoint", where=path
                )


def _check_name(path: str) -> str:
    """Refuse names that cannot be signed or shown as they are."""
    try:
        path.encode()
    except UnicodeEncodeError:
        problem = "is not valid UTF-8"
    else:
        if all(character.isprintable() for character in path) and "\\" not in path:
            return path
        problem = "holds control characters or a backslash"
    raise CheckpointError("unsafe-name", f"the name {path!r} {problem}", fix="rename the file")


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
        The file cannot be opened, leads outside, or changed between opening and closing.
    """
    full = root / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise CheckpointError("unsafe-path", "leads out of the checkpoint", fix="ask for an intact copy", where=path)
    try:
        # realpath, since Path.resolve raises RuntimeError on a loop of links
        if full.is_symlink() or not Path(os.path.realpath(full)).is_relative_to(os.path.realpath(root)):
            full = _contained(root.resolve(), full, path)
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise CheckpointError(
            "cannot-read", f"cannot be read ({error.strerror})", fix="check the path and its permissions", where=path
        ) from error
    before = os.fstat(descriptor)
    if not stat.S_ISREG(before.st_mode):
        os.close(descriptor)
        raise CheckpointError("special-file", "is not a regular file", fix="remove it", where=path)
    with os.fdopen(descriptor, "rb", buffering=0) as stream:
        yield stream
        after = os.fstat(descriptor)
        if _identity(before) != _identity(after):
            raise CheckpointError(
                "file-changed", "changed while it was read", fix="measure again when nothing writes to it", where=path
            )


def _identity(status: os.stat_result) -> tuple[int, ...]:
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
