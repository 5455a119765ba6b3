"""Zip archives: a strict scanner.

A zip archive says where its files lie three times: in the central directory, in front of every file and behind it.
Readers believe one or another, skip what lies before the first file, and look for the directory in a comment. Here all
three must agree, the files follow each other without a hole from the first byte to the directory, and that is the end.

References
----------
PKWARE, .ZIP File Format Specification (APPNOTE.TXT) 6.3.10, sections 4.3 and 4.5.3.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO, NoReturn

from attest.checkpoint.byte_range import read_range
from attest.checkpoint.format import ParsedRange
from attest.checkpoint.tree import MAX_PATH
from attest.errors import CheckpointError

__all__ = ["MAX_DIRECTORY", "MAX_ENTRIES", "Archive", "Entry", "check_crc", "read_archive"]

MAX_DIRECTORY = 128 * 1024 * 1024
"""Largest central directory in bytes."""

MAX_ENTRIES = 1_000_000
"""Most files in one archive."""

_END = struct.Struct("<4s4H2IH")
_END64_LOCATOR = struct.Struct("<4sIQI")
_END64 = struct.Struct("<4sQ2H2I4Q")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_LOCAL = struct.Struct("<4s5H3I2H")
_DESCRIPTORS = (struct.Struct("<4s3I"), struct.Struct("<4sI2Q"))
_HAS_DESCRIPTOR = 0x8
_KNOWN_FLAGS = _HAS_DESCRIPTOR | 0x800 | 0x6
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_AHEAD = 16 * 1024
_TAIL = 64 * 1024
"""Bytes that are read at the end: most directories fit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One file: bytes ``begin`` up to, not including, ``end`` of the archive, as they are or compressed.

    ``crc`` is a claim.
    """

    name: str
    begin: int
    end: int
    crc: int
    compressed: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Archive:
    """Files of an archive by name, in the order in which they lie, and everything between them."""

    entries: Mapping[str, Entry]
    parsed: tuple[ParsedRange, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Listed:
    """A file as the central directory lists it."""

    name: bytes
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    header: int


def _refuse(message: str, file: str) -> NoReturn:
    raise CheckpointError(
        "bad-archive", f"its zip archive {message}", fix="download the file again, or ask its author", where=file
    )


def read_archive(stream: BinaryIO, *, file: str, size: int) -> Archive:
    """Files of an open zip archive; reads everything but their bytes.

    Parameters
    ----------
    stream : binary file
        Seekable.
    file : str
        Path for errors.
    size : int
        Bytes in the file.

    Raises
    ------
    CheckpointError
        It is no zip archive, or not one whose parts agree; a file is encrypted or named twice, or has a name that
        leads out; there is a hole, a comment, or something in front.

    Notes
    -----
    CRC-32 values are compared with each other and not with the bytes of the files.
    """
    tail = bytes(read_range(stream, max(0, size - _TAIL), min(size, _TAIL), file=file))
    count, begin, end = _read_end(tail, file=file, size=size)
    directory = _end_from(begin, tail, stream, file=file, size=size)[: end - begin]
    listed = sorted(_read_directory(directory, count, file), key=lambda one: one.header)
    entries, parsed = _read_entries(_Window(stream, begin, file), listed, directory=begin, file=file)
    last = max(entry.end for entry in entries.values())
    parsed.append(ParsedRange.of(file, last, _end_from(last, tail, stream, file=file, size=size)))
    return Archive(entries=entries, parsed=tuple(parsed))


def _end_from(begin: int, tail: bytes, stream: BinaryIO, *, file: str, size: int) -> bytes:
    """Everything from a byte on, out of the tail where it reaches so far."""
    length = size - begin
    return tail[len(tail) - length :] if length <= len(tail) else bytes(read_range(stream, begin, length, file=file))


def _read_end(tail: bytes, *, file: str, size: int) -> tuple[int, int, int]:
    """Number of files, and where the central directory begins and ends."""
    if len(tail) < _END.size or not tail[-_END.size :].startswith(b"PK\5\6"):
        _refuse("does not end in an end record without a comment", file)
    _, disk, first_disk, on_disk, count, length, begin, _comment = _END.unpack(tail[-_END.size :])
    end = size - _END.size
    where = -_END.size - _END64_LOCATOR.size
    if len(tail) >= _END64.size - where and tail[where:].startswith(b"PK\6\7"):
        _, locator_disk, record, disks = _END64_LOCATOR.unpack(tail[where : -_END.size])
        end = size + where - _END64.size
        fields = _END64.unpack(tail[where - _END64.size : where])
        if fields[:2] != (b"PK\6\6", _END64.size - 12) or record != end or locator_disk or disks != 1:
            _refuse("has a 64-bit end record that is not where it must be", file)
        short = (disk, first_disk, on_disk, count, length, begin)
        disk, first_disk, on_disk, count, length, begin = fields[4:]
        full = (_FULL16, _FULL16, _FULL16, _FULL16, _FULL32, _FULL32)
        if any(one not in {wide, most} for one, wide, most in zip(short, fields[4:], full, strict=True)):
            _refuse("has two end records that disagree", file)
    if disk or first_disk or on_disk != count:
        _refuse("is part of a larger one", file)
    if begin + length != end:
        _refuse("has a directory that does not reach from its place to the end record", file)
    if length > MAX_DIRECTORY or count > MAX_ENTRIES:
        _refuse(f"lists {count} files in {length} bytes, more than is read", file)
    return count, begin, end


def _read_directory(data: bytes, count: int, file: str) -> Iterator[_Listed]:
    position = 0
    for _ in range(count):
        if len(data) - position < _CENTRAL.size or data[position : position + 4] != b"PK\1\2":
            _refuse("has a directory that ends early", file)
        fields = _CENTRAL.unpack_from(data, position)
        flags, method, crc, packed, size = fields[3], fields[4], *fields[7:10]
        names, extras, comment, disk, header = *fields[10:14], fields[16]
        position += _CENTRAL.size
        name, extra = data[position : position + names], data[position + names : position + names + extras]
        position += names + extras + comment
        if position > len(data):
            _refuse("has a directory that ends early", file)
        wide = _wide_sizes(extra, [one for one in (size, packed, header) if one == _FULL32], file)
        size, packed, header = (next(wide) if one == _FULL32 else one for one in (size, packed, header))
        if flags & ~_KNOWN_FLAGS or (method == 0 and packed != size):
            _refuse(f"holds {name[:100]!r}, which is encrypted or patched", file)
        if comment or disk:
            _refuse(f"holds {name[:100]!r}, which has a comment or lies in another archive", file)
        yield _Listed(name=name, flags=flags, method=method, crc=crc, packed=packed, size=size, header=header)
    if position != len(data):
        _refuse("has a directory that goes on after its last file", file)


def _wide_sizes(extra: bytes, needed: Sequence[int], file: str) -> Iterator[int]:
    """The 64-bit numbers of an extra field that stand for those that are full."""
    found = _find_wide(extra)
    if len(needed) * 8 > len(found):
        _refuse("lacks a 64-bit size", file)
    return iter(struct.unpack_from(f"<{len(needed)}Q", found))


def _find_wide(extra: bytes) -> bytes:
    """The 64-bit part of an extra field; empty where there is none."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<2H", extra, position)
        if kind == 1:
            return extra[position + 4 : position + 4 + length]
        position += 4 + length
    return b""


