"""The text files of a repository, read without leaving its folder.

Whoever made the repository chose its names, links and sizes: no link is followed, every folder and file is opened
relative to the open folder that holds it, only regular files are read, and what is not read is reported with its reason.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from attest.errors import InputError
from attest.licenses.readable import HEAD, Skipped, is_binary, is_pointer, limit_of, source_of, weights_of
from attest.licenses.source import Source
from attest.licenses.weight_file import is_weight_file

__all__ = ["MAX_ENTRIES", "read_chosen", "read_repository"]

MAX_ENTRIES = 2_000_000
_MAX_PATH = 512
_VERSION_CONTROL = frozenset({".git", ".hg", ".svn"})
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class _Walk:
    """One walk over a repository; it counts what it has seen."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.seen = 0

    def folder(self, descriptor: int, prefix: str) -> Iterator[Source | Skipped]:
        """What lies in an open folder and below, in order of name."""
        for entry in self._entries(descriptor):
            path = prefix + entry.name
            if not path.isprintable():
                yield Skipped(path=None, reason="unprintable-name")
            elif len(path.encode()) > _MAX_PATH:
                yield Skipped(path=None, reason="path-too-long")
            elif entry.is_symlink():
                yield Skipped(path=path, reason="link")
            elif entry.is_file(follow_symlinks=False):
                yield _read(descriptor, entry.name, path)
            elif not entry.is_dir(follow_symlinks=False):
                yield Skipped(path=path, reason="special-file")
            elif entry.name in _VERSION_CONTROL:
                yield Skipped(path=path, reason="version-control-folder")
            else:
                yield from self._below(descriptor, entry.name, path)

    def _entries(self, descriptor: int) -> list[os.DirEntry[str]]:
        entries = []
        with os.scandir(descriptor) as listing:
            for entry in listing:
                self.seen += 1
                if self.seen > MAX_ENTRIES:
                    raise InputError(
                        "too-many-files",
                        f"holds more than {MAX_ENTRIES} files and folders",
                        fix="scan a smaller folder",
                        where=str(self.root),
                    )
                entries.append(entry)
        return sorted(entries, key=lambda entry: entry.name)

    def _below(self, parent: int, name: str, path: str) -> Iterator[Source | Skipped]:
        try:
            descriptor = os.open(name, _FOLDER, dir_fd=parent)
        except OSError:
            yield Skipped(path=path, reason="unreadable")
            return
        try:
            yield from self.folder(descriptor, f"{path}/")
        finally:
            os.close(descriptor)


def read_repository(root: Path) -> Iterator[Source | Skipped]:
    """Every text file under a folder, and everything else that was met, in order of path.

    Parameters
    ----------
    root : Path
        A folder. It may be a link itself; no link below it is followed.

    Yields
    ------
    Source or Skipped
        A regular file of at most 1 MiB (4 MiB where it has the name of a license file) without a NUL byte in its
        first 8 KiB; or what was not read, and why; of a weight file the header is read, whatever its size. Version control folders count as one.

    Raises
    ------
    InputError
        The folder does not exist or cannot be opened, or holds more than ``MAX_ENTRIES``.
    """
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(
            "no-repository",
            f"is neither a folder nor an archive that can be read ({error.strerror})",
            fix="give a folder, a git repository, or an intact zip, wheel or tar archive",
            where=str(root),
        ) from error
    try:
        yield from _Walk(root).folder(descriptor, "")
    finally:
        os.close(descriptor)


def read_chosen(root: Path, paths: Iterable[str]) -> Iterator[Source | Skipped]:
    """Some files below a folder of the user's own, by their paths, as ``read_repository`` reads them."""
    descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for path in paths:
            yield _read(descriptor, path, path)
    finally:
        os.close(descriptor)


def _read(folder: int, name: str, path: str) -> Source | Skipped:
    try:
        descriptor = os.open(name, _FILE, dir_fd=folder)
    except OSError:
        return Skipped(path=path, reason="unreadable")
    try:
        return _read_open(descriptor, path)
    except OSError:
        return Skipped(path=path, reason="unreadable")
    finally:
        os.close(descriptor)


def _read_open(descriptor: int, path: str) -> Source | Skipped:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        return Skipped(path=path, reason="special-file")
    if is_weight_file(path) and not is_pointer(os.pread(descriptor, HEAD, 0)):
        with os.fdopen(descriptor, "rb", buffering=0, closefd=False) as stream:
            return weights_of(path, stream, status.st_size)
    if status.st_size > limit_of(path):
        return Skipped(path=path, reason="too-large")
    data = os.read(descriptor, min(status.st_size, HEAD))
    if is_binary(data):
        return Skipped(path=path, reason="binary")
    while len(data) < status.st_size and (more := os.read(descriptor, status.st_size - len(data))):
        data += more
    return source_of(path, data)
