"""Which files of a folder are the weights, and what is refused before a byte of them is read."""

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from other_containers import floats, gguf_file
from small_checkpoint import entry, raw, read_tensors, write_shards, write_tensors

from attest.checkpoint import BITS, Checkpoint, open_checkpoint
from attest.checkpoint.checkpoint import MAX_FINDINGS
from attest.checkpoint.tensor import DTYPE_BITS
from attest.errors import AttestError, CheckpointError, DocumentError, UnknownFormatError, UnsafeFormatError

ONE = {"a": np.arange(4, dtype=np.float32)}
TWO = {"b": np.arange(6, dtype=np.int64)}
INDEX = "model.safetensors.index.json"


class MakesAFile:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    made.mkdir()
    return made


def names(checkpoint: Checkpoint) -> dict[str, str]:
    return {tensor.name: tensor.file for tensor in checkpoint.tensors}


def codes(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    return [(finding.code, finding.path) for finding in checkpoint.findings]


def refused(folder: Path) -> AttestError:
    with pytest.raises(AttestError) as caught:
        open_checkpoint(folder)
    assert caught.value.exit_code == 3
    return caught.value


def test_one_file(folder: Path):
    write_tensors(folder / "model.safetensors", ONE | TWO)
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.name, checkpoint.format, checkpoint.findings) == ("checkpoint", "safetensors", ())
    assert names(checkpoint) == {"a": "model.safetensors", "b": "model.safetensors"}


def test_what_a_file_claims_of_itself_is_a_finding(folder: Path):
    claims = {"format": "pt", "license": "MIT\n" + "x" * 1000} | {f"key {number:02}": "" for number in range(30)}
    write_tensors(folder / "model.safetensors", ONE, claims)
    checkpoint = open_checkpoint(folder)
    assert checkpoint.metadata["model.safetensors"] == claims
    assert codes(checkpoint) == [("file-metadata", "model.safetensors")] * MAX_FINDINGS + [("findings-cut", ".")]
    assert checkpoint.findings[0].text == "format: pt"
    assert max(len(finding.text) for finding in checkpoint.findings) <= 500
    assert checkpoint.findings[-1].text == "12 more of file-metadata"


def test_a_file_given_by_itself(folder: Path):
    write_tensors(folder / "weights.safetensors", ONE)
    write_tensors(folder / "other.safetensors", TWO)
    checkpoint = open_checkpoint(folder / "weights.safetensors")
    assert (checkpoint.name, names(checkpoint)) == ("weights.safetensors", {"a": "weights.safetensors"})


def test_shards_with_an_index(folder: Path):
    write_shards(folder, {"x-1.safetensors": ONE, "x-2.safetensors": TWO})
    checkpoint = open_checkpoint(folder)
    assert names(checkpoint) == {"a": "x-1.safetensors", "b": "x-2.safetensors"}
    assert set(checkpoint.documents) == {INDEX}


def test_shards_without_an_index(folder: Path):
    write_shards(folder, {"x-1.safetensors": ONE, "x-2.safetensors": TWO}, index=False)
    assert set(names(open_checkpoint(folder))) == {"a", "b"}


def test_weights_in_folders_below_count_where_there_are_none_above(folder: Path):
    write_tensors(folder / "below" / "x.safetensors", ONE)
    assert names(open_checkpoint(folder)) == {"a": "below/x.safetensors"}
    write_tensors(folder / "y.safetensors", TWO)
    checkpoint = open_checkpoint(folder)
    assert names(checkpoint) == {"b": "y.safetensors"}
    assert codes(checkpoint) == [("weights-not-measured", "below/x.safetensors")]


def test_what_a_loader_takes_is_what_is_measured(folder: Path):
    """Loaders take model.safetensors before any index: shards beside it could be a decoy."""
    write_shards(folder, {"decoy-1.safetensors": ONE, "decoy-2.safetensors": TWO})
    write_tensors(folder / "model.safetensors", {"c": np.ones(1, np.float32)})
    checkpoint = open_checkpoint(folder)
    assert names(checkpoint) == {"c": "model.safetensors"}
    assert codes(checkpoint) == [
        ("weights-not-measured", "decoy-1.safetensors"),
        ("weights-not-measured", "decoy-2.safetensors"),
    ]


def test_a_missing_shard(folder: Path):
    write_shards(folder, {"x-1.safetensors": ONE, "x-2.safetensors": TWO})
    (folder / "x-2.safetensors").unlink()
    error = refused(folder)
    assert (error.code, error.where) == ("missing-shard", INDEX)
    assert "x-2.safetensors" in error.message


