"""Zip archives: what lists its files in two ways, or could be another file too, is refused."""

import io
import struct
import zipfile
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch_files import Part, zipped

from attest.checkpoint.archive import Archive, check_crc, read_archive
from attest.errors import CheckpointError

TWO = (Part(name="a/one", data=b"first"), Part(name="a/two", data=b"second file"))
GOOD = zipped(TWO)


def read(data: bytes) -> Archive:
    return read_archive(io.BytesIO(data), file="f.pt", size=len(data))


def one(**fields: Any) -> bytes:
    """Two files of which the first is described falsely."""
    return zipped([Part(**{"name": "a/one", "data": b"first"} | fields), TWO[1]])


def contents(data: bytes) -> dict[str, bytes]:
    return {name: data[entry.begin : entry.end] for name, entry in read(data).entries.items()}


def uncovered(data: bytes) -> int:
    """Bytes of the archive that are neither a file's nor parsed, or are both."""
    found = read(data)
    pieces = sorted((one.begin, one.end) for one in (*found.entries.values(), *found.parsed))
    ends = [0, *(end for _, end in pieces)]
    return sum(abs(begin - end) for (begin, _), end in zip(pieces, ends, strict=False)) + len(data) - ends[-1]


def test_files_lie_where_zipfile_finds_them():
    assert contents(GOOD) == {"a/one": b"first", "a/two": b"second file"}
    with zipfile.ZipFile(io.BytesIO(GOOD)) as reference:
        assert {name: reference.read(name) for name in reference.namelist()} == contents(GOOD)
    assert uncovered(GOOD) == 0


def test_files_of_no_bytes():
    data = zipped([Part(name="a/empty", data=b"", flags=0x800), *TWO, Part(name="a/end", data=b"")])
    assert contents(data) == {"a/empty": b"", "a/one": b"first", "a/two": b"second file", "a/end": b""}
    assert uncovered(data) == 0


def test_sizes_of_64_bits_as_torch_writes_them():
    data = zipped([TWO[0], Part(name="a/large", data=b"wide", wide=True), TWO[1]])
    assert contents(data) == {"a/one": b"first", "a/large": b"wide", "a/two": b"second file"}
    assert uncovered(data) == 0
    with zipfile.ZipFile(io.BytesIO(data)) as reference:
        assert reference.read("a/large") == b"wide"


@pytest.mark.parametrize("wide", [True, False])
def test_archives_that_python_writes(wide: bool):  # noqa: FBT001 - a parameter of the test
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as written:
        for name, data in (("a/one", b"first"), ("a/two", b"")):
            with written.open(name, "w", force_zip64=wide) as entry:
                entry.write(data)
    assert contents(stream.getvalue()) == {"a/one": b"first", "a/two": b""}


def test_sizes_behind_a_stream_that_cannot_seek():
    stream = io.BytesIO()

    class Forward(io.RawIOBase):
        def writable(self) -> bool:
            return True

        def write(self, data: Any) -> int:
            return stream.write(data)

    with zipfile.ZipFile(io.BufferedWriter(Forward()), "w", zipfile.ZIP_STORED) as written:  # type: ignore[type-var]
        written.writestr("a/one", b"first")
        with written.open("a/two", "w", force_zip64=True) as entry:
            entry.write(b"second")
    assert contents(stream.getvalue()) == {"a/one": b"first", "a/two": b"second"}


def with_end(**fields: int) -> bytes:
    """The good archive without its 64-bit end, and an end record of which some fields are others."""
    data = zipped(TWO, end64=False)
    names = ("disk", "first_disk", "on_disk", "count", "length", "begin", "comment")
    true = dict(zip(names, struct.unpack("<4H2IH", data[-18:]), strict=True))
    return data[:-18] + struct.pack("<4H2IH", *(true | fields).values())


def end64(position: int, code: str, value: int) -> bytes:
    """The good archive with one field of its 64-bit end record replaced."""
    data = bytearray(GOOD)
    struct.pack_into(code, data, len(data) - 22 - 20 - 56 + position, value)
    return bytes(data)


