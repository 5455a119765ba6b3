"""What attest writes of an awkward checkpoint is of the schemas too."""

import json
import struct
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.document import dump
from attest.evidence import MAX_LISTED_FILES
from attest.measure import Measurement, measure
from attest.resource import resource

LONG_NAME = "model.layers.7." + "x" * (1024 - len("model.layers.7."))
Tensors = dict[str, tuple[str, list[int], bytes]]

FIRST: Tensors = {
    "model.layers.0.mlp.up_proj.weight": ("F32", [1, 3], struct.pack("<3f", float("nan"), float("inf"), 1e30)),
    "model.layers.0.mlp.down_proj.weight": ("F32", [3, 1], struct.pack("<3f", 0.0, -0.0, 1e-45)),
    "model.layers.0.self_attn.q_proj.weight": ("BF16", [2, 3], bytes.fromhex("803f807f807fc07f0080ffff")),
    "model.layers.0.self_attn.q_proj.bias": ("F16", [2], bytes.fromhex("007c003c")),
    "model.layers.0.mlp.experts.31.up_proj.weight": ("F8_E4M3", [2, 3], bytes(6)),
}
SECOND: Tensors = {
    LONG_NAME: ("F64", [], struct.pack("<d", 1.0)),
    "none": ("F32", [0, 5], b""),
    "model.layers.3.input_layernorm.weight": ("BF16", [3], bytes.fromhex("803f803f803f")),
    "é flag": ("BOOL", [2], b"\0\1"),
}


def shard(tensors: Tensors) -> bytes:
    """Bytes of a safetensors file."""
    header, data = {}, b""
    for name, (dtype, shape, values) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(values)]}
        data += values
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture(scope="module")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    """Two shards, a tensor that the index omits, a pickle, version control, an empty file, and very many files."""
    folder = tmp_path_factory.mktemp("an awkward ☃ checkpoint")
    files = {"a.safetensors": shard(FIRST), "b.safetensors": shard(SECOND)}
    index = dict.fromkeys(FIRST, "a.safetensors") | dict.fromkeys(SECOND, "b.safetensors")
    del index[LONG_NAME]
    files["model.safetensors.index.json"] = json.dumps({"weight_map": index}).encode()
    files |= {"config.json": b"[]", "pytorch_model.bin": b"\0", "empty": b"", "NOTICE": b"Copyright 2026 A\n"}
    files |= {f"{number}.txt": b"" for number in range(MAX_LISTED_FILES)}
    files |= {f"{number}.pkl": b"" for number in range(30)}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    (folder / ".git").mkdir()
    return measure(folder, repository=folder)


def refusals(name: str, value: object, definition: str | None = None) -> list[str]:
    schema = json.loads(resource(f"schemas/{name}.v1.schema.json").read_text(encoding="utf-8"))
    if definition:
        schema = {"$ref": f"#/$defs/{definition}", "$defs": schema["$defs"]}
    return [f"{error.json_path}: {error.message[:200]}" for error in Draft202012Validator(schema).iter_errors(value)]


def test_the_evidence_is_of_its_schema(awkward: Measurement):
    evidence = dump(awkward.evidence)
    assert refusals("evidence", evidence) == []
    assert [file["path"] for file in evidence["checkpoint"]["files"]] == ["a.safetensors", "b.safetensors"]
    assert evidence["checkpoint"]["ignored"] == [".git"]
    assert evidence["tensors"]["nonFinite"] == 7
    codes = {finding["code"] for finding in evidence["checkpoint"]["findings"]}
    assert codes == {"config-unreadable", "findings-cut", "not-in-index", "unsafe-file"}


@pytest.mark.parametrize(
    ("file", "definition"),
    [
        ("detail/chunks.json", "ChunkList"),
        ("detail/tensors.json", "TensorList"),
        ("detail/licenses.json", "LicenseDetail"),
    ],
)
def test_the_detail_files_are_of_their_schemas(awkward: Measurement, file: str, definition: str):
    assert refusals("detail", json.loads(awkward.details[file]), definition) == []


def test_comparisons_with_it_are_of_their_schema(awkward: Measurement, family: Path):
    other = measure(family / "seed-1")
    sides = [Fingerprints.of(one.evidence, one.tensors, one.profiles, None) for one in (awkward, other)]
    for a in sides:
        for b in sides:
            made = compare(a, b, tool=other.evidence.tool, environment=other.evidence.environment)
            assert refusals("comparison", dump(made)) == []
