"""Values of packed weights are those that the tools that write them mean, in bounded pieces, whatever the file claims."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from packing import PACKINGS, Packing, four_bits, ggml_values, gptq, words_of
from safetensors.torch import save_file

from attest.checkpoint import Checkpoint, open_checkpoint
from attest.checkpoint import packed as packed_room
from attest.checkpoint.packed import Packed, open_packed
from attest.checkpoint.packed.ggml import GGML
from attest.checkpoint.packed.packed import Held, unpack_words
from attest.checkpoint.tensor import BLOCKS, Tensor
from attest.checkpoint.values import float8_values
from attest.evidence import Evidence
from attest.measure import measure
from attest.sweep.codes import codes_of

NAME = "model.layers.0.mlp.up_proj"


def weight(*shape: int) -> NDArray[np.float32]:
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


def stored(folder: Path, packing: Packing, **changed: Any) -> Checkpoint:
    """One packed weight as a checkpoint."""
    parts = {end: torch.as_tensor(part) for end, part in packing.parts.items()} | changed
    save_file(
        {f"{NAME}.{end}": part.contiguous() for end, part in parts.items() if part is not None},
        folder / "model.safetensors",
    )
    return open_checkpoint(folder)


def unpacked(checkpoint: Checkpoint, one: Packed, rows_at_once: int = 10**6) -> NDArray[np.float32]:
    """All values, outputs by inputs, made in pieces."""
    unpacker = open_packed(one, checkpoint.read_bits)
    codes = checkpoint.read_bits(one.tensor)
    step = max(1, rows_at_once // unpacker.stored) * unpacker.stored
    pieces = [
        unpacker.unpack(codes[at : at + step], at // unpacker.stored * unpacker.made)
        for at in range(0, len(codes), step)
    ]
    assert all(piece.dtype == np.float32 and piece.flags.c_contiguous for piece in pieces)
    values = np.concatenate(pieces)
    assert values.shape == one.unpacked.shape
    return values.T if one.turned else values


@pytest.mark.parametrize("scheme", PACKINGS)
@pytest.mark.parametrize("shape", [(64, 96), (160, 256)])
def test_values_are_the_meant_ones(scheme: str, shape: tuple[int, int], tmp_path: Path):
    packing = PACKINGS[scheme](weight(*shape))
    checkpoint = stored(tmp_path, packing)
    (one,) = checkpoint.packed.values()
    assert scheme.startswith(one.scheme)
    assert (one.name, one.shape) == (f"{NAME}.weight", shape)
    assert np.array_equal(unpacked(checkpoint, one), packing.values)
    assert np.array_equal(unpacked(checkpoint, one, 7), packing.values)
    assert np.corrcoef(packing.values.ravel(), weight(*shape).ravel())[0, 1] > (0.85 if "2 bits" in scheme else 0.97)


@pytest.mark.parametrize("kind", sorted(packed_room.ggml._TYPES))
def test_blocks_of_any_bytes_are_what_gguf_makes_of_them(kind: str):
    values, size = BLOCKS[kind]
    blocks = np.random.default_rng(0).integers(0, 256, (6, 4 * size), dtype=np.uint8)
    tensor = Tensor(name="x", dtype=kind, shape=(6, 4 * values), file="f", begin=0, end=blocks.size)
    held = Held(format="gguf", tensors={"x": tensor}, claims={}, read=lambda _: np.empty(0))
    one = GGML.find(tensor, held)
    assert one is not None
    found = open_packed(one, held.read).unpack(blocks.view(f"V{size}"), 0)
    assert np.array_equal(found, ggml_values(blocks, kind), equal_nan=True)


@given(bits=st.sampled_from([2, 3, 4, 8]), data=st.data())
def test_words(bits: int, data: st.DataObject):
    codes = data.draw(st.lists(st.integers(0, (1 << bits) - 1), min_size=32, max_size=32))
    words = words_of(np.array([codes, codes[::-1]]), bits)
    assert unpack_words(np.ascontiguousarray(words.T), bits).T.tolist() == [codes, codes[::-1]]


@pytest.mark.parametrize("dtype", ["F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ"])
def test_8_bit_floats_are_those_that_moments_are_of(dtype: str):
    rows = codes_of(dtype).rows
    assert np.array_equal(float8_values(dtype)[rows[:, 0]], rows[:, 3].copy().view(np.float64), equal_nan=True)


@pytest.mark.parametrize("shape", [(128, 128), (64, 32), (1, 96), (300, 32)])
def test_a_matrix_as_large_as_a_usual_rectangle_has_its_scales_as_any_other(shape: tuple[int, int], tmp_path: Path):
    """A matrix of 128 by 128 is one rectangle, and a row of 32 inputs one block of MXFP8."""
    codes = torch.from_numpy(weight(*shape)).to(torch.float8_e4m3fn)
    for number, scales in enumerate(
        (torch.tensor([0.5]), torch.tensor(0.5), torch.rand(shape[0]) + 1, torch.rand(shape[0], 1) + 1)
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        save_file({f"{NAME}.weight": codes, f"{NAME}.weight_scale": scales}, folder / "model.safetensors")
        checkpoint = open_checkpoint(folder)
        expected = codes.float().numpy() * scales.numpy().reshape(-1, 1)
        assert np.array_equal(unpacked(checkpoint, checkpoint.packed[f"{NAME}.weight"]), expected)


def test_zeros_of_the_second_version_are_kept_as_they_are(tmp_path: Path):
    packing = gptq(weight(64, 96), less=0)
    (tmp_path / "config.json").write_text('{"quantization_config": {"checkpoint_format": "gptq_v2"}}')
    checkpoint = stored(tmp_path, packing)
    assert np.array_equal(unpacked(checkpoint, checkpoint.packed[f"{NAME}.qweight"]), packing.values)


def test_inputs_of_a_group_that_is_not_there_are_not_numbers(tmp_path: Path):
    packing = gptq(weight(64, 96))
    groups = torch.tensor([-1, 3, 2**30, *packing.parts["g_idx"][3:].tolist()], dtype=torch.int32)
    checkpoint = stored(tmp_path, packing, g_idx=groups)
    found = unpacked(checkpoint, checkpoint.packed[f"{NAME}.qweight"])
    assert np.isnan(found[:, :3]).all()
    assert np.array_equal(found[:, 3:], packing.values[:, 3:])


Change = Callable[[dict[str, Any]], dict[str, Any]]
LEFT: dict[str, tuple[str, dict[str, Any]]] = {
    "no scales": ("GPTQ", {"scales": None}),
    "scales of another shape": ("GPTQ", {"scales": torch.ones(3, 63)}),
    "more groups than inputs": ("GPTQ", {"scales": torch.ones(97, 64), "qzeros": torch.ones(97, 8, dtype=torch.int32)}),
    "groups of other inputs": ("GPTQ", {"g_idx": torch.zeros(95, dtype=torch.int32)}),
    "no groups": ("AWQ", {"scales": torch.ones(0, 64), "qzeros": torch.ones(0, 8, dtype=torch.int32)}),
    "no inputs": ("AWQ", {"qweight": torch.ones(0, 8, dtype=torch.int32)}),
    "scales of integers": ("AWQ", {"scales": torch.ones(3, 64, dtype=torch.int32)}),
    "a table of its own": ("bitsandbytes NF4", {"weight.quant_map": torch.zeros(16)}),
    "a state that is no JSON": ("bitsandbytes NF4", {"weight.quant_state.bitsandbytes__nf4": torch.full((9,), 91, dtype=torch.uint8)}),
    "a state that is a number": ("bitsandbytes NF4", {"weight.quant_state.bitsandbytes__nf4": torch.full((9,), 49, dtype=torch.uint8)}),
    "scales that are missing": ("bitsandbytes NF4, nested", {"weight.nested_absmax": None}),
    "too few scales": ("bitsandbytes NF4", {"weight.absmax": torch.ones(95)}),
    "codes in a row": ("bitsandbytes NF4", {"weight": torch.zeros(3072, dtype=torch.uint8)}),
    "a scale for a column": ("FP8 with scales", {"weight_scale_inv": torch.ones(1, 96)}),
    "no scale at all": ("FP8 with scales", {"weight_scale_inv": torch.ones(0)}),
    "zeros beside scales": ("INT8 with scales", {"weight_zero_point": torch.ones(64, 1)}),
    "rows that are not there": ("bitsandbytes INT8", {"SCB": torch.ones(63)}),
    "a shape that is none": ("compressed-tensors", {"weight_shape": torch.tensor([64, -96])}),
    "another shape": ("compressed-tensors", {"weight_shape": torch.tensor([63, 96])}),
    "zeros of another shape": ("compressed-tensors", {"weight_zero_point": torch.ones(1, 3, dtype=torch.int32)}),
    "scales that do not divide it": ("torchao", {"_weight_scale": torch.ones(64, 5)}),
    "zeros beside other scales": ("torchao", {"_weight_zero_point": torch.ones(64, 1, dtype=torch.int8)}),
    "zeros that are no integers": ("torchao", {"_weight_zero_point": torch.ones(64, 3)}),
    "zeros beside floats": ("torchao with two scales", {"_weight_zero_point": torch.ones(1, 2, dtype=torch.int8)}),
    "no scales at all": ("Quanto", {"weight._scale": torch.ones(0, 1)}),
    "scales in a line": ("Quanto", {"weight._scale": torch.ones(64)}),
    "the weight itself": ("GPTQ", {"weight": torch.ones(64, 96)}),
}  # fmt: skip


@pytest.mark.parametrize("case", LEFT)
def test_parts_that_do_not_fit_are_left_as_they_are(case: str, tmp_path: Path):
    scheme, changed = LEFT[case]
    checkpoint = stored(tmp_path, PACKINGS[scheme](weight(64, 96)), **changed)
    assert checkpoint.packed == {}
    assert not any("stand for" in finding.text for finding in checkpoint.findings)


@pytest.mark.parametrize("number", [10**30, 2**31, 0, -1, 1.5, True, "128", [128], None])
def test_claims_that_are_no_numbers_are_not_followed(number: Any, tmp_path: Path):
    claims = dict.fromkeys(("bits", "group_size", "checkpoint_format", "version"), number)
    config = {"quantization_config": {**claims, "weight_block_size": [number, number]}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    for scheme in ("GPTQ", "AWQ", "FP8 with scales"):
        packing = PACKINGS[scheme](weight(64, 96))
        checkpoint = stored(tmp_path, packing, **({"g_idx": None} if scheme == "GPTQ" else {}))
        for one in checkpoint.packed.values():
            assert np.array_equal(unpacked(checkpoint, one), packing.values)


@pytest.mark.parametrize("size", [7, 1, 31, 48, 2**31 - 1])
def test_a_group_size_that_contradicts_the_scales_is_not_followed(size: int, tmp_path: Path):
    (tmp_path / "config.json").write_text(json.dumps({"quantization_config": {"bits": 4, "group_size": size}}))
    packing = gptq(weight(64, 96))
    checkpoint = stored(tmp_path, packing, g_idx=None)
    (one,) = checkpoint.packed.values()
    assert np.array_equal(unpacked(checkpoint, one), packing.values)


def test_groups_that_are_not_alike_follow_from_the_claim_alone(tmp_path: Path):
    parts = gptq(weight(64, 96)).parts
    uneven = {
        "scales": torch.from_numpy(parts["scales"][:2].copy()),
        "qzeros": torch.from_numpy(parts["qzeros"][:2].copy()),
    }
    (tmp_path / "config.json").write_text('{"quantization_config": {"bits": 4, "group_size": 64}}')
    (one,) = stored(tmp_path, gptq(weight(64, 96)), g_idx=None, **uneven).packed.values()
    assert one.settings["groupSize"] == 64
    odd = {"scales": torch.ones(5, 64, dtype=torch.float16), "qzeros": torch.ones(5, 8, dtype=torch.int32)}
    assert not stored(tmp_path, gptq(weight(64, 96)), g_idx=None, **odd).packed


@pytest.mark.parametrize("block", [10**30, 0, True, "64", [64], None])
def test_states_that_are_no_numbers_are_not_followed(block: Any, tmp_path: Path):
    state = json.dumps({"blocksize": block, "shape": [64, 96], "nested_blocksize": block, "nested_offset": 1e300})
    bits = torch.frombuffer(bytearray(state.encode()), dtype=torch.uint8)
    name = "weight.quant_state.bitsandbytes__nf4"
    assert stored(tmp_path, four_bits(weight(64, 96), nested=True), **{name: bits}).packed == {}
    state = json.dumps({"blocksize": 64, "shape": [64, 96], "nested_blocksize": block, "nested_offset": 1e300})
    bits = torch.frombuffer(bytearray(state.encode()), dtype=torch.uint8)
    checkpoint = stored(tmp_path, four_bits(weight(64, 96), nested=True), **{name: bits})
    (one,) = checkpoint.packed.values()
    assert not np.isfinite(unpacked(checkpoint, one)).all()


def test_scales_that_are_not_finite_give_values_that_are_not(tmp_path: Path):
    packing = gptq(weight(64, 96))
    scales = torch.from_numpy(packing.parts["scales"]).clone()
    scales[0] = torch.tensor([float("inf"), float("nan")] * 32)
    checkpoint = stored(tmp_path, packing, scales=scales)
    (one,) = checkpoint.packed.values()
    assert not np.isfinite(unpacked(checkpoint, one)[:, :32]).any()
    evidence = measure(tmp_path).evidence
    assert evidence.tensors.non_finite == 64
    assert not_finite(evidence) == ["1 packed weights have 2048 values"]


def not_finite(evidence: Evidence) -> list[str]:
    return [
        one.text.partition(" that are no numbers")[0]
        for one in evidence.checkpoint.findings
        if one.code == "values-not-finite"
    ]


NO_NUMBERS = {
    "a group that is not there": ("GPTQ", {"g_idx": torch.full((96,), 2**31 - 1, dtype=torch.int32)}, 64 * 96),
    "a group below 0": ("GPTQ", {"g_idx": torch.full((96,), -1, dtype=torch.int32)}, 64 * 96),
    "a scale that divides and is 0": ("NVFP4 of compressed-tensors", {"weight_global_scale": torch.zeros(1)}, 64 * 96),
    "a scale of 255": ("MXFP4", {"weight_scale": torch.full((64, 3), 255, dtype=torch.uint8)}, 64 * 96),
    "an infinite scale": ("AWQ", {"scales": torch.full((3, 64), torch.inf, dtype=torch.float16)}, 64 * 96),
    "scales of 0": ("FP8 with scales", {"weight_scale_inv": torch.zeros(1, 1)}, 0),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_NUMBERS)
def test_values_that_are_no_numbers_are_counted(case: str, tmp_path: Path):
    scheme, changed, count = NO_NUMBERS[case]
    stored(tmp_path, PACKINGS[scheme](weight(64, 96)), **changed)
    expected = [f"1 packed weights have {count} values"] if count else []
    assert not_finite(measure(tmp_path).evidence) == expected


def test_scales_that_are_too_many_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(packed_room, "MAX_COMPANION", 4 * 96 - 1)
    assert stored(tmp_path, four_bits(weight(64, 96))).packed == {}


def test_what_is_said_of_it(tmp_path: Path):
    checkpoint = stored(tmp_path, gptq(weight(64, 96)))
    (found,) = [one for one in checkpoint.findings if one.code == "quantized-weights"]
    assert found.text == (
        "GPTQ: 1 weights are stored so; digests are of what is stored,"
        " norms and sketches, where there are any, of the values that 1 of them stand for"
    )
