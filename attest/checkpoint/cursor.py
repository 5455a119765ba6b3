"""A cursor: reads what lies between the tensors of a file, forward and within limits, and passes the tensors over."""

from __future__ import annotations

import struct
from typing import BinaryIO, NoReturn

from attest.checkpoint.format import ParsedRange
from attest.errors import CheckpointError

__all__ = ["MAX_PARSED", "Cursor", "refuse"]

MAX_PARSED = 100_000_000
"""Most bytes of one file that are read to find its tensors, as in safetensors."""

_BLOCK = 64 * 1024


def refuse(code: str, message: str, file: str, fix: str = "download the file again, or ask its author") -> NoReturn:
    """Raise a ``CheckpointError`` about a file."""
    raise CheckpointError(code, message, fix=fix, where=file)


class Cursor:
    """A place in an open file.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    file : str
        Path for errors.
    size : int
        Bytes in the file.

    Attributes
    ----------
    position : int
        Offset of the next byte.
    """

    def __init__(self, stream: BinaryIO, *, file: str, size: int) -> None:
        self.position = 0
        self.file = file
        self.size = size
        self._stream = stream
        self._begin = 0
        self._data = bytearray()
        self._ranges: list[ParsedRange] = []
        self._total = 0

    def left(self) -> int:
        """Bytes from here to the end of the file."""
        return self.size - self.position

    def read(self, count: int) -> bytes:
        """The next bytes.

        Raises
        ------
        CheckpointError
            The file ends before, or more than ``MAX_PARSED`` bytes were read of it.
        """
        begin = self.position - self._begin
        self.pass_by(count)
        return bytes(self._data[begin : begin + count])

    def number(self, code: str) -> int | float:
        """The next number, little-endian; ``code`` is its letter in ``struct``."""
        return struct.unpack("<" + code, self.read(struct.calcsize(code)))[0]  # type: ignore[no-any-return]

    def integer(self, size: int) -> int:
        """The next unsigned integer of so many bytes, little-endian."""
        return int.from_bytes(self.read(size), "little")

    def byte(self) -> int:
        """The next byte."""
        at = self.position - self._begin
        if at >= len(self._data):
            self._fill(at + 1)
        self.position += 1
        return self._data[at]

    def pass_by(self, count: int) -> None:
        """Read the next bytes and give none of them back."""
        end = self.position - self._begin + count
        if end > len(self._data):
            self._fill(end)
        self.position += count

    def _fill(self, end: int) -> None:
        """Read until there are so many bytes since the last tensor, and somewhat ahead."""
        if self._begin + end > self.size:
            wanted = self._begin + end - self.position
            refuse("truncated-file", f"{wanted} bytes should follow byte {self.position}, {self.left()} do", self.file)
        if self._total + end > MAX_PARSED:
            refuse("header-too-long", f"more than {MAX_PARSED} bytes of it are no tensor", self.file)
        while len(self._data) < end:
            ahead = min(max(end - len(self._data), _BLOCK), self.size - self._begin - len(self._data))
            part = self._stream.read(ahead)
            if not part:
                refuse("truncated-file", "ended while it was read", self.file)
            self._data += part

    def passed(self, begin: int) -> bytes:
        """The bytes from an offset to here, with no tensor between."""
        return bytes(self._data[begin - self._begin : self.position - self._begin])

    def skip(self, count: int) -> None:
        """Pass over the bytes of a tensor, unread."""
        if count > self.left():
            refuse("truncated-file", f"{count} bytes of a tensor should follow, {self.left()} do", self.file)
        self._end_range()
        self.position += count
        read = self._begin + len(self._data)
        if self.position < read:
            self._data = self._data[self.position - self._begin :]
        else:
            self._data = bytearray()
            self._stream.seek(self.position)
        self._begin = self.position

    def _end_range(self) -> None:
        parsed = self.position - self._begin
        self._total += parsed
        if parsed:
            self._ranges.append(ParsedRange.of(self.file, self._begin, bytes(self._data[:parsed])))

    def parsed(self) -> tuple[ParsedRange, ...]:
        """What was read, in ranges that end at a tensor or here."""
        self._end_range()
        self._begin, self._data = self.position, self._data[self.position - self._begin :]
        return tuple(self._ranges)
