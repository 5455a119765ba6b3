"""MLX's codes stand for the values that MLX reads in them, and settings are followed only where they fit the shapes."""

import json
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from mlx_vectors import BITS, SHAPE, VECTORS, array, weight
from numpy.typing import NDArray
from packing import mlx, write_mlx
from safetensors.torch import save_file

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.digest import sha256
from attest.measure import measure

STEM = "model.layers.0.mlp.up_proj"
AFFINE = {"bits": 4, "group_size": 32}
FLOATS = {"F16": np.float16, "BF16": ml_dtypes.bfloat16, "F32": np.float32}


def stored(folder: Path, parts: dict[str, Any], settings: Any = None, key: str = "quantization") -> Checkpoint:
    """One weight as a checkpoint."""
    tensors = {f"{STEM}.{end}": torch.as_tensor(part) for end, part in parts.items() if part is not None}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({} if settings is None else {key: settings}))
    return open_checkpoint(folder)


def values_of(checkpoint: Checkpoint) -> NDArray[np.float32]:
    (one,) = checkpoint.packed.values()
    return checkpoint.read_values(one)


def as_stored(text: str, dtype: str) -> torch.Tensor:
    bits = torch.from_numpy(array(text, BITS[dtype]).copy())
    return bits.view({"BF16": torch.bfloat16, "F16": torch.float16, "F32": torch.float32}[dtype])


@pytest.mark.parametrize("vector", VECTORS["affine"], ids=lambda one: f"{one['bits']} bits")
def test_values_are_those_that_mlx_reads(vector: dict[str, Any], tmp_path: Path):
    parts = {
        "weight": torch.from_numpy(array(vector["words"], np.uint32).copy()),
        "scales": as_stored(vector["scales"], vector["dtype"]),
        "biases": as_stored(vector["biases"], vector["dtype"]),
    }
    found = values_of(stored(tmp_path, parts, {"bits": vector["bits"], "group_size": vector["size"]}))
    assert found.shape == SHAPE
    assert sha256(found.tobytes()) == vector["values"]


@pytest.mark.parametrize("vector", VECTORS["affine"][1:], ids=lambda one: f"{one['bits']} bits")
def test_the_tests_quantize_as_mlx_does(vector: dict[str, Any]):
    packing = mlx(weight(), bits=vector["bits"], size=vector["size"], dtype=FLOATS[vector["dtype"]])
    assert np.array_equal(packing.parts["weight"], array(vector["words"], np.uint32))
    for end in ("scales", "biases"):
        expected = as_stored(vector[end], vector["dtype"])
        assert torch.equal(packing.parts[end], expected)
    assert sha256(packing.values.tobytes()) == vector["values"]


@pytest.mark.parametrize("vector", VECTORS["floats"], ids=lambda one: f"{one['mode']} {one.get('globalScale', '')}")
@pytest.mark.parametrize("claims", ["no claims", "claims"])
def test_values_of_small_floats(vector: dict[str, Any], claims: str, tmp_path: Path):
    parts = {
        "weight": torch.from_numpy(array(vector["words"], np.uint32).copy()),
        "scales": torch.from_numpy(array(vector["scales"], np.uint8).copy()),
        "global_scale": torch.tensor(vector["globalScale"]) if "globalScale" in vector else None,
    }
    settings = {"mode": vector["mode"], "bits": 8 if vector["mode"] == "mxfp8" else 4} if claims == "claims" else None
    assert sha256(values_of(stored(tmp_path, parts, settings)).tobytes()) == vector["values"]


def packed(shape: tuple[int, int] = (64, 96), **changed: Any) -> dict[str, Any]:
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    return {**mlx(values).parts, **changed}