REFUSED = {
    "no bytes": b"",
    "no files": zipped([]),
    "no files and no 64-bit end": zipped([], end64=False),
    "fewer bytes than an end record": GOOD[:21],
    "no archive": b"x" * 1000,
    "a byte before": zipped(TWO, before=b"x"),
    "another file before": zipped(TWO, before=b"\x7fELF" + bytes(4096)),
    "a byte before, with the offsets of an archive without": b"x" + GOOD,
    "a byte behind": GOOD + b"x",
    "a comment": zipped(TWO, comment=b"a comment"),
    "an end record in the comment": zipped(TWO, comment=zipped([], end64=False)),
    "an archive behind the archive": GOOD + zipped([Part(name="a/one", data=b"other")]),
    "lacks its end": GOOD[:-1],
    "lacks its beginning": GOOD[1:],
    "two names for one file: local": one(local_name=b"a/own"),
    "local name longer": one(local_name=b"a/one.py"),
    "local size": one(flags=0x800, local_size=4),
    "local size beside a descriptor": one(local_size=4),
    "local CRC": one(local_crc=7),
    "descriptor": one(descriptor_size=4),
    "central size smaller": one(central_size=4),
    "central size larger": one(central_size=6),
    "central size of 4 GB": one(central_size=0xFFFFFFFF),
    "central offset": one(central_offset=1),
    "central offset of the other": one(central_offset=76),
    "central offset beyond": one(central_offset=2**31),
    "central offset of 4 GB": one(central_offset=0xFFFFFFFF),
    "stored, with another packed size": one(flags=0x800, method=0, central_size=4),
    "another method in front": GOOD[:8] + b"\x08" + GOOD[9:],
    "64-bit descriptor": one(wide=True, descriptor_size=4),
    "64-bit central size": one(wide=True, central_size=4),
    "64-bit central offset": one(wide=True, central_offset=2**63),
    "encrypted": one(flags=0x809),
    "masked": one(flags=0x2808),
    "patched": one(flags=0x828),
    "a name twice": zipped([TWO[0], TWO[0]]),
    "one file listed twice": zipped([TWO[0], Part(name="a/two", data=b"x", central_offset=0)]),
    "name that leads out": one(name="a/../../x"),
    "absolute name": one(name="/a"),
    "empty name": one(name=""),
    "name with a backslash": one(name="a\\..\\x"),
    "name with a NUL": one(name="a/\0"),
    "name with an escape": one(name="a/\x1b[2J"),
    "name that is not UTF-8": one(local_name=b"\xff", central_name=b"\xff"),
    "name of 2,000 characters": one(name="a" * 2000),
    "other disk": with_end(disk=1),
    "directory on another disk": with_end(first_disk=1),
    "fewer files on this disk": with_end(on_disk=1),
    "count too small": with_end(on_disk=1, count=1),
    "count too large": with_end(on_disk=3, count=3),
    "count of 65,535": with_end(on_disk=0xFFFF, count=0xFFFF),
    "directory too short": with_end(length=1),
    "directory of 4 GB": with_end(length=0xFFFFFFFF),
    "directory elsewhere": with_end(begin=0),
    "directory at 4 GB": with_end(begin=0xFFFFFFFF),
    "64-bit end record of another size": end64(4, "<Q", 45),
    "64-bit count": end64(32, "<Q", 3),
    "64-bit count of 2**60": end64(32, "<Q", 2**60),
    "64-bit length": end64(40, "<Q", 2**60),
    "64-bit offset": end64(48, "<Q", 2**63),
    "64-bit locator elsewhere": end64(56 + 8, "<Q", 0),
    "64-bit locator of two disks": end64(56 + 16, "<I", 2),
}


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_can_be_read_in_two_ways_is_refused(data: bytes):
    with pytest.raises(CheckpointError) as caught:
        read(data)
    assert (caught.value.code, caught.value.where) == ("bad-archive", "f.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_files_are_counted_before_they_are_read():
    data = bytearray(GOOD)
    struct.pack_into("<2Q", data, len(data) - 22 - 20 - 56 + 24, 2**40, 2**40)
    struct.pack_into("<2H", data, len(data) - 22 + 8, 0xFFFF, 0xFFFF)
    with pytest.raises(CheckpointError) as caught:
        read(bytes(data))
    assert "more than is read" in caught.value.message


def test_an_archive_that_shrinks_under_the_reader():
    with pytest.raises(CheckpointError) as caught:
        read_archive(io.BytesIO(GOOD[:-1]), file="f.pt", size=len(GOOD))
    assert caught.value.code == "truncated-file"


def test_the_crc_of_what_is_parsed_counts():
    entry = read(one(crc=7)).entries["a/one"]
    with pytest.raises(CheckpointError) as caught:
        check_crc(b"first", entry, file="f.pt")
    assert caught.value.code == "bad-archive"
    check_crc(b"first", read(GOOD).entries["a/one"], file="f.pt")


@given(st.integers(0, len(GOOD) - 1), st.integers(0, 255))
def test_an_altered_byte_is_refused_or_changes_nothing_else(position: int, value: int):
    """What is accepted has its files in the same places, and every byte of it is a file's or was parsed."""
    data = GOOD[:position] + bytes([value]) + GOOD[position + 1 :]
    try:
        found = read(data)
    except CheckpointError:
        return
    assert [(entry.begin, entry.end) for entry in found.entries.values()] == [
        (entry.begin, entry.end) for entry in read(GOOD).entries.values()
    ]
    assert uncovered(data) == 0


@given(st.binary(max_size=300))
def test_other_bytes_are_refused(data: bytes):
    with pytest.raises(CheckpointError):
        read(data)


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=8), st.booleans())
def test_what_is_written_is_read(files: list[bytes], wide: bool):  # noqa: FBT001 - drawn
    parts = [Part(name=f"r/{number}", data=data) for number, data in enumerate(files)]
    data = zipped(parts, end64=wide)
    assert contents(data) == {part.name: part.data for part in parts}
    assert uncovered(data) == 0
