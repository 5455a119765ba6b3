"""Codes in files that ONNX Runtime wrote stand for the values that it reads in them."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from attest.architecture import place_tensors
from attest.checkpoint import Checkpoint, open_checkpoint
from attest.digest import sha256

VECTORS = json.loads((Path(__file__).parent / "data" / "onnxruntime.json").read_text())
FILES = {one["kind"]: one for one in VECTORS["files"]}
BLOCKS, BYTES = "4 bits, blocks of 32, with zeros", "unsigned bytes, a scale for each output"


def written(kind: str, folder: Path) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(base64.b64decode(FILES[kind]["file"]))
    return path


def changed(kind: str, folder: Path, change: Mapping[str, Any]) -> Checkpoint:
    """The file with initializers replaced, left out (None) or renamed (a text), and attributes of the node replaced."""
    path = written(kind, folder)
    model = onnx.load(str(path))
    kept = []
    for one in model.graph.initializer:
        new = next((new for end, new in change.items() if one.name.endswith(end)), one)
        if isinstance(new, str):
            one.name, new = new, one
        kept += [] if new is None else [new if new is one else onnx.numpy_helper.from_array(new, one.name)]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        for attribute in node.attribute:
            attribute.i = change.get(attribute.name, attribute.i)
    onnx.save(model, str(path))
    return open_checkpoint(folder)


@pytest.mark.parametrize("kind", FILES)
def test_values_are_those_that_the_runtime_reads(kind: str, tmp_path: Path):
    checkpoint = open_checkpoint(written(kind, tmp_path))
    (one,) = checkpoint.packed.values()
    assert (one.name, one.shape) == (VECTORS["name"], (24, 40))
    values = checkpoint.read_values(one)
    values = np.ascontiguousarray(values.T if one.turned else values) + np.float32(0)
    assert sha256(values.tobytes()) == FILES[kind]["values"]
    weight = np.random.default_rng(960).normal(size=(24, 40)).astype(np.float32)
    assert np.corrcoef(values.ravel(), weight.ravel())[0, 1] > (0.9 if kind.startswith("2") else 0.99)
    assert ("up", 0) in place_tensors(checkpoint).index
    assert not any(finding.code == "tensor-not-read" for finding in checkpoint.findings)


CONTRADICTIONS = {
    "other outputs": (BLOCKS, {"N": 23}),
    "other inputs": (BLOCKS, {"K": 80}),
    "other bits": (BLOCKS, {"bits": 8}),
    "bits of no scheme": (BLOCKS, {"bits": 5}),
    "blocks of another size": (BLOCKS, {"block_size": 16}),
    "blocks of no size": (BLOCKS, {"block_size": 0}),
    "scales of other number": (BLOCKS, {"_scales": np.ones(24, np.float32)}),
    "scales that are integers": (BLOCKS, {"_scales": np.ones((24, 2), np.int8)}),
    "no scales": (BLOCKS, {"_scales": None}),
    "zeros of other number": (BLOCKS, {"_zero_points": np.ones(12, np.uint8)}),
    "no zeros": (BLOCKS, {"_zero_points": None}),
    "bytes without a scale": (BYTES, {"_scale": None}),
    "bytes with scales of rows": (BYTES, {"7_scale": np.ones(40, np.float32)}),
    "bytes with integers as scales": (BYTES, {"7_scale": np.ones(24, np.int32)}),
    "bytes without zeros": (BYTES, {"_zero_point": None}),
    "bytes with one zero": (BYTES, {"7_zero_point": np.array([3], np.uint8)}),
    "bytes with signed zeros": (BYTES, {"7_zero_point": np.full(24, 3, np.int8)}),
}


@pytest.mark.parametrize(("kind", "change"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_parts_that_do_not_fit_have_no_values(kind: str, change: Mapping[str, Any], tmp_path: Path):
    checkpoint = changed(kind, tmp_path, change)
    assert not checkpoint.packed
    assert not place_tensors(checkpoint).index


def test_zeros_may_be_a_tensor_or_numbers(tmp_path: Path):
    zeros = np.arange(24, dtype=np.uint8)
    checkpoint = changed(BYTES, tmp_path, {"7_zero_point": zeros, "7_scale": np.ones(24, np.float32)})
    (one,) = checkpoint.packed.values()
    assert "zeros" in one.companions
    codes = checkpoint.read_bits(one.tensor).astype(np.float32)
    assert np.array_equal(checkpoint.read_values(one), codes - zeros)


def test_zeros_of_blocks_may_be_floats(tmp_path: Path):
    whole = changed(BLOCKS, tmp_path, {"_zero_points": np.full((24, 1), 0x88, np.uint8)})
    expected = whole.read_values(next(iter(whole.packed.values())))
    floats = changed(BLOCKS, tmp_path, {"_zero_points": np.full((24, 2), 8, np.float32)})
    assert np.array_equal(floats.read_values(next(iter(floats.packed.values()))), expected)


def test_zeros_beyond_their_bytes_are_none(tmp_path: Path):
    path = written(BYTES, tmp_path)
    model = onnx.load(str(path))
    zeros = next(one for one in model.graph.initializer if one.name.endswith("_zero_point"))
    zeros.int32_data[0] = 256
    onnx.save(model, str(path))
    assert not open_checkpoint(tmp_path).packed


def test_a_table_of_tokens_has_its_rows_as_they_are(tmp_path: Path):
    name = "model.embed_tokens.weight"
    ends = ("_quantized", "_scale", "_zero_point")
    checkpoint = changed("signed bytes, a scale for all", tmp_path, {f"7{end}": f"{name}{end}" for end in ends})
    (one,) = checkpoint.packed.values()
    assert (one.name, one.shape, one.turned) == (name, (40, 24), False)
    scale = next(checkpoint.read_bits(tensor) for tensor in checkpoint.tensors if tensor.name == f"{name}_scale")
    expected = checkpoint.read_bits(one.tensor).astype(np.float32) * scale
    assert np.array_equal(checkpoint.read_values(one), expected)