LEFT: dict[str, tuple[dict[str, Any], Any]] = {
    "no settings": ({}, None),
    "settings that are none": ({}, [4, 32]),
    "other bits": ({}, {"bits": 8, "group_size": 32}),
    "another group": ({}, {"bits": 4, "group_size": 64}),
    "a mode that has no biases": ({}, {**AFFINE, "mode": "mxfp4"}),
    "a mode that is not known": ({}, {**AFFINE, "mode": "affine-2"}),
    "bits that nobody has": ({}, {"bits": 7, "group_size": 32}),
    "bits that are text": ({}, {"bits": "4", "group_size": 32}),
    "bits that are true": ({}, {"bits": True, "group_size": 128}),
    "a group of a list": ({}, {"bits": 4, "group_size": [32]}),
    "a group of nothing": ({}, {"bits": 4, "group_size": 0}),
    "a group below nothing": ({}, {"bits": -4, "group_size": -32}),
    "a group beyond all words": ({}, {"bits": 4, "group_size": 10**30}),
    "its own settings, which do not fit": ({}, {**AFFINE, STEM: {"bits": 8, "group_size": 32}}),
    "its own settings, which are empty": ({}, {**AFFINE, STEM: {}}),
    "no scales": ({"scales": None}, AFFINE),
    "no biases": ({"biases": None}, AFFINE),
    "scales of another shape": ({"scales": torch.ones(63, 3, dtype=torch.bfloat16)}, AFFINE),
    "biases of another shape": ({"biases": torch.ones(64, 4, dtype=torch.bfloat16)}, AFFINE),
    "biases of another dtype": ({"biases": torch.ones(64, 3)}, AFFINE),
    "scales in one row": ({"scales": torch.ones(192, dtype=torch.bfloat16)}, AFFINE),
    "no groups": ({end: torch.ones(64, 0, dtype=torch.bfloat16) for end in ("scales", "biases")}, AFFINE),
    "words with a sign": ({"weight": torch.ones(64, 12, dtype=torch.int32)}, AFFINE),
    "no words": ({"weight": torch.ones(64, 0, dtype=torch.uint32), "scales": torch.ones(64, 0), "biases": torch.ones(64, 0)}, AFFINE),
    "bytes of scales, and biases": ({"scales": torch.ones(64, 3, dtype=torch.uint8)}, AFFINE),
    "bytes of scales that no mode has": ({"scales": torch.ones(64, 12, dtype=torch.uint8), "biases": None}, None),
    "bytes of scales of another mode": ({"scales": torch.ones(64, 3, dtype=torch.uint8), "biases": None}, {"mode": "nvfp4"}),
    "a scale of all where there is none": ({"scales": torch.ones(64, 3, dtype=torch.uint8), "biases": None, "global_scale": torch.ones(1)}, None),
    "scales of all, of each": ({"scales": torch.ones(64, 6, dtype=torch.uint8), "biases": None, "global_scale": torch.ones(64)}, None),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_what_does_not_fit_is_digested_alone(case: str, tmp_path: Path):
    changed, settings = LEFT[case]
    checkpoint = stored(tmp_path, packed(**changed), settings)
    assert not checkpoint.packed
    assert not any("stand for" in finding.text for finding in checkpoint.findings)
    evidence = measure(tmp_path).evidence
    assert evidence.tensors.count == len(checkpoint.tensors)
    assert "unit-norms/v1" not in {one.id for one in evidence.fingerprints if one.detail}


@pytest.mark.parametrize("key", ["quantization", "quantization_config"])
@pytest.mark.parametrize("settings", [AFFINE, {"bits": 8, "group_size": 64, STEM: AFFINE}, {**AFFINE, STEM: True}])
def test_settings_of_a_module_come_first(key: str, settings: dict[str, Any], tmp_path: Path):
    values = np.random.default_rng(0).normal(size=(64, 96)).astype(np.float32)
    packing = mlx(values)
    assert np.array_equal(values_of(stored(tmp_path, dict(packing.parts), settings, key)), packing.values)


def test_experts_in_one_tensor(tmp_path: Path):
    stack = np.random.default_rng(0).normal(size=(3, 64, 96)).astype(np.float32)
    packings = [mlx(one, bits=3) for one in stack]
    parts = {
        end: torch.stack([torch.as_tensor(one.parts[end]) for one in packings])
        for end in ("weight", "scales", "biases")
    }
    checkpoint = stored(tmp_path, parts, {"bits": 3, "group_size": 32})
    (one,) = checkpoint.packed.values()
    assert one.stacked == 3
    assert np.array_equal(checkpoint.read_values(one), np.concatenate([one.values for one in packings]))


def test_a_converted_copy_has_the_sizes_of_its_parent(family: Path, tmp_path: Path):
    own = {"model__layers__1__mlp__down_proj": {"bits": 6, "group_size": 64}}
    copy = measure(write_mlx(tmp_path / "copy", family / "seed-1", **own)).evidence
    parent = measure(family / "seed-1").evidence
    assert copy.architecture == parent.architecture
    assert copy.tensors.unmapped == ()
    assert copy.tensors.parameters == parent.tensors.parameters
    (text,) = (one.text for one in copy.checkpoint.findings if one.code == "quantized-weights")
    assert text.startswith("MLX: 29 weights are stored so")
    (text,) = (one.text for one in copy.checkpoint.findings if one.code == "declared-quantization")
    assert text == "bits 4, group_size 32, mode affine"


def test_scales_that_are_no_numbers_are_counted(tmp_path: Path):
    scales = torch.full((64, 3), torch.inf, dtype=torch.bfloat16)
    stored(tmp_path, packed(scales=scales), AFFINE)
    codes = {one.code for one in measure(tmp_path).evidence.checkpoint.findings}
    assert "values-not-finite" in codes