@pytest.mark.parametrize("shard", ["../outside.safetensors", "/etc/passwd", "", ".", "x-1.safetensors/", "\0"])
def test_a_shard_outside_is_a_missing_shard(folder: Path, shard: str):
    write_tensors(folder.parent / "outside.safetensors", TWO)
    write_shards(folder, {"x-1.safetensors": ONE}, index=False)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "x-1.safetensors", "b": shard}}))
    assert refused(folder).code == "missing-shard"


@pytest.mark.parametrize(
    "weight_map",
    [
        {"a": "x-1.safetensors", "b": "x-2.safetensors", "absent": "x-2.safetensors"},
        {"a": "x-1.safetensors", "b": "x-1.safetensors"},
        {"a\x1b[2J": "x-1.safetensors"},
    ],
)
def test_a_tensor_that_is_promised_and_absent(folder: Path, weight_map: Mapping[str, str]):
    write_shards(folder, {"x-1.safetensors": ONE, "x-2.safetensors": TWO}, index=False)
    (folder / INDEX).write_text(json.dumps({"weight_map": weight_map}))
    assert refused(folder).code == "missing-tensor"


def test_a_tensor_in_two_shards(folder: Path):
    write_shards(folder, {"x-1.safetensors": ONE, "x-2.safetensors": ONE}, index=False)
    error = refused(folder)
    assert (error.code, error.where) == ("duplicate-tensor", "x-2.safetensors")
    assert "x-1.safetensors" in error.message
    assert error.fix.startswith("give one of the two by its own path")
    assert [tensor.name for tensor in open_checkpoint(folder / "x-2.safetensors").tensors] == ["a"]


def test_several_gguf_files_of_one_model(folder: Path):
    for name in ("model-Q4_0.gguf", "model-Q8_0.gguf"):
        (folder / name).write_bytes(gguf_file({"a": floats(4, 8)}))
    error = refused(folder)
    assert (error.code, error.where) == ("duplicate-tensor", "model-Q8_0.gguf")
    assert "model-Q4_0.gguf" in error.message
    assert open_checkpoint(folder / "model-Q8_0.gguf").format == "gguf"


def test_tensors_that_the_index_does_not_name(folder: Path):
    many = {f"extra.{number}": np.ones(1, np.float32) for number in range(MAX_FINDINGS + 5)}
    write_shards(folder, {"x.safetensors": ONE | many}, index=False)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "x.safetensors"}}))
    checkpoint = open_checkpoint(folder)
    assert len(checkpoint.tensors) == MAX_FINDINGS + 6
    assert codes(checkpoint) == [("not-in-index", "x.safetensors")] * MAX_FINDINGS + [("findings-cut", ".")]
    assert checkpoint.findings[-1].text == "5 more of not-in-index"


BAD_INDEXES = {
    "list": (b"[]", CheckpointError, "bad-index"),
    "no weight_map": (b'{"metadata": {}}', CheckpointError, "bad-index"),
    "weight_map a list": (b'{"weight_map": ["x.safetensors"]}', CheckpointError, "bad-index"),
    "weight_map of nothing": (b'{"weight_map": {}}', CheckpointError, "bad-index"),
    "shard a number": (b'{"weight_map": {"a": 1}}', CheckpointError, "bad-index"),
    "shard null": (b'{"weight_map": {"a": null}}', CheckpointError, "bad-index"),
    "tensor twice": (b'{"weight_map": {"a": "x.safetensors", "a": "y"}}', DocumentError, "duplicate-key"),
    "not JSON": (b"{", DocumentError, "not-json"),
    "deep": (b"[" * 100_000, DocumentError, "too-deep"),
    "too large": (b'{"weight_map": {"a": "' + b"x" * 32 * 1024 * 1024 + b'"}}', DocumentError, "document-too-large"),
}


@pytest.mark.parametrize(("index", "kind", "code"), BAD_INDEXES.values(), ids=BAD_INDEXES)
def test_a_broken_index(folder: Path, index: bytes, kind: type[AttestError], code: str):
    write_tensors(folder / "x.safetensors", ONE)
    (folder / INDEX).write_bytes(index)
    error = refused(folder)
    assert (type(error), error.code, error.where) == (kind, code, INDEX)


def test_a_shard_that_is_no_safetensors_file(folder: Path):
    (folder / "x.safetensors").write_bytes(b"PK\x03\x04" + bytes(100))
    assert refused(folder).where == "x.safetensors"


def test_only_a_pickle_is_refused_and_never_loaded(folder: Path):
    marker = folder / "marker"
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(MakesAFile(marker)))
    error = refused(folder)
    assert (type(error), error.code, error.where) == (UnsafeFormatError, "unsafe-format", "pytorch_model.bin")
    assert not marker.exists()
    pickle.loads((folder / "pytorch_model.bin").read_bytes())  # noqa: S301 - shows that the pickle is armed
    assert marker.exists()


