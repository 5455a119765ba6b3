"""A remote file as a stream: any reads give the file's bytes, with few ranges, and broken answers are asked for again."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.checkpoint.source.range_stream import FIRST_RANGE, SHORT_WAY, Interrupted, Patience, RangeStream
from attest.errors import NetworkError

DATA = bytes(range(256)) * 80_000


@dataclass(kw_only=True)
class Source:
    """Bytes that are asked for in ranges; notes what was asked and read."""

    data: bytes = DATA
    asked: list[tuple[int, int]] = field(default_factory=list)
    read: int = 0
    pauses: list[float] = field(default_factory=list)
    spoil: Callable[[int], int | None] = lambda _number: None

    def ask(self, begin: int, end: int) -> "Body":
        self.asked.append((begin, end))
        return Body(source=self, stream=io.BytesIO(self.data[begin:end]), left=self.spoil(len(self.asked)))

    def open(self) -> RangeStream:
        return RangeStream(self.ask, size=len(self.data), patience=Patience("x", self.pauses.append))


@dataclass(kw_only=True)
class Body:
    """An answer; breaks off after ``left`` bytes."""

    source: Source
    stream: io.BytesIO
    left: int | None

    def readinto(self, buffer: memoryview) -> int:
        if self.left == 0:
            raise Interrupted("broke off")
        count = self.stream.readinto(buffer[: self.left])
        self.source.read += count
        if self.left is not None:
            self.left -= count
        return count

    def close(self) -> None:
        self.stream.close()


def take(stream: RangeStream, size: int) -> bytes:
    """So many bytes, or all that are left."""
    parts = bytearray()
    while len(parts) < size and (part := stream.read(size - len(parts))):
        parts += part
    return bytes(parts)


def test_a_header_costs_one_short_range():
    source = Source()
    stream = source.open()
    assert (take(stream, 8), take(stream, 50_000)) == (DATA[:8], DATA[8:50_008])
    assert source.asked == [(0, FIRST_RANGE)]


def test_a_long_read_costs_a_few_ranges():
    source = Source()
    assert source.open().readall() == DATA
    assert len(source.asked) == 4
    assert source.asked[-1][1] == len(DATA)
    assert source.read == len(DATA)


def test_a_large_buffer_is_asked_for_at_once():
    source = Source()
    assert take(source.open(), 2_000_000) == DATA[:2_000_000]
    assert source.asked == [(0, 2_000_000)]


@given(st.lists(st.tuples(st.integers(0, len(DATA) + 10), st.integers(0, 300_000)), max_size=8))
def test_any_reads_give_the_bytes_of_the_file(reads: list[tuple[int, int]]):
    stream = Source().open()
    for offset, size in reads:
        assert stream.seek(offset) == offset
        assert take(stream, size) == DATA[offset : offset + size]
        assert stream.tell() == offset + len(DATA[offset : offset + size])


@given(
    st.lists(st.tuples(st.integers(0, len(DATA)), st.integers(0, 300_000)), max_size=8),
    st.lists(st.none() | st.integers(1, 200_000), max_size=4),
)
def test_any_reads_give_the_bytes_of_the_file_whatever_breaks(reads: list[tuple[int, int]], left: list[int | None]):
    stream = Source(spoil=lambda number: left[number - 1] if number <= len(left) else None).open()
    for offset, size in reads:
        stream.seek(offset)
        assert take(stream, size) == DATA[offset : offset + size]


def test_what_is_held_is_not_asked_for_again():
    """Back and forth inside the first range, as a reader of headers goes."""
    source = Source()
    stream = source.open()
    for offset in (100, 60_000, 0, 30_000, FIRST_RANGE - 10):
        stream.seek(offset)
        assert take(stream, 10) == DATA[offset : offset + 10]
    assert source.asked == [(100, 100 + FIRST_RANGE), (0, FIRST_RANGE)]


def test_a_short_way_ahead_is_read_through():
    """Small parts of a file, one after the other: ranges grow as if all of it were read."""
    source = Source()
    stream = source.open()
    for offset in range(0, len(DATA), SHORT_WAY // 2):
        stream.seek(offset)
        assert take(stream, 100) == DATA[offset : offset + 100]
    assert len(source.asked) <= 4
    assert source.asked[-1][1] == len(DATA)
    assert source.read <= len(DATA)


def test_a_long_way_ahead_is_asked_around():
    source = Source()
    stream = source.open()
    for offset in range(0, len(DATA), 3 * SHORT_WAY):
        stream.seek(offset)
        assert take(stream, 100) == DATA[offset : offset + 100]
    assert len(source.asked) == -(-len(DATA) // (3 * SHORT_WAY))
    assert {end - begin for begin, end in source.asked} == {FIRST_RANGE}


def test_short_ranges_are_taken_to_their_end():
    """So that the next one needs no new connection."""
    source = Source()
    stream = source.open()
    for offset in (0, 5_000_000, 10_000_000):
        stream.seek(offset)
        take(stream, 1)
    assert source.read == 3 * FIRST_RANGE


def test_seeking_from_here_and_from_the_end():
    stream = Source().open()
    stream.seek(-3, io.SEEK_END)
    assert take(stream, 10) == DATA[-3:]
    stream.seek(-5, io.SEEK_CUR)
    assert take(stream, 2) == DATA[-5:-3]
    with pytest.raises(ValueError, match="negative"):
        stream.seek(-1)


@pytest.mark.parametrize("size", [0, 1, FIRST_RANGE, FIRST_RANGE + 1])
def test_short_files_are_read_to_their_end(size: int):
    source = Source(data=DATA[:size])
    assert source.open().readall() == DATA[:size]
    assert len(source.asked) == -(-size // FIRST_RANGE)


def test_an_answer_that_breaks_off_is_asked_for_from_where_it_broke():
    source = Source(spoil=lambda number: 1000 if number == 1 else None)
    assert take(source.open(), 3000) == DATA[:3000]
    assert source.asked == [(0, FIRST_RANGE), (1000, 1000 + 4 * FIRST_RANGE)]
    assert source.pauses == [0.5]


def test_an_answer_that_ends_early_is_asked_for_again():
    source = Source()
    ends = Source(data=DATA[:5000])
    stream = RangeStream(
        lambda begin, end: (source if source.asked or begin else ends).ask(begin, end),
        size=len(DATA),
        patience=Patience("x", source.pauses.append),
    )
    assert take(stream, 8000) == DATA[:8000]
    assert source.asked[0][0] == 5000


def test_pauses_grow_and_end_in_an_error():
    source = Source(spoil=lambda _number: 0)
    with pytest.raises(NetworkError, match="did not answer in 6 tries") as caught:
        source.open().read(1)
    assert caught.value.code == "no-answer"
    assert source.pauses == [0.5, 1.0, 2.0, 4.0, 8.0]


def test_a_server_that_breaks_off_now_and_then_is_borne():
    """Failures are forgotten after a megabyte of progress."""
    source = Source(spoil=lambda number: 1_100_000 if number % 2 else None)
    assert source.open().readall() == DATA
    source = Source(spoil=lambda _number: 100_000)
    with pytest.raises(NetworkError):
        source.open().readall()


def test_a_pause_that_the_server_asks_for_is_kept_within_bounds():
    pauses: list[float] = []
    patience = Patience("x", pauses.append)
    for retry_after in ("3", "999999999", "Fri, 31 Dec 1999 23:59:59 GMT", None):
        patience.bear(Interrupted("busy", retry_after=retry_after))
    assert pauses == [3.0, 30.0, 0.0, 4.0]
