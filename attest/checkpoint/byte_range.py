"""Reading exactly so many bytes: a stream may give fewer at a time than it was asked for."""

from __future__ import annotations

from typing import BinaryIO

from attest.errors import CheckpointError

__all__ = ["fill", "read_range"]


def fill(stream: BinaryIO, room: memoryview) -> bool:
    """Fill the room with a stream's next bytes; whether there were so many."""
    done = 0
    while done < len(room):
        count = stream.readinto(room[done:])  # type: ignore[attr-defined]
        if not count:
            return False
        done += count
    return True


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