@pytest.mark.parametrize("name", ["a.bin", "a.pt", "a.pth", "A.CKPT", "a.pkl", "a.h5", "sub/a.bin"])
def test_formats_whose_readers_can_run_code_are_refused(folder: Path, name: str):
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(raw({"a": entry()}, bytes(4)))
    assert type(refused(folder)) is UnsafeFormatError


def test_a_pickle_beside_the_weights_is_a_finding(folder: Path):
    write_tensors(folder / "model.safetensors", ONE)
    for name in ("pytorch_model.bin", "training_args.bin", "other.pkl"):
        (folder / name).write_bytes(b"never loaded")
    assert sorted(codes(open_checkpoint(folder))) == [
        ("unsafe-file", "other.pkl"),
        ("unsafe-file", "pytorch_model.bin"),
        ("unsafe-file", "training_args.bin"),
    ]


@pytest.mark.parametrize("name", ["model.tflite", "README.md", "model.safetensors.txt", "safetensors"])
def test_formats_that_are_not_known(folder: Path, name: str):
    (folder / name).write_bytes(b"GGUF")
    error = refused(folder)
    assert (type(error), error.code) == (UnknownFormatError, "unknown-format")


def test_a_file_of_another_format_given_by_itself(folder: Path):
    (folder / "model.tflite").write_bytes(b"TFL3")
    assert refused(folder / "model.tflite").code == "unknown-format"
    (folder / "model.pt").write_bytes(b"never loaded")
    assert refused(folder / "model.pt").code == "unsafe-format"


BAD_CONFIGS = {
    "not JSON": b"{'a': 1}",
    "not an object": b"[]",
    "twice": b'{"num_attention_heads": 1, "num_attention_heads": 2}',
    "NaN": b'{"a": NaN}',
    "not UTF-8": b'{"a": "\xff"}',
    "deep": b"[" * 1_000_000,
    "empty": b"",
    "too large": b'{"a": "' + b"a" * 4 * 1024 * 1024 + b'"}',
}


@pytest.mark.parametrize("config", BAD_CONFIGS.values(), ids=BAD_CONFIGS)
def test_a_broken_configuration_is_a_finding(folder: Path, config: bytes):
    write_tensors(folder / "model.safetensors", ONE)
    (folder / "config.json").write_bytes(config)
    checkpoint = open_checkpoint(folder)
    assert codes(checkpoint) == [("config-unreadable", "config.json")]
    assert 0 < len(checkpoint.findings[0].text) <= 500
    assert checkpoint.config == {}


def test_the_configuration_is_read(folder: Path):
    write_tensors(folder / "model.safetensors", ONE)
    (folder / "config.json").write_text('{"num_attention_heads": 4}')
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.config, checkpoint.findings) == ({"num_attention_heads": 4}, ())


def test_no_configuration_is_no_finding(folder: Path):
    write_tensors(folder / "model.safetensors", ONE)
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.config, checkpoint.findings) == ({}, ())


ARRAYS: dict[str, NDArray[Any]] = {
    "matrix": np.arange(12, dtype=np.float32).reshape(3, 4),
    "codes": np.arange(65536, dtype=np.uint16).reshape(256, 256),
    "half": np.array([[0.5, -0.0], [np.inf, np.nan]], np.float16),
    "flags": np.array([True, False, True]),
    "scalar": np.array(7, np.int64),
    "empty": np.empty((3, 0), np.float64),
}


def test_values_are_read_as_they_were_written(folder: Path):
    write_tensors(folder / "model.safetensors", ARRAYS)
    found = read_tensors(folder)
    assert found.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        assert found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()


def test_values_of_a_dtype_without_whole_bytes_are_not_read(folder: Path):
    (folder / "model.safetensors").write_bytes(raw({"a": entry("F4", [2], 0, 1)}, b"\x12"))
    checkpoint = open_checkpoint(folder)
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_bits(checkpoint.tensors[0])
    assert caught.value.code == "unknown-dtype"


def test_values_of_a_file_that_shrank(folder: Path):
    write_tensors(folder / "model.safetensors", ONE)
    checkpoint = open_checkpoint(folder)
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-1])
    with pytest.raises(CheckpointError) as caught:
        checkpoint.read_bits(checkpoint.tensors[0])
    assert caught.value.code == "file-changed"


def test_codes_have_the_width_of_their_dtype():
    assert all(np.dtype(code).itemsize * 8 == DTYPE_BITS[dtype] for dtype, code in BITS.items())
    assert set(DTYPE_BITS) - set(BITS) == {"F4", "F6_E2M3", "F6_E3M2"}
