"""The strict scanner of headers: what contradicts itself is refused with its own code, and nothing else happens."""

import hashlib
import io
import json
from contextlib import suppress
from typing import Any

import pytest
import safetensors
from hypothesis import example, given
from hypothesis import strategies as st
from small_checkpoint import entry, raw
from time_limit import no_longer_than

from attest.checkpoint import format as container_format
from attest.checkpoint.format import Contents
from attest.checkpoint.safetensors import MAX_HEADER, read_header
from attest.checkpoint.tensor import DTYPE_BITS
from attest.errors import CheckpointError
from attest.terminal import visible

FOUR = b"\0" * 4
VALID = raw({"a": entry(), "b": entry("BF16", [2, 3], 4, 16)}, b"\0" * 16)
HEADER_END = len(VALID) - 16


def read(data: bytes, *, size: int | None = None) -> Contents:
    return read_header(io.BytesIO(data), file="f.safetensors", size=len(data) if size is None else size)


def named(name: str) -> bytes:
    return raw({name: entry()}, FOUR)


def shaped(shape: Any, *, dtype: str = "F32", end: Any = 4) -> bytes:
    return raw({"a": entry(dtype, shape, 0, end)}, FOUR)


def placed(begin: Any, end: Any) -> bytes:
    return raw({"a": entry(begin=begin, end=end)}, FOUR)