class _Window:
    """Reads a file forward, a little more than it is asked for, up to an end."""

    def __init__(self, stream: BinaryIO, end: int, file: str) -> None:
        self._stream = stream
        self._end = end
        self._file = file
        self._begin = 0
        self._data = b""

    def get(self, begin: int, end: int) -> bytes:
        """Bytes of the file, or as many of them as there are."""
        end = min(end, self._end)
        if begin >= end:
            return b""
        if begin < self._begin or end > self._begin + len(self._data):
            ahead = min(max(end, begin + _AHEAD), self._end) - begin
            self._data = bytes(read_range(self._stream, begin, ahead, file=self._file))
            self._begin = begin
        return self._data[begin - self._begin : end - self._begin]


def _read_entries(
    window: _Window, listed: Sequence[_Listed], *, directory: int, file: str
) -> tuple[dict[str, Entry], list[ParsedRange]]:
    """Files by name, and what lies before each: the descriptor of the one before, and its own header."""
    if not listed or listed[0].header:
        _refuse("does not begin with a file", file)
    entries: dict[str, Entry] = {}
    parsed = []
    end = 0
    for one, following in zip(listed, (*(other.header for other in listed[1:]), directory), strict=True):
        name = _check_name(one.name, file)
        if name in entries:
            _refuse(f"holds two files named {name!r}", file)
        begin = one.header + _check_header(window, one, file)
        parsed.append(ParsedRange.of(file, end, window.get(end, begin)))
        end = begin + one.packed
        _check_behind(window, one, end, following, file)
        entries[name] = Entry(name=name, begin=begin, end=end, crc=one.crc, compressed=one.method != 0)
    return entries, parsed


