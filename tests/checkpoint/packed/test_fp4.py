"""MXFP4 and NVFP4 as they are stored, against encoders and decoders that attest does not share."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import gguf
import ml_dtypes
import numpy as np
import pytest
import torch
from compare.pairs import measured_at
from measured import FAMILY
from mixture import Expert, in_turn, some, stacked, widened, write_mixture
from packing import fp4_codes, mxfp4_blocks, nvfp4, powers
from safetensors.torch import save_file
from small_checkpoint import read_tensors
from transformers.integrations.mxfp4 import convert_moe_packed_tensors

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.compare.correspondence.expert_alignment import expert_alignment
from attest.measure import measure

NAME = "model.layers.0.mlp.experts.gate_up_proj"
RNG = np.random.default_rng(0)


def saved(folder: Path, tensors: dict[str, Any]) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    arrays = {name: torch.as_tensor(one).contiguous() for name, one in tensors.items()}
    save_file(arrays, folder / "model.safetensors")
    return open_checkpoint(folder)


def test_blocks_of_gpt_oss_are_what_transformers_makes_of_them(tmp_path: Path):
    blocks = RNG.integers(0, 256, (3, 10, 2, 16), dtype=np.uint8)
    scales = RNG.integers(1, 250, (3, 10, 2), dtype=np.uint8)
    checkpoint = saved(tmp_path, {f"{NAME}_blocks": blocks, f"{NAME}_scales": scales})
    (one,) = checkpoint.packed.values()
    assert (one.scheme, one.name, one.stacked, one.shape) == ("MXFP4", NAME, 3, (10, 64))
    expected = convert_moe_packed_tensors(
        torch.from_numpy(blocks.copy()), torch.from_numpy(scales.copy()), dtype=torch.float32
    )
    found = checkpoint.read_values(one).reshape(3, 10, 64)
    assert np.array_equal(found, expected.numpy().transpose(0, 2, 1))
    assert "MXFP4: 1 weights" in next(one.text for one in checkpoint.findings)
    assert checkpoint.n_parameters == 3 * 10 * 64


def test_the_last_scale_is_no_number_and_the_first_is_exact(tmp_path: Path):
    scales = np.array([[[255, 0]]], np.uint8)
    blocks = np.full((1, 1, 2, 16), 0x71, np.uint8)
    checkpoint = saved(tmp_path, {f"{NAME}_blocks": blocks, f"{NAME}_scales": scales})
    values = checkpoint.read_values(next(iter(checkpoint.packed.values())))[0]
    assert np.isnan(values[:32]).all()
    assert values[32:34].tolist() == [math.ldexp(0.5, -127), math.ldexp(6, -127)]


LEFT = {
    "no scales": {"scales": None},
    "scales of another shape": {"scales": np.zeros((3, 10, 3), np.uint8)},
    "scales of another dtype": {"scales": np.zeros((3, 10, 2), np.float32)},
    "blocks of another size": {"blocks": np.zeros((3, 10, 2, 8), np.uint8)},
    "no blocks": {"blocks": np.zeros((3, 10, 0, 16), np.uint8), "scales": np.zeros((3, 10, 0), np.uint8)},
    "too few dimensions": {"blocks": np.zeros((2, 16), np.uint8), "scales": np.zeros((2,), np.uint8)},
    "too many dimensions": {"blocks": np.zeros((1, 1, 1, 2, 16), np.uint8), "scales": np.zeros((1, 1, 1, 2), np.uint8)},
    "integers": {"blocks": np.zeros((3, 10, 2, 16), np.int8)},
}


@pytest.mark.parametrize("case", LEFT)
def test_blocks_that_do_not_fit_are_left_as_they_are(case: str, tmp_path: Path):
    parts = {"blocks": np.zeros((3, 10, 2, 16), np.uint8), "scales": np.zeros((3, 10, 2), np.uint8)} | LEFT[case]
    assert not saved(tmp_path, {f"{NAME}_{end}": part for end, part in parts.items() if part is not None}).packed


def nvidia(**changed: Any) -> dict[str, Any]:
    parts = dict(nvfp4(RNG.standard_normal((8, 32)).astype(np.float32)).parts) | changed
    return {f"a.layers.0.up_proj.{end}": part for end, part in parts.items() if part is not None}


@pytest.mark.parametrize(
    "changed",
    [
        {"weight_scale_2": None},
        {"weight_scale_2": np.ones(2, np.float32)},
        {"weight_scale_2": np.ones(1, np.float16)},
        {"weight_scale": np.ones((8, 2), np.float32)},
        {"weight_scale": torch.ones(8, 3).to(torch.float8_e4m3fn)},
        {"weight": np.zeros((8, 12), np.uint8)},
    ],
    ids=["no scale of the tensor", "several", "in binary16", "scales of binary32", "too many scales", "odd width"],
)
def test_parts_of_nvfp4_that_do_not_fit(changed: dict[str, Any], tmp_path: Path):
    assert not saved(tmp_path, nvidia(**changed)).packed
    assert len(saved(tmp_path / "whole", nvidia()).packed) == 1


def raw_file(folder: Path, tensors: dict[str, tuple[str, tuple[int, ...], bytes]]) -> Path:
    """A safetensors file with dtypes that torch cannot write."""
    header, data = {}, b""
    for name, (dtype, shape, own) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(own)]}
        data += own
    text = json.dumps(header).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text + data)
    return folder


@pytest.mark.parametrize("dtype", ["F8_E8M0", "F8_E4M3"])
def test_codes_with_a_dtype_of_their_own(dtype: str, tmp_path: Path):
    weight = RNG.standard_normal((6, 64)).astype(np.float32)
    size, kind = {"F8_E8M0": (32, ml_dtypes.float8_e8m0fnu), "F8_E4M3": (16, ml_dtypes.float8_e4m3fn)}[dtype]
    groups = weight.reshape(6, -1, size)
    scales = powers(groups).view(kind) if size == 32 else (np.abs(groups).max(axis=2) / 6).astype(kind)
    wide = scales.astype(np.float32)[..., None]
    codes = (groups / wide).clip(-6, 6).astype(ml_dtypes.float4_e2m1fn)
    pairs = fp4_codes(groups / wide)
    name = "model.layers.0.mlp.up_proj.weight"
    folder = raw_file(
        tmp_path,
        {name: ("F4", (6, 64), pairs.tobytes()), f"{name}_scale": (dtype, scales.shape, scales.tobytes())},
    )
    checkpoint = open_checkpoint(folder)
    (one,) = checkpoint.packed.values()
    assert one.scheme == {"F8_E8M0": "MXFP4", "F8_E4M3": "NVFP4"}[dtype]
    assert np.array_equal(checkpoint.read_values(one), (codes.astype(np.float32) * wide).reshape(6, 64))
    rows = {row.name: row for row in measure(folder).tensors.tensors}
    stored, beside = rows[name].moments, rows[f"{name}_scale"].moments
    values = codes.astype(np.float64)
    assert stored
    assert beside
    assert (stored.n, stored.zeros, stored.distinct) == (384, np.count_nonzero(values == 0), len(np.unique(values)))
    assert (float(stored.mean), float(stored.std)) == pytest.approx((values.mean(), values.std(ddof=1)), rel=1e-8)
    assert float(beside.mean) == pytest.approx(scales.astype(np.float64).mean(), rel=1e-8)


@pytest.mark.parametrize("shape", [(4, 1), (2, 3), (2, 0), (1, 2), (0, 2), (2,)])
def test_rows_that_do_not_end_with_a_byte_are_counted_all_the_same(shape: tuple[int, ...], tmp_path: Path):
    folder = raw_file(tmp_path, {"model.layers.0.mlp.up_proj.weight": ("F4", shape, bytes(math.prod(shape) // 2))})
    (row,) = measure(folder).tensors.tensors
    assert (row.moments.zeros if row.moments else 0) == math.prod(shape)


def halves(layer: int, mlp: Expert) -> list[Expert]:
    return [some(mlp, np.arange(64) + layer), some(mlp, np.arange(64) * 2)]


def test_a_mixture_of_gpt_oss_stands_beside_its_parent_and_not_beside_a_stranger(tmp_path: Path):
    source = write_mixture(FAMILY / "seed-1", tmp_path / "alone", halves)
    plain: dict[str, Any] = {}
    for name, codes in stacked(read_tensors(source), in_turn).items():
        values = torch.from_numpy(codes.view(np.int16).copy()).view(torch.bfloat16)
        if "experts." in name:
            blocks, scales = mxfp4_blocks(values.float().numpy().transpose(0, 2, 1))
            plain |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
        else:
            plain[name] = values
    saved(tmp_path / "oss", plain)
    config = json.loads((source / "config.json").read_text())
    (tmp_path / "oss" / "config.json").write_text(json.dumps({**config, "model_type": "gpt_oss"}))
    oss, parent = measured_at(tmp_path / "oss"), measured_at(source)
    assert len(oss.arrays["expert-sketch/v1"]) == 8
    (test,) = expert_alignment(oss, parent).tests
    assert (test.z or 0) > 60
    stranger = write_mixture(FAMILY / "seed-2", tmp_path / "stranger", halves)
    (test,) = expert_alignment(oss, measured_at(stranger)).tests
    assert abs(test.z or 0) < 4
    assert {row.role for row in oss.tensors if "_proj_" in row.name} == {
        "experts.gate_up", "experts.down", "experts.gate_up.scales", "experts.down.scales",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["MXFP4", "Q8_0"])
def test_a_stack_in_gguf_has_the_sketches_of_the_values_that_it_stands_for(kind: str, tmp_path: Path):
    quant = gguf.GGMLQuantizationType[kind]
    source = write_mixture(FAMILY / "seed-1", tmp_path / "source", halves)
    alone = {name: torch.from_numpy(widened(codes)) for name, codes in read_tensors(source).items()}
    writer = gguf.GGUFWriter(str(tmp_path / "model.gguf"), "qwen2moe")
    for layer in range(4):
        for part in ("gate", "up", "down"):
            names = [f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight" for expert in range(2)]
            blocks = gguf.quants.quantize(np.stack([alone[name].numpy() for name in names]), quant)
            writer.add_tensor(f"blk.{layer}.ffn_{part}_exps.weight", blocks, raw_dtype=quant)
            values = gguf.quants.dequantize(blocks, quant)
            alone |= {name: torch.from_numpy(one.copy()) for name, one in zip(names, values, strict=True)}
        for ours, theirs in (("self_attn.q_proj", "attn_q"), ("post_attention_layernorm", "ffn_norm")):
            writer.add_tensor(
                f"blk.{layer}.{theirs}.weight", alone[f"model.layers.{layer}.{ours}.weight"].numpy().copy()
            )
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    saved(tmp_path / "alone", alone)
    found, expected = (measure(tmp_path / name).profiles["expert-sketch/v1"] for name in ("model.gguf", "alone"))
    assert len(found) == 8
    assert all(np.array_equal(found[name], one) for name, one in expected.items())
