"""The walk through a MessagePack document: arrays are found where msgpack finds them, and nothing is built."""

import io
import struct
from typing import Any

import numpy as np
import pytest
from damaged_files import damaged, read_or_refuse
from hypothesis import given
from hypothesis import strategies as st
from other_containers import Raw, extension, flax_array, flax_file, msgpack
from time_limit import no_longer_than

from attest.checkpoint.flax import read_flax
from attest.checkpoint.format import Contents
from attest.errors import CheckpointError

ONE = Raw("float32", (2, 3), struct.pack("<6f", *range(6)))
VALID = msgpack({"params": {"dense": {"kernel": ONE, "bias": Raw("bfloat16", (2,), b"abcd")}}, "step": 7})


def read(data: bytes) -> Contents:
    return read_flax(io.BytesIO(data), file="f.msgpack", size=len(data))


def held(shape: Any, dtype: Any, data: Any, *more: Any) -> bytes:
    """A document with one array of these parts."""
    return b"\x81\xa1a" + extension(1, msgpack([shape, dtype, data, *more]))


REFUSED = {
    "empty file": (b"", "truncated-file"),
    "a byte that begins nothing": (b"\xc1", "not-msgpack"),
    "a key that is a number": (b"\x81\x01\xc0", "not-msgpack"),
    "a key of 2,000 bytes": (msgpack({"k" * 2000: None}), "not-msgpack"),
    "a key twice": (b"\x82\xa1a\xc0\xa1a\xc0", "duplicate-key"),
    "ends in a map": (VALID[:-5], "truncated-file"),
    "map of 2**32 - 1": (b"\xdf\xff\xff\xff\xff" + bytes(99), "truncated-file"),
    "list of 2**32 - 1": (b"\xdd\xff\xff\xff\xff" + bytes(99), "truncated-file"),
    "bytes of 2**32 - 1": (b"\xc6\xff\xff\xff\xff" + bytes(99), "truncated-file"),
    "extension of 2**32 - 1": (b"\xc9\xff\xff\xff\xff\x01" + bytes(99), "truncated-file"),
    "100,000 lists in each other": (b"\x91" * 100_000, "too-deep"),
    "100,000 maps in each other": (b"\x81\xa1a" * 100_000, "too-deep"),
    "very many values": (b"\xdd" + struct.pack(">I", 1_100_000) + b"\xc0" * 1_100_000, "header-too-long"),
    "second document": (VALID + b"\xc0", "trailing-bytes"),
    "array without a name": (flax_array(ONE), "unsafe-name"),
    "name that moves the cursor": (msgpack({"a\x1b[2J": ONE}), "unsafe-name"),
    "two paths of one name": (msgpack({"a/b": ONE, "a": {"b": ONE}}), "duplicate-tensor"),
    "array of two parts": (b"\x81\xa1a" + extension(1, msgpack([[2], "float32"])), "not-msgpack"),
    "array of four parts": (held([1], "int8", b"x", 1), "not-msgpack"),
    "array with bytes behind": (b"\x81\xa1a" + extension(1, msgpack([[1], "int8", b"x"]) + b"x"), "not-msgpack"),
    "array that goes on behind its place": (
        b"\x81\xa1a" + b"\xc9" + struct.pack(">IB", 20, 1) + msgpack([[99], "int8", bytes(99)]), "size-mismatch",
    ),
    "shape a number": (held(1, "int8", b"x"), "bad-shape"),
    "size negative": (held([-1], "int8", b"x"), "bad-shape"),
    "size a text": (held(["1"], "int8", b"x"), "bad-shape"),
    "33 dimensions": (held([1] * 33, "int8", b"x"), "bad-shape"),
    "sizes that wrap": (held([2**32, 2**32, 1], "int8", b"x"), "bad-shape"),
    "dtype unknown": (held([1], "object", b"x"), "unknown-dtype"),
    "dtype a number": (held([1], 5, b"x"), "not-msgpack"),
    "more values than bytes": (held([2], "int8", b"x"), "size-mismatch"),
    "fewer values than bytes": (held([2], "int8", b"xyz"), "size-mismatch"),
    "values as text": (held([1], "int8", "x"), "size-mismatch"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(data: bytes, code: str):
    with no_longer_than(60), pytest.raises(CheckpointError) as caught:
        read(data)
    assert (caught.value.code, caught.value.where) == (code, "f.msgpack")
    assert len(str(caught.value)) < 1600


def test_a_valid_file():
    contents = read(VALID)
    assert [(one.name, one.dtype, one.shape, VALID[one.begin : one.end]) for one in contents.tensors] == [
        ("params/dense/kernel", "F32", (2, 3), ONE.data), ("params/dense/bias", "BF16", (2,), b"abcd"),
    ]  # fmt: skip
    pieces = sorted((one.begin, one.end) for one in (*contents.tensors, *contents.parsed))
    assert [begin for begin, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == len(VALID)


def test_values_that_are_no_arrays_are_passed_by():
    scalar = extension(3, msgpack([[], "int64", bytes(8)]))
    data = b"\x84\xa1a\xc3\xa1b\xcb" + bytes(8) + b"\xa1c" + extension(2, bytes(16)) + b"\xa1d\xc7\x28" + scalar[5:]
    data = data.replace(b"\xc7\x28", b"\xc7" + bytes([len(scalar) - 6]))
    assert [(one.name, one.dtype, one.shape) for one in read(data).tensors] == [("d", "I64", ())]


def test_an_array_in_pieces_is_a_tensor_a_piece():
    pieces = {"0": Raw("int8", (3,), b"abc"), "1": Raw("int8", (1,), b"d")}
    chunked = {"__msgpack_chunked_array__": True, "shape": {"0": 2, "1": 2}, "chunks": pieces}
    contents = read(msgpack({"w": chunked}))
    assert [(one.name, one.shape) for one in contents.tensors] == [("w/chunks/0", (3,)), ("w/chunks/1", (1,))]
    assert [one.code for one in contents.findings] == ["array-in-pieces"]


def test_what_msgpack_writes_is_read():
    library = pytest.importorskip("msgpack")
    arrays = {name: np.arange(count, dtype=np.float32) for name, count in {"a": 1, "b": 50, "c": 20_000}.items()}

    def pack(array: Any) -> Any:
        return library.ExtType(1, library.packb((array.shape, array.dtype.name, array.tobytes()), use_bin_type=True))

    data = library.packb({"params": arrays | {"n": -5, "x": 0.5, "t": "text"}}, default=pack, strict_types=True)
    found = {one.name: data[one.begin : one.end] for one in read(data).tensors}
    assert found == {f"params/{name}": array.tobytes() for name, array in arrays.items()}


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    read_or_refuse(read, data)
    read_or_refuse(read, b"\x81\xa1a" + extension(1, data))


@given(damaged(VALID))
def test_a_changed_byte_is_read_or_refused(files: tuple[bytes, bytes]):
    for data in files:
        read_or_refuse(read, data)


def test_names_lead_into_maps():
    assert [one.name for one in read(flax_file({"a/b/c": ONE, "a/d": ONE})).tensors] == ["a/b/c", "a/d"]
