"""The text files of an archive, read in memory: nothing is unpacked onto this machine."""

from __future__ import annotations

import bz2
import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import IO, cast

from attest.errors import InputError
from attest.licenses.readable import Skipped, limit_of, source_of
from attest.licenses.source import Source

__all__ = ["is_archive", "read_archive"]

MAX_ENTRIES = 200_000
MAX_BYTES = 8 * 1024 * 1024 * 1024
_MAX_PATH = 512
_MAX_AT_ONCE = 8 * 1024 * 1024
"""Bytes; the longest text that is read, twice."""

_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    RuntimeError,
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
)


def is_archive(path: Path) -> bool:
    """Whether a path is a regular file that begins as a zip or, whole or compressed, as a tar archive."""
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        return True
    try:
        with _opened(path):
            return True
    except _FAULTS:
        return False


def read_archive(path: Path) -> Iterator[Source | Skipped]:
    """Every text file of a zip, wheel or tar archive, and everything else that was met.

    Raises
    ------
    InputError
        It is damaged or encrypted, has more than ``MAX_ENTRIES`` entries or unpacks to more than ``MAX_BYTES``.

    Notes
    -----
    One member is held at a time. It is read up to the limit of a file, whatever size it states. Of two members with
    one name the last counts, as for programs that unpack.
    """
    try:
        yield from _zip(path) if zipfile.is_zipfile(path) else _tar(path)
    except _FAULTS as error:
        raise InputError(
            "damaged-archive", f"cannot be read as an archive ({error})", fix="give an intact archive", where=str(path)
        ) from error


def _zip(path: Path) -> Iterator[Source | Skipped]:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            budget.entry()
            members[member.filename] = member
        for name, member in sorted(members.items()):
            if member.is_dir():
                continue
            if stat.S_IFMT(member.external_attr >> 16) == stat.S_IFLNK:
                yield Skipped(path=_shown(name), reason="link")
            elif refused := _refused(name, member.file_size):
                yield refused
            else:
                with archive.open(member) as stream:
                    yield _read(stream, name, budget)


def _tar(path: Path) -> Iterator[Source | Skipped]:
    """Members in the order of the archive, which is gone through twice: the last of each name is not known before."""
    budget = _Budget(path)
    last: dict[str, int] = {}
    with _opened(path) as archive:
        for place, member in enumerate(archive):
            budget.entry()
            budget.spend(member.size)
            last[member.name] = place
    with _opened(path) as archive:
        for place, member in enumerate(archive):
            if last.get(member.name) == place and not member.isdir():
                yield _member(archive, member, budget)


def _member(archive: tarfile.TarFile, member: tarfile.TarInfo, budget: _Budget) -> Source | Skipped:
    name = member.name.removeprefix("./")
    if member.issym() or member.islnk():
        return Skipped(path=_shown(name), reason="link")
    stream = archive.extractfile(member) if member.isreg() else None
    if stream is None:
        return Skipped(path=_shown(name), reason="special-file")
    return _refused(name, member.size) or _read(stream, name, budget)


@contextmanager
def _opened(path: Path) -> Iterator[tarfile.TarFile]:
    """A tar archive, decompressed by a stream that gives no more at once than a file may hold."""
    with path.open("rb") as file, _plain(file) as plain:
        metered = cast("IO[bytes]", _Metered(plain))
        with tarfile.open(fileobj=metered, mode="r:") as archive:
            yield archive


def _plain(file: BufferedReader) -> IO[bytes]:
    """What a compressed stream holds, or itself."""
    head = file.peek(6)[:6]
    if head.startswith(b"\x1f\x8b"):
        return cast("IO[bytes]", gzip.GzipFile(fileobj=file))
    if head.startswith(b"BZh"):
        return cast("IO[bytes]", bz2.BZ2File(file))
    return cast("IO[bytes]", lzma.LZMAFile(file)) if head == b"\xfd7zXZ\0" else file


class _Metered:
    """A stream of which nobody takes more than ``_MAX_AT_ONCE`` at a time, as the headers of a tar archive ask for."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.seek = stream.seek
        self.tell = stream.tell

    def read(self, size: int) -> bytes:
        if size > _MAX_AT_ONCE:
            raise tarfile.ReadError(f"a header of {size} bytes is longer than {_MAX_AT_ONCE}")
        return self._stream.read(size)


class _Budget:
    """Entries and bytes that an archive has taken."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.entries = 0
        self.bytes = 0

    def entry(self) -> None:
        self.entries += 1
        self._check()

    def spend(self, size: int) -> None:
        self.bytes += size
        self._check()

    def _check(self) -> None:
        if self.entries > MAX_ENTRIES or self.bytes > MAX_BYTES:
            raise InputError(
                "archive-too-large",
                f"holds more than {MAX_ENTRIES} entries or unpacks to more than {MAX_BYTES} bytes",
                fix="unpack it and scan the folder",
                where=str(self.path),
            )


def _shown(name: str) -> str | None:
    """A member's name as a path below the archive, or None where it is none or cannot be printed."""
    parts = name.split("/")
    contained = not any(part in ("", ".", "..") for part in parts) and "\\" not in name and ":" not in parts[0]
    return name if contained and name.isprintable() and len(name.encode()) <= _MAX_PATH else None


def _refused(name: str, size: int) -> Skipped | None:
    if _shown(name) is None:
        return Skipped(path=None, reason="unprintable-name" if not name.isprintable() else "unsafe-name")
    return Skipped(path=name, reason="too-large") if size > limit_of(name) else None


def _read(stream: IO[bytes], name: str, budget: _Budget) -> Source | Skipped:
    data = stream.read(limit_of(name) + 1)
    budget.spend(len(data))
    return Skipped(path=name, reason="too-large") if len(data) > limit_of(name) else source_of(name, data)
