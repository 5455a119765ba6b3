"""The cursor that all scanners read with: nothing is read twice, or beyond its limits, and the rest is accounted for."""

import hashlib
import io

import pytest

from attest.checkpoint import cursor as module
from attest.checkpoint.cursor import Cursor
from attest.errors import CheckpointError

DATA = bytes(range(256)) * 8


class OneByOne(io.BytesIO):
    """A file that gives less than was asked for, as a remote one may."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(size or 1, 7))


@pytest.mark.parametrize("kind", [io.BytesIO, OneByOne])
@pytest.mark.parametrize("block", [1, 16, 1024 * 1024])
def test_what_is_not_skipped_is_digested(kind: type[io.BytesIO], block: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_BLOCK", block)
    cursor = Cursor(kind(DATA), file="f", size=len(DATA))
    assert cursor.read(10) == DATA[:10]
    cursor.pass_by(5)
    cursor.skip(100)
    cursor.skip(0)
    cursor.skip(200)
    assert cursor.integer(2) == int.from_bytes(DATA[315:317], "little")
    cursor.skip(1000)
    cursor.pass_by(cursor.left())
    ranges = [(0, 15), (315, 317), (1317, len(DATA))]
    assert [(one.begin, one.end) for one in cursor.parsed()] == ranges
    expected = [(hashlib.sha256(DATA[begin:end]).digest(),) for begin, end in ranges]
    assert [one.chunks for one in cursor.parsed()] == expected


def test_numbers_are_little_endian():
    cursor = Cursor(io.BytesIO(b"\1\2\xff\xff\0\0\x80\x3f"), file="f", size=8)
    assert (cursor.integer(2), cursor.number("h"), cursor.number("f")) == (0x201, -1, 1.0)


@pytest.mark.parametrize("count", [11, 2**63])
def test_more_than_the_file_holds_is_refused_before_it_is_read(count: int):
    cursor = Cursor(io.BytesIO(DATA), file="f", size=10)
    for step in (cursor.read, cursor.pass_by, cursor.skip):
        with pytest.raises(CheckpointError) as caught:
            step(count)
        assert caught.value.code == "truncated-file"
    assert cursor.position == 0


def test_a_file_that_is_shorter_than_it_was():
    cursor = Cursor(io.BytesIO(DATA), file="f", size=len(DATA) + 1)
    with pytest.raises(CheckpointError) as caught:
        cursor.pass_by(len(DATA) + 1)
    assert caught.value.code == "truncated-file"


def test_only_so_much_is_read_of_one_file(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "MAX_PARSED", 100)
    monkeypatch.setattr(module, "_BLOCK", 1)
    cursor = Cursor(io.BytesIO(DATA), file="f", size=len(DATA))
    cursor.pass_by(60)
    cursor.skip(1000)
    cursor.pass_by(40)
    with pytest.raises(CheckpointError) as caught:
        cursor.pass_by(1)
    assert caught.value.code == "header-too-long"
