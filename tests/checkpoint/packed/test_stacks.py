"""Stacks of packed matrices, as released mixtures have them: values are those of each matrix packed alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from measured import FAMILY
from mixture import inputs_first, outputs_first, some, stacked, widened, write_mixture
from numpy.typing import NDArray
from packing import PACKINGS, float8, nvfp4
from safetensors.torch import save_file
from small_checkpoint import read_tensors
from transformers.integrations.finegrained_fp8 import Fp8Dequantize

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint import packed as packed_room
from attest.fingerprint import beside
from attest.measure import measure

NAME = "model.layers.0.mlp.experts.gate_up_proj"
RNG = np.random.default_rng(0)
FP8 = torch.float8_e4m3fn
Layout = Callable[[NDArray[np.float32]], tuple[Mapping[str, Any], NDArray[np.float32]]]


def saved(folder: Path, tensors: Mapping[str, Any], **claims: Any) -> Checkpoint:
    folder.mkdir(exist_ok=True)
    arrays = {
        name: torch.as_tensor(np.array(one) if isinstance(one, np.ndarray) else one) for name, one in tensors.items()
    }
    save_file({name: one.contiguous() for name, one in arrays.items()}, folder / "model.safetensors")
    config = folder / "config.json"
    declared = json.loads(config.read_text()) if config.exists() else {}
    config.write_text(json.dumps(declared | {"quantization_config": claims}))
    return open_checkpoint(folder)


@pytest.mark.parametrize("scheme", sorted(one for one in PACKINGS if "NF4" not in one and one != "bitsandbytes FP4"))
def test_a_stack_of_any_scheme_has_the_values_of_its_matrices(scheme: str, tmp_path: Path):
    packings = [PACKINGS[scheme](weight) for weight in RNG.standard_normal((3, 64, 96)).astype(np.float32)]
    shared = {"weight_shape"}
    parts = {
        end: torch.stack([torch.as_tensor(one.parts[end]) for one in packings])
        if end not in shared
        else torch.as_tensor(packings[0].parts[end])
        for end in packings[0].parts
    }
    checkpoint = saved(tmp_path, {f"{NAME}.{end}": part for end, part in parts.items()})
    (one,) = checkpoint.packed.values()
    assert scheme.startswith(one.scheme)
    assert (one.name, one.stacked, one.shape) == (f"{NAME}.weight", 3, (64, 96))
    values = checkpoint.read_values(one).reshape(3, *(one.shape[::-1] if one.turned else one.shape))
    found = values.transpose(0, 2, 1) if one.turned else values
    assert np.array_equal(found, np.stack([packing.values for packing in packings]))
    assert checkpoint.n_parameters == 3 * 64 * 96


def rounded(values: NDArray[np.float32]) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(values)).to(FP8)


GRIDS = {"an expert": (1, 1), "a half": (2, 1), "an output": (256, 1), "rectangles": (2, 3), "32 inputs": (256, 12)}


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("kind", ["F32", "powers of two", "their bytes"])
def test_scales_of_stacks_are_what_transformers_takes_them_for(grid: str, kind: str, tmp_path: Path):
    exponents = RNG.integers(120, 131, (3, *GRIDS[grid]), dtype=np.uint8)
    scales = torch.from_numpy(exponents).view(torch.float8_e8m0fnu)
    if kind == "F32":
        scales = scales.float() * 1.25
    elif kind == "their bytes":
        scales = torch.from_numpy(exponents)
    codes = rounded(RNG.standard_normal((3, 256, 384)).astype(np.float32))
    checkpoint = saved(tmp_path, {NAME: codes, f"{NAME}_scale_inv": scales})
    if (kind, grid) == ("F32", "32 inputs") or (kind == "their bytes" and grid != "32 inputs"):
        assert not checkpoint.packed, "groups of 32 have powers of two, and bytes are powers in such groups alone"
        return
    (one,) = checkpoint.packed.values()
    expected = Fp8Dequantize(None)._dequantize_one(codes, scales, output_dtype=torch.float32)
    assert np.array_equal(checkpoint.read_values(one).reshape(3, 256, 384), expected.numpy())


def test_codes_of_deepseek_v4_are_what_transformers_takes_them_for(tmp_path: Path):
    codes = torch.from_numpy(RNG.integers(-128, 128, (3, 8, 48), dtype=np.int8))
    scales = torch.from_numpy(RNG.integers(120, 131, (3, 8, 3), dtype=np.uint8)).view(torch.float8_e8m0fnu)
    checkpoint = saved(tmp_path, {NAME: codes, f"{NAME}_scale_inv": scales})
    (one,) = checkpoint.packed.values()
    expected = Fp8Dequantize(None)._dequantize_one(codes, scales, output_dtype=torch.float32)
    assert one.scheme == "MXFP4"
    assert np.array_equal(checkpoint.read_values(one).reshape(3, 8, 96), expected.numpy())


def of_columns(stack: NDArray[np.float32]) -> tuple[NDArray[np.float32], torch.Tensor]:
    tops = np.abs(stack).max(axis=1, keepdims=True) / np.float32(448)
    return tops, rounded(stack / tops)


def test_fbgemm_has_a_scale_a_column_however_it_writes_them(tmp_path: Path):
    stack = RNG.standard_normal((3, 48, 80)).astype(np.float32)
    scales, codes = of_columns(stack)
    for number, shape in enumerate([(3, 1, 80), (3, 80, 1)]):
        checkpoint = saved(tmp_path / str(number), {NAME: codes, f"{NAME}_scale": scales.reshape(shape)})
        (one,) = checkpoint.packed.values()
        assert np.array_equal(checkpoint.read_values(one).reshape(3, 48, 80), codes.float().numpy() * scales)


@pytest.mark.parametrize("method", ["fbgemm_fp8", "fp8"])
def test_a_square_matrix_does_not_tell_rows_from_columns(method: str, tmp_path: Path):
    stack = RNG.standard_normal((3, 48, 48)).astype(np.float32)
    scales, codes = of_columns(stack)
    checkpoint = saved(tmp_path, {NAME: codes, f"{NAME}_scale": scales.reshape(3, 48, 1)}, quant_method=method)
    assert len(checkpoint.packed) == (method == "fp8")


def test_halves_that_could_be_rectangles_are_left_unless_claimed(tmp_path: Path):
    tensors = {NAME: rounded(np.ones((3, 200, 96), np.float32)), f"{NAME}_scale_inv": np.ones((3, 2, 1), np.float32)}
    assert not saved(tmp_path / "a", tensors).packed
    (one,) = saved(tmp_path / "b", tensors, weight_block_size=[128, 128]).packed.values()
    assert one.settings == {"rows": 128, "columns": 128}


@pytest.mark.parametrize("whole", [(), (1,), (3,), (3, 1), (3, 2), (3, 2, 1)])
def test_the_scales_of_experts_in_nvfp4(whole: tuple[int, ...], tmp_path: Path):
    codes = RNG.integers(0, 256, (3, 10, 24), dtype=np.uint8)
    scales = RNG.integers(1, 120, (3, 10, 3), dtype=np.uint8)
    wholes = RNG.standard_normal(whole).astype(np.float32)
    checkpoint = saved(
        tmp_path,
        {
            NAME: codes,
            f"{NAME}_weight_scale": torch.from_numpy(scales).view(FP8),
            f"{NAME}_weight_scale_2": torch.as_tensor(wholes),
        },
    )
    (one,) = checkpoint.packed.values()
    each = np.broadcast_to(
        wholes.reshape(1, 1) if wholes.size == 1 else wholes.reshape(3, -1), (3, max(1, wholes.size // 3))
    )
    factors = (
        torch.from_numpy(scales).view(FP8).float().numpy() * np.repeat(each, 10 // each.shape[1], axis=1)[:, :, None]
    )
    pairs = np.stack([codes & 15, codes >> 4], axis=-1).reshape(3, 10, 48)
    levels = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], np.float32)
    expected = levels[pairs] * np.repeat(factors, 16, axis=2)
    assert np.array_equal(checkpoint.read_values(one).reshape(3, 10, 48), expected)


def model_opt(stack: NDArray[np.float32]) -> tuple[Mapping[str, Any], NDArray[np.float32]]:
    """NVFP4 of inputs by outputs, packed along the inputs and turned back, with one scale for all experts."""
    turned = stack.transpose(0, 2, 1)
    packing = nvfp4(np.ascontiguousarray(turned).reshape(-1, turned.shape[2]))
    codes, scales = (torch.as_tensor(packing.parts[end]) for end in ("weight", "weight_scale"))
    parts = {
        "": codes.view(*turned.shape[:2], -1).transpose(1, 2),
        "_weight_scale": scales.view(*turned.shape[:2], -1).transpose(1, 2),
        "_weight_scale_2": torch.as_tensor(packing.parts["weight_scale_2"]),
        "_input_scale": torch.tensor(0.5),
    }
    return parts, packing.values.reshape(turned.shape).transpose(0, 2, 1)


def fbgemm(stack: NDArray[np.float32]) -> tuple[Mapping[str, Any], NDArray[np.float32]]:
    scales, codes = of_columns(stack)
    return {"": codes, "_scale": scales}, codes.float().numpy() * scales


def rectangles(stack: NDArray[np.float32]) -> tuple[Mapping[str, Any], NDArray[np.float32]]:
    packings = [float8(one, rows=32, columns=32) for one in stack]
    codes, scales = (
        np.stack([torch.as_tensor(one.parts[end]).float() for one in packings])
        for end in ("weight", "weight_scale_inv")
    )
    return {"": rounded(codes), "_scale_inv": scales}, np.stack([one.values for one in packings])


LAYOUTS = {
    "ModelOpt": (inputs_first, model_opt),
    "FBGEMM": (inputs_first, fbgemm),
    "rectangles": (outputs_first, rectangles),
}


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(
        FAMILY / "seed-1",
        tmp_path_factory.mktemp("mixture") / "alone",
        lambda layer, mlp: [some(mlp, np.arange(64) + layer), some(mlp, np.arange(64) * 2)],
    )


@pytest.mark.parametrize("name", LAYOUTS)
def test_experts_have_the_sketches_of_the_values_that_they_stand_for(
    name: str, mixture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write, pack = LAYOUTS[name]
    packed, plain = {}, {}
    for tensor, codes in stacked(read_tensors(mixture), write).items():
        values = widened(codes)
        if "experts." not in tensor:
            packed[tensor] = plain[tensor] = values
            continue
        parts, meant = pack(values)
        packed |= {tensor + end: part for end, part in parts.items()}
        plain[tensor] = np.ascontiguousarray(meant)
    for folder in ("packed", "plain"):
        (tmp_path / folder).mkdir()
        config = json.loads((mixture / "config.json").read_text())
        (tmp_path / folder / "config.json").write_text(json.dumps({**config, "model_type": "llama4_text"}))
    saved(tmp_path / "packed", packed, weight_block_size=[32, 32])
    saved(tmp_path / "plain", plain)
    expected = measure(tmp_path / "plain").profiles["expert-sketch/v1"]
    monkeypatch.setattr(beside, "_AT_ONCE", 1)
    monkeypatch.setattr(packed_room, "MAX_COMPANION", 1000)
    found = measure(tmp_path / "packed")
    assert len(expected) == 8
    assert found.evidence.tensors.unmapped == ()
    assert found.profiles["expert-sketch/v1"].keys() == expected.keys()
    for expert, sketch in expected.items():
        assert np.array_equal(found.profiles["expert-sketch/v1"][expert], sketch), expert
