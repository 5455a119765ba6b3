"""Exactly so many bytes, however few a stream gives at a time."""

import io

import pytest

from attest.checkpoint.byte_range import fill, read_range, read_up_to
from attest.errors import CheckpointError


class Slow(io.BytesIO):
    """Gives at most three bytes at a time, as a connection may."""

    def read(self, count: int | None = -1) -> bytes:
        return super().read(min(count or 0, 3))

    def readinto(self, room: memoryview) -> int:  # type: ignore[override]
        return super().readinto(room[:3])


@pytest.mark.parametrize("begin", [0, 1, 7, 10])
def test_a_range_is_read_whole(begin: int) -> None:
    data = bytes(range(11))
    assert read_range(Slow(data), begin, 11 - begin, file="f") == data[begin:]


def test_an_end_before_the_range_is_refused() -> None:
    with pytest.raises(CheckpointError) as caught:
        read_range(Slow(b"0123456789"), 4, 7, file="f")
    assert (caught.value.code, caught.value.where) == ("truncated-file", "f")


def test_room_is_filled_or_it_is_told() -> None:
    room = bytearray(4)
    stream = Slow(b"abcdef")
    assert fill(stream, memoryview(room))
    assert room == b"abcd"
    assert not fill(stream, memoryview(room))
    assert fill(stream, memoryview(b""))


@pytest.mark.parametrize("count", [0, 2, 6, 9])
def test_so_many_bytes_or_all_that_there_are(count: int) -> None:
    assert read_up_to(Slow(b"abcdef"), count) == b"abcdef"[:count]