def _check_name(raw: bytes, file: str) -> str:
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        name = ""
    parts = PurePosixPath(name).parts
    if not name.isprintable() or not parts or len(name) > MAX_PATH or "\\" in name or {"..", "/"} & set(parts):
        _refuse(f"holds a file named {raw[:100]!r}", file)
    return name


def _check_header(window: _Window, one: _Listed, file: str) -> int:
    """Length of the header in front of a file, which must say the same as the directory."""
    known = _LOCAL.size + len(one.name)
    raw = window.get(one.header, one.header + known)
    if len(raw) < known or not raw.startswith(b"PK\3\4"):
        _refuse(f"has no header in front of {one.name[:100]!r}", file)
    _, _, flags, method, _, _, crc, packed, size, names, extras = _LOCAL.unpack_from(raw)
    extra = window.get(one.header + known, one.header + known + extras)
    wide = _find_wide(extra)
    said = {(size, packed)}
    if len(wide) >= 16:
        said = {*(said - {(_FULL32, _FULL32)}), struct.unpack_from("<2Q", wide)}
    unknown = {0} if flags & _HAS_DESCRIPTOR else set()
    agree = all(size in {one.size, *unknown} and packed in {one.packed, *unknown} for size, packed in said)
    same = (flags, method, names, raw[_LOCAL.size :]) == (one.flags, one.method, len(one.name), one.name)
    if not same or len(extra) != extras or crc not in {one.crc, *unknown} or not agree:
        _refuse(f"has a header in front of {one.name[:100]!r} that contradicts its directory", file)
    return known + len(extra)


def _check_behind(window: _Window, one: _Listed, end: int, following: int, file: str) -> None:
    """Refuse anything behind a file but its descriptor, which must say the same as the directory."""
    kinds = _DESCRIPTORS if one.flags & _HAS_DESCRIPTOR else ()
    kind = next((kind for kind in kinds if kind.size == following - end), None)
    if kind is None and (kinds or following != end):
        _refuse(f"has a hole or an overlap behind {one.name[:100]!r}", file)
    if kind and kind.unpack(window.get(end, following)) != (b"PK\7\x08", one.crc, one.packed, one.size):
        _refuse(f"has a descriptor behind {one.name[:100]!r} that contradicts its directory", file)


def check_crc(data: bytes, entry: Entry, *, file: str) -> None:
    """Refuse the bytes of a file whose CRC-32 is not the one that the archive states.

    Raises
    ------
    CheckpointError
    """
    if zlib.crc32(data) != entry.crc:
        _refuse(f"states another CRC-32 for {entry.name!r} than its bytes have", file)
