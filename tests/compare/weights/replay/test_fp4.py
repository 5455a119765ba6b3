"""Quantizing to 4-bit floats, against gguf's quantizer, ml_dtypes' rounding, and weights that were packed elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch
from compare.derived import layer_name
from compare.weights.replay.test_replay import UP, bf16, lines, random_model, replayed, write
from hypothesis import given, settings
from hypothesis import strategies as st
from measured import FAMILY
from mixture import in_turn, outputs_first, some, stacked, widened, write_mixture
from numpy.typing import NDArray
from packing import fp4_codes, mxfp4, mxfp4_blocks, nvfp4
from safetensors.torch import save_file
from small_checkpoint import copy_with, read_tensors

from attest.compare.weights.replay.fp4 import (
    ggml_mxfp4,
    ggml_nvfp4,
    mxfp4_codes,
    mxfp4_scales,
    nvfp4_codes,
    nvfp4_scales,
)

SCALES = st.integers(-40, 40)
FEW = settings(max_examples=25)


def rounded(seed: int, exponent: int, *, halves: bool) -> NDArray[np.float32]:
    """BF16 values with a row of zeros, and where asked for such that lie half-way between levels."""
    values = np.random.default_rng(seed).standard_normal((6, 128))
    values[0, :64] = 0
    if halves:
        values[1:] = np.rint(values[1:] * 4) / 4
    return (values * 2.0**exponent).astype(ml_dtypes.bfloat16).astype(np.float32)


@FEW
@given(seed=st.integers(0, 2**32), exponent=SCALES, halves=st.booleans())
def test_mxfp4_of_ggml(seed: int, exponent: int, *, halves: bool):
    values = rounded(seed, exponent, halves=halves)
    expected = gguf.quants.quantize(values, gguf.GGMLQuantizationType.MXFP4)
    assert np.array_equal(ggml_mxfp4(values), expected)


@FEW
@given(seed=st.integers(0, 2**32), exponent=st.integers(-12, 8), halves=st.booleans())
def test_nvfp4_of_ggml(seed: int, exponent: int, *, halves: bool):
    values = rounded(seed, exponent, halves=halves)
    runs = values.reshape(-1, 16)
    scales = gguf.quants.NVFP4.fp32_to_ue4m3(np.abs(runs).max(axis=1) / np.float32(6))
    steps = gguf.quants.NVFP4.ue4m3_to_fp32(scales).astype(np.float32)[:, None, None]
    levels = np.array(gguf.quants.NVFP4.kvalues, np.float32)
    best = np.abs(steps * levels - runs[:, :, None]).argmin(axis=2).astype(np.uint8)
    codes = best[:, :8] | best[:, 8:] << 4
    expected = np.concatenate([scales.reshape(-1, 4), codes.reshape(-1, 32)], axis=1)
    assert np.array_equal(ggml_nvfp4(values), expected.reshape(6, -1))


@FEW
@given(seed=st.integers(0, 2**32), exponent=SCALES, halves=st.booleans())
def test_mxfp4_of_the_specification(seed: int, exponent: int, *, halves: bool):
    values = rounded(seed, exponent, halves=halves)[1:]
    packed = mxfp4(values).parts
    assert np.array_equal(mxfp4_codes(values), packed["weight_packed"])
    assert np.array_equal(mxfp4_scales(values), packed["weight_scale"])


@FEW
@given(seed=st.integers(0, 2**32), exponent=SCALES)
def test_nvfp4_of_model_optimizer(seed: int, exponent: int):
    values = rounded(seed, exponent, halves=False)
    largest = np.abs(values).max().reshape(1, 1)
    scales = nvfp4_scales(values, largest)
    top = largest[0, 0] / np.float32(6 * 448)
    tops = np.abs(values.reshape(6, -1, 16)).max(axis=2) / (np.float32(6) * top)
    expected = torch.from_numpy(np.where(tops == 0, 1, tops).astype(np.float32)).to(torch.float8_e4m3fn)
    assert np.array_equal(scales, expected.view(torch.uint8).numpy())
    steps = expected.float().numpy() * top
    assert np.array_equal(
        nvfp4_codes(values, largest), fp4_codes(values.reshape(6, -1, 16) / steps[:, :, None]).reshape(6, -1)
    )


@pytest.mark.parametrize("scheme", ["MXFP4", "NVFP4"])
def test_a_packed_copy_is_made_again_out_of_its_parent_and_not_out_of_a_stranger(scheme: str, tmp_path: Path):
    parent = write(tmp_path / "parent", {name: bf16(one) for name, one in random_model(11).items()})
    stranger = write(tmp_path / "stranger", {name: bf16(one) for name, one in random_model(12).items()})
    weight = random_model(11)[UP].astype(ml_dtypes.bfloat16).astype(np.float32)
    parts = (mxfp4 if scheme == "MXFP4" else nvfp4)(weight).parts
    stem = UP.removesuffix("weight")
    (tmp_path / "child").mkdir()
    tensors = {stem + end: torch.as_tensor(part).contiguous() for end, part in parts.items()}
    save_file(tensors, tmp_path / "child" / "model.safetensors")
    found = lines(replayed(parent, tmp_path / "child"))
    codes = found[stem + ("weight_packed" if scheme == "MXFP4" else "weight")]
    assert (codes["operation"], codes["lines"], codes["telling"]) == (f"{scheme} codes of BF16", "all", "yes")
    assert found[f"{stem}weight_scale"]["operation"] == f"{scheme} scales of BF16"
    assert not replayed(stranger, tmp_path / "child").found


def test_matrices_that_share_a_scale_are_made_again(tmp_path: Path):
    names = [layer_name(1, f"self_attn.{part}_proj") for part in "qkv"]
    model = {name: one.astype(ml_dtypes.bfloat16).astype(np.float32) for name, one in random_model(11).items()}
    largest = max(np.abs(model[name]).max() for name in names)
    tensors = {}
    for name in names:
        stem, parts = name.removesuffix("weight"), nvfp4(model[name], largest=largest).parts
        tensors |= {stem + end: torch.as_tensor(part).contiguous() for end, part in parts.items()}
    (tmp_path / "child").mkdir()
    save_file(tensors, tmp_path / "child" / "model.safetensors")
    parent = write(tmp_path / "parent", {name: bf16(one) for name, one in model.items()})
    found = lines(replayed(parent, tmp_path / "child"))
    assert [found[name]["made of"] for name in names] == names
    assert {found[name]["operation"] for name in names} == {"NVFP4 codes of BF16"}


@pytest.mark.parametrize("write_experts", [in_turn, outputs_first])
def test_blocks_of_gpt_oss_are_made_again_however_the_parent_lies(write_experts: Any, tmp_path: Path):
    source = write_mixture(
        FAMILY / "seed-1", tmp_path / "alone", lambda layer, mlp: [some(mlp, np.arange(64) + at) for at in (layer, 99)]
    )
    arrays = stacked(read_tensors(source), write_experts)
    parent = copy_with(source, tmp_path / "parent", arrays)
    child = {}
    for name, codes in arrays.items():
        if "layers.1." in name and "experts." in name:
            values = widened(codes)
            blocks, scales = mxfp4_blocks(values.transpose(0, 2, 1) if write_experts is in_turn else values)
            child |= {f"{name}_blocks": torch.from_numpy(blocks), f"{name}_scales": torch.from_numpy(scales)}
    (tmp_path / "child").mkdir()
    save_file(child, tmp_path / "child" / "model.safetensors")
    found = lines(replayed(parent, tmp_path / "child"))
    turned = ", transposed" if write_experts is in_turn else ""
    for name in (f"model.layers.1.mlp.experts.{part}_proj" for part in ("gate_up", "down")):
        line = found[f"{name}_blocks"]
        assert (line["made of"], line["operation"], line["lines"]) == (name, f"MXFP4 codes of BF16{turned}", "all")
        assert (line["telling"], line["values"]) == ("yes", line["of"])