REFUSED = {
    # truncated
    "empty file": (b"", "truncated-file"),
    "ends in the header's length": (VALID[:7], "truncated-file"),
    "ends behind the header's length": (VALID[:8], "truncated-file"),
    "ends in the header": (VALID[:40], "truncated-file"),
    "ends where the data should begin": (VALID[:HEADER_END], "truncated-file"),
    "ends in the data": (VALID[: HEADER_END + 6], "truncated-file"),
    "lacks its last byte": (VALID[:-1], "truncated-file"),
    "ends behind an empty tensor's place": (raw({"a": entry("F32", [0], 4, 4)}), "truncated-file"),
    # length of the header
    "header longer than the file": (b"\xff\xff\0\0\0\0\0\0{}", "truncated-file"),
    "header over 100 MB": ((MAX_HEADER + 1).to_bytes(8, "little") + b"{}", "header-too-long"),
    "header of 2**64 - 1 bytes": (b"\xff" * 8 + b"{}", "header-too-long"),
    "header of no bytes": (raw(b"") + b"x", "not-safetensors"),
    "header a byte too short": (raw(b'{"a":{}}').replace(b"\x08", b"\x07", 1), "not-json"),
    # not a JSON object
    "a pickle": (b"\x80\x04\x95" + b"\0" * 20, "truncated-file"),
    "text": (b"version https://git-lfs.github.com/spec/v1\n", "header-too-long"),
    "list": (raw([]), "not-safetensors"),
    "null": (raw(None), "not-safetensors"),
    "leading space": (raw(b" {}"), "not-safetensors"),
    "byte order mark": (raw(b"\xef\xbb\xbf{}"), "not-safetensors"),
    "UTF-16": (raw("{}".encode("utf-16-le")), "not-json"),
    "trailing NUL bytes": (raw(b"{}\0\0"), "not-json"),
    "comment": (raw(b"{/**/}"), "not-json"),
    "trailing comma": (raw(b'{"__metadata__":{},}'), "not-json"),
    "second object": (raw(b"{}{}"), "not-json"),
    "NaN": (raw(b'{"a":NaN}'), "not-finite"),
    "bad UTF-8": (raw(b'{"\xff":{}}'), "not-utf-8"),
    "overlong UTF-8": (raw(b'{"\xc0\x80":{}}'), "not-utf-8"),
    "lone surrogate": (raw(b'{"\\ud800":{}}'), "not-utf-8"),
    "deep nesting": (raw(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"), "too-deep"),
    "deep nesting, never closed": (raw(b'{"a":' * 100_000), "too-deep"),
    "integer of 5,000 digits": (raw(b'{"a":' + b"9" * 5000 + b"}"), "not-json"),
    # keys twice
    "tensor twice": (raw(b'{"a":{},"a":{}}'), "duplicate-key"),
    "tensor twice, once escaped": (raw(b'{"a":{},"\\u0061":{}}'), "duplicate-key"),
    "metadata twice": (raw(b'{"__metadata__":{},"__metadata__":{}}'), "duplicate-key"),
    "metadata key twice": (raw(b'{"__metadata__":{"license":"MIT","license":"other"}}'), "duplicate-key"),
    "dtype twice": (raw(b'{"a":{"dtype":"F32","dtype":"F16"}}'), "duplicate-key"),
    # metadata
    "metadata a list": (raw({"__metadata__": []}), "bad-metadata"),
    "metadata null": (raw({"__metadata__": None}), "bad-metadata"),
    "metadata of numbers": (raw({"__metadata__": {"version": 1}}), "bad-metadata"),
    "metadata nested": (raw({"__metadata__": {"a": {"b": "c"}}}), "bad-metadata"),
    # names
    "empty name": (named(""), "unsafe-name"),
    "name with NUL": (named("a\0"), "unsafe-name"),
    "name with a newline": (named("a\nb"), "unsafe-name"),
    "name with an escape sequence": (named("\x1b[2Ja"), "unsafe-name"),
    "name that changes direction": (named("a\u202eb"), "unsafe-name"),
    "name with a zero-width joiner": (named("a\u200db"), "unsafe-name"),
    "name of an invisible letter": (named("\u3164"), "unsafe-name"),
    "name with a no-break space": (named("a\u00a0b"), "unsafe-name"),
    "name of 1,025 characters": (named("a" * 1025), "unsafe-name"),
    # entries
    "entry null": (raw({"a": None}), "bad-entry"),
    "entry a list": (raw({"a": [1]}), "bad-entry"),
    "entry without offsets": (raw({"a": {"dtype": "F32", "shape": [1]}}), "bad-entry"),
    "entry with an unknown field": (raw({"a": entry() | {"device": "cpu"}}, FOUR), "bad-entry"),
    "dtype unknown": (raw({"a": entry("F31")}, FOUR), "unknown-dtype"),
    "dtype in lower case": (raw({"a": entry("f32")}, FOUR), "unknown-dtype"),
    "dtype a number": (raw({"a": entry(32)}, FOUR), "unknown-dtype"),
    "dtype a list": (raw({"a": entry(["F32"])}, FOUR), "unknown-dtype"),
    "dtype of a megabyte": (raw({"a": entry("F" * 1_000_000)}, FOUR), "unknown-dtype"),
    # shapes
    "shape null": (shaped(None), "bad-shape"),
    "shape a number": (shaped(1), "bad-shape"),
    "shape a string": (shaped("1"), "bad-shape"),
    "size negative": (shaped([-1]), "bad-shape"),
    "size true": (shaped([True]), "bad-shape"),
    "size a float": (shaped([1.0]), "bad-shape"),
    "size with an exponent": (raw(b'{"a":{"dtype":"F32","shape":[1e0],"data_offsets":[0,4]}}', FOUR), "bad-shape"),
    "size a string": (shaped(["1"]), "bad-shape"),
    "size null": (shaped([None]), "bad-shape"),
    "33 dimensions": (shaped([1] * 33), "bad-shape"),
    "a million dimensions": (shaped([1] * 1_000_000), "bad-shape"),
    "size of 2**53": (shaped([2**53]), "bad-shape"),
    "product of sizes of 2**1984": (shaped([2**62] * 32), "bad-shape"),
    "product of sizes of 2**1664": (shaped([2**52] * 32), "bad-shape"),
    "product of sizes that wraps to 1 in 64 bits": (shaped([2**32, 2**32, 2**32 + 1]), "bad-shape"),
    "huge sizes beside a zero": (shaped([0, 2**40, 2**40], end=0), "bad-shape"),
    "more values than bytes": (shaped([2]), "size-mismatch"),
    "fewer values than bytes": (shaped([1], dtype="F16"), "size-mismatch"),
    "half a byte": (shaped([1], dtype="F4", end=1), "size-mismatch"),
    # offsets
    "offsets null": (raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": None}}, FOUR), "bad-offsets"),
    "one offset": (raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0]}}, FOUR), "bad-offsets"),
    "three offsets": (raw({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]}}, FOUR), "bad-offsets"),
    "offsets reversed": (placed(4, 0), "bad-offsets"),
    "offset negative": (placed(-4, 0), "bad-offsets"),
    "offset true": (placed(0, True), "bad-offsets"),
    "offset a float": (placed(0, 4.0), "bad-offsets"),
    "offset of 2**64": (placed(0, 2**64), "bad-offsets"),
    "offset beyond the file": (raw({"a": entry(end=4), "b": entry(begin=4, end=8)}, FOUR), "truncated-file"),
    "offset far beyond the file": (raw({"a": entry("U8", [2**50], 0, 2**50)}, FOUR), "truncated-file"),
    # coverage
    "alias of the same bytes": (raw({"a": entry(), "b": entry()}, FOUR), "overlapping-tensors"),
    "overlap": (raw({"a": entry(shape=[2], end=8), "b": entry(begin=4, end=8)}, b"\0" * 8), "overlapping-tensors"),
    "empty tensor inside another": (raw({"a": entry(), "b": entry("U8", [0], 2, 2)}, FOUR), "overlapping-tensors"),
    "hole before the first": (raw({"a": entry(begin=4, end=8)}, b"\0" * 8), "hole-in-data"),
    "hole": (raw({"a": entry(), "b": entry(begin=8, end=12)}, b"\0" * 12), "hole-in-data"),
    "trailing byte": (VALID + b"\0", "trailing-bytes"),
    "trailing bytes and no tensor": (raw({}, b"x"), "trailing-bytes"),
    "misaligned": (raw({"a": entry("U8", [1], 0, 1), "b": entry("BF16", [1], 1, 3)}, b"\0" * 3), "misaligned-tensor"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(data: bytes, code: str):
    with pytest.raises(CheckpointError) as caught:
        read(data)
    error = caught.value
    assert (error.code, error.where) == (code, "f.safetensors")
    assert error.message
    assert error.fix
    assert "\n" not in str(error)
    assert len(str(error)) < 1600


def test_the_cases_are_wrong_in_one_way_only():
    assert [tensor.name for tensor in read(VALID).tensors] == ["a", "b"]
    assert read(named("a")).tensors
    assert read(shaped([1])).tensors
    assert read(placed(0, 4)).tensors


@pytest.mark.parametrize("size", [len(VALID) + 1, len(VALID) - 1])
def test_the_size_that_was_found_counts(size: int):
    with pytest.raises(CheckpointError) as caught:
        read(VALID, size=size)
    assert caught.value.code in {"trailing-bytes", "truncated-file"}


def test_a_file_that_shrinks_under_the_reader():
    with pytest.raises(CheckpointError) as caught:
        read(VALID[: HEADER_END - 1], size=len(VALID))
    assert caught.value.code == "truncated-file"


def test_a_valid_file():
    header = read(VALID)
    assert header.metadata == {}
    second = header.tensors[1]
    assert (second.name, second.dtype, second.shape, second.file) == ("b", "BF16", (2, 3), "f.safetensors")
    assert (second.begin, second.end, second.size) == (HEADER_END + 4, HEADER_END + 16, 6)


def test_metadata_only_is_no_tensor():
    header = read(raw({"__metadata__": {"format": "pt"}}))
    assert (header.tensors, header.metadata) == ((), {"format": "pt"})


def test_nothing_at_all_is_a_file_without_tensors():
    assert read(raw(b"{}")).tensors == ()
    assert read(raw(b"{}      \n")).tensors == ()


def test_scalars_and_tensors_without_values():
    shapes = {"scalar": entry("F32", [], 0, 4), "empty": entry("F32", [3, 0], 4, 4), "last": entry("F32", [0], 4, 4)}
    tensors = {tensor.name: tensor for tensor in read(raw(shapes, FOUR)).tensors}
    assert (tensors["scalar"].shape, tensors["scalar"].size) == ((), 1)
    assert (tensors["empty"].shape, tensors["empty"].size) == ((3, 0), 0)


def test_32_dimensions_and_a_long_name_are_read():
    header = read(raw({"é" * 1024: entry(shape=[1] * 32)}, FOUR))
    assert header.tensors[0].shape == (1,) * 32


@pytest.mark.parametrize("dtype", DTYPE_BITS)
def test_every_dtype_is_read(dtype: str):
    n_bytes = DTYPE_BITS[dtype]
    assert read(raw({"a": entry(dtype, [8], 0, n_bytes)}, bytes(n_bytes))).tensors[0].dtype == dtype


def test_tensors_come_in_the_order_of_their_bytes():
    tensors = read(raw({"a": entry(begin=4, end=8), "b": entry(), "c": entry("F32", [0], 0, 0)}, b"\0" * 8)).tensors
    assert [tensor.name for tensor in tensors] == ["c", "b", "a"]


def test_the_header_is_digested_in_chunks(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(container_format, "CHUNK_SIZE", 50)
    chunks = read(VALID).parsed[0].chunks
    pieces = [VALID[:HEADER_END][begin : begin + 50] for begin in range(0, HEADER_END, 50)]
    assert len(chunks) == len(pieces) > 1
    assert chunks == tuple(hashlib.sha256(piece).digest() for piece in pieces)


HUGE = {
    "spaces": b"{" + b" " * 10_000_000 + b"}",
    "backslashes in a string that never ends": b'{"' + b"\\" * 10_000_001,
    "quotation marks": b"{" + b'"' * 10_000_001,
    "closing brackets": b"{" + b"]" * 3_000_000,
    "entries": json.dumps({f"layers.{i}.w": entry("U8", [1], i, i + 1) for i in range(20_000)}).encode(),
    "one name": b'{"' + b"a" * 10_000_000 + b'":1}',
    "one number": b'{"a":' + b"1" * 10_000_000 + b"}",
}


@pytest.mark.parametrize("header", HUGE.values(), ids=HUGE)
def test_a_header_of_megabytes_does_not_hang(header: bytes):
    with no_longer_than(100), suppress(CheckpointError):
        assert read(raw(header)).tensors == ()


def test_a_header_of_very_many_small_values_is_refused_before_it_is_parsed():
    """Parsed, 24 MB of empty lists take a gigabyte."""
    with no_longer_than(100), pytest.raises(CheckpointError) as caught:
        read(raw(b'{"a":[' + b"[]," * 8_000_001 + b"[]]}"))
    assert caught.value.code == "header-too-long"


SIZES = st.lists(st.integers(0, 4), max_size=3)
DTYPES = st.sampled_from(sorted(set(DTYPE_BITS) - {"F4", "F6_E2M3", "F6_E3M2"}))
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(
    lambda name: name.isprintable() and visible(name) == name
)


@st.composite
def files(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Header and data of a well-formed file, wide dtypes first."""
    specs = draw(st.dictionaries(NAMES, st.tuples(DTYPES, SIZES), max_size=4))
    header: dict[str, Any] = {}
    if draw(st.booleans()):
        header["__metadata__"] = draw(
            st.dictionaries(st.text("abc", max_size=2), st.text("abc", max_size=2), max_size=2)
        )
    begin = 0
    for name, (dtype, shape) in sorted(specs.items(), key=lambda item: -DTYPE_BITS[item[1][0]]):
        n_bytes = DTYPE_BITS[dtype] // 8
        for size in shape:
            n_bytes *= size
        header[name] = entry(dtype, shape, begin, begin + n_bytes)
        begin += n_bytes
    return header, draw(st.binary(min_size=begin, max_size=begin))


def agrees_with_the_reference(data: bytes) -> bool:
    """Whether the scanner takes the file; if so, the reference reader finds the same names, shapes and bytes in it."""
    try:
        header = read(data)
    except CheckpointError:
        return False
    theirs = dict(safetensors.deserialize(data))
    assert {tensor.name for tensor in header.tensors} == set(theirs)
    for tensor in header.tensors:
        assert tensor.dtype == theirs[tensor.name]["dtype"]
        assert list(tensor.shape) == theirs[tensor.name]["shape"]
        assert data[tensor.begin : tensor.end] == theirs[tensor.name]["data"]
    return True


@given(files())
def test_a_well_formed_file_is_read_as_the_reference_reads_it(file: tuple[dict[str, Any], bytes]):
    assert agrees_with_the_reference(raw(*file))


@given(st.binary(max_size=64))
@example(b"\2\0\0\0\0\0\0\0{}")
def test_any_bytes_are_read_or_refused(data: bytes):
    agrees_with_the_reference(data)


@given(st.binary(max_size=40), st.binary(max_size=8))
def test_any_header_is_read_or_refused(header: bytes, data: bytes):
    agrees_with_the_reference(raw(b"{" + header + b"}", data))


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2**64) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=5,
)


@given(files(), st.data())
def test_a_changed_value_is_read_alike_or_refused(file: tuple[dict[str, Any], bytes], data: st.DataObject):
    header, values = file
    name = data.draw(st.sampled_from(sorted(header) or ["x"]))
    if isinstance(header.get(name), dict) and data.draw(st.booleans()):
        field = data.draw(st.sampled_from(["dtype", "shape", "data_offsets", "other"]))
        header[name] = header[name] | {field: data.draw(JUNK | SIZES | DTYPES)}
    else:
        header[name] = data.draw(JUNK)
    agrees_with_the_reference(raw(header, values))


@given(files(), st.data())
def test_a_changed_byte_is_read_alike_or_refused(file: tuple[dict[str, Any], bytes], data: st.DataObject):
    whole = bytearray(raw(*file))
    for _ in range(data.draw(st.integers(1, 3))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.sampled_from(b'{}[]":,0123456789aF \\u\0\xff'))
    agrees_with_the_reference(bytes(whole))
