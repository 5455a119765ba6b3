"""The text files of an archive, read in memory: nothing is unpacked onto this machine."""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from attest.errors import InputError
from attest.licenses.readable import Skipped, limit_of, source_of
from attest.licenses.source import Source

__all__ = ["is_archive", "read_archive"]

MAX_ENTRIES = 500_000
MAX_BYTES = 8 * 1024 * 1024 * 1024
_MAX_PATH = 512
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
    return path.is_file() and (zipfile.is_zipfile(path) or tarfile.is_tarfile(path))


def read_archive(path: Path) -> Iterator[Source | Skipped]:
    """Every text file of a zip, wheel or tar archive, and everything else that was met, in order of path.

    Raises
    ------
    InputError
        It is damaged or encrypted, has more than ``MAX_ENTRIES`` entries or unpacks to more than ``MAX_BYTES``.

    Notes
    -----
    A member is read up to the limit of a file, whatever size it states. Of two members with one name the last counts,
    as for programs that unpack.
    """
    try:
        found = dict(_zip(path) if zipfile.is_zipfile(path) else _tar(path))
    except _FAULTS as error:
        raise InputError(
            "damaged-archive", f"cannot be read as an archive ({error})", fix="give an intact archive", where=str(path)
        ) from error
    for name in sorted(found):
        yield found[name]


def _zip(path: Path) -> Iterator[tuple[str, Source | Skipped]]:
    budget = _Budget(path)
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            budget.entry()
            if member.is_dir():
                continue
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind == stat.S_IFLNK:
                yield member.filename, Skipped(path=_shown(member.filename), reason="link")
            elif refused := _refused(member.filename, member.file_size):
                yield member.filename, refused
            else:
                with archive.open(member) as stream:
                    yield member.filename, _read(stream, member.filename, budget)


def _tar(path: Path) -> Iterator[tuple[str, Source | Skipped]]:
    budget = _Budget(path)
    with tarfile.open(path) as archive:
        for member in archive:
            budget.entry()
            budget.spend(member.size)
            if member.isdir():
                continue
            name = member.name.removeprefix("./")
            stream = archive.extractfile(member) if member.isreg() else None
            if stream is None:
                reason = "link" if member.issym() or member.islnk() else "special-file"
                yield name, Skipped(path=_shown(name), reason=reason)  # type: ignore[arg-type]  # one of two literals
            elif refused := _refused(name, member.size):
                yield name, refused
            else:
                yield name, _read(stream, name, _Budget(path))


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
