"""Reading so many bytes, in pieces: a stream may give fewer at a time than it was asked for, a remote one 4 MiB."""

from __future__ import annotations

from typing import BinaryIO

from attest.errors import CheckpointError

__all__ = ["fill", "read_range", "read_up_to"]

_PIECE = 4 * 1024 * 1024


def fill(stream: BinaryIO, room: memoryview) -> bool:
    """Fill the room with a stream's next bytes; whether there were so many."""
    done = 0
    while done < len(room):
        count = stream.readinto(room[done:])  # type: ignore[attr-defined]
        if not count:
            return False
        done += count
    return True


def read_up_to(stream: BinaryIO, count: int) -> bytes:
    """A stream's next bytes, at most so many; fewer only where it ends."""
    data = bytearray()
    while len(data) < count and (part := stream.read(min(count - len(data), _PIECE))):
        data += part
    return bytes(data)


def read_range(stream: BinaryIO, begin: int, size: int, *, file: str) -> bytearray:
    """Bytes of an open file, which is known to hold so many.

    Raises
    ------
    CheckpointError
        It ends before.
    """
    data = bytearray(size)
    stream.seek(begin)
    if not fill(stream, memoryview(data)):
        raise CheckpointError("truncated-file", "ended while it was read", fix="download it again", where=file)
    return data
