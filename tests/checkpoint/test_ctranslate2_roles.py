"""A network as CTranslate2 keeps it is the same network: its own names, fused matrices, codes that are divided."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import measured, values
from numpy.typing import NDArray
from other_containers import Raw, ctranslate2_file

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare import compare
from attest.compare.fingerprints import Fingerprints
from attest.measure import Measurement, measure
from attest.policy import conclude
from attest.program import environment, this_tool

LAYERS = 4
OF_LAYER = {
    "self_attention/layer_norm/gamma": ("input_layernorm",),
    "self_attention/linear_0/weight": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
    "self_attention/linear_1/weight": ("self_attn.o_proj",),
    "ffn/layer_norm/gamma": ("post_attention_layernorm",),
    "ffn/linear_0/weight": ("mlp.gate_proj",),
    "ffn/linear_0_noact/weight": ("mlp.up_proj",),
    "ffn/linear_1/weight": ("mlp.down_proj",),
}


def converted(name: str) -> dict[str, NDArray[np.float32]]:
    """A member of the family as the converter for Llama names and fuses it."""
    model = {one: array.astype(np.float32) for one, array in values(name).items()}
    found = {
        "decoder/embeddings/weight": model["embed_tokens.weight"],
        "decoder/layer_norm/gamma": model["norm.weight"],
    }
    for layer in range(LAYERS):
        for own, names in OF_LAYER.items():
            parts = [model[f"layers.{layer}.{one}.weight"] for one in names]
            found[f"decoder/layer_{layer}/{own}"] = np.concatenate(parts)
        if f"layers.{layer}.self_attn.q_proj.bias" in model:
            biases = [model[f"layers.{layer}.{one}.bias"] for one in OF_LAYER["self_attention/linear_0/weight"]]
            found[f"decoder/layer_{layer}/self_attention/linear_0/bias"] = np.concatenate(biases)
    return found


def write(folder: Path, model: Mapping[str, NDArray[np.float32]], *, codes: bool = False) -> Path:
    """As ``model.bin``, matrices as codes or as they are."""
    tensors: dict[str, Any] = {}
    for name, array in model.items():
        if codes and array.ndim == 2:
            scales = (np.float32(127) / np.abs(array).max(axis=1)).astype(np.float32)
            tensors[f"{name}_scale"] = Raw(0, scales.shape, scales.tobytes())
            tensors[name] = Raw(1, array.shape, np.rint(array * scales[:, None]).astype(np.int8).tobytes())
        else:
            tensors[name] = Raw(0, array.shape, array.tobytes())
    folder.mkdir()
    (folder / "model.bin").write_bytes(ctranslate2_file(tensors))
    return folder


def conclusion(one: Measurement, other: Measurement) -> tuple[str, dict[str, float]]:
    sides = (Fingerprints.of(side.evidence, side.tensors, side.profiles, None) for side in (one, other))
    comparison = compare(*sides, tool=this_tool(), environment=environment())
    return conclude(comparison).rung, {test.id: test.z for test in comparison.tests if test.z is not None}


def test_a_converted_network_has_the_fingerprints_of_its_source(tmp_path: Path):
    copy = write(tmp_path / "copy", converted("seed-1"))
    assert all(one.role for one in place_tensors(open_checkpoint(copy)).tensors)
    mine, source = measure(copy), measured("seed-1")
    for kind in ("neuron-sketch/v1", "attention-std/v1", "norm-gain/v1", "qkv-bias/v1"):
        assert mine.profiles.get(kind, {}).keys() == source.profiles.get(kind, {}).keys()
        for name, array in source.profiles.get(kind, {}).items():
            assert np.array_equal(mine.profiles[kind][name], array), name


@pytest.mark.parametrize("codes", [False, True], ids=["floats", "codes"])
def test_a_copy_is_told_from_a_stranger(tmp_path: Path, *, codes: bool):
    copy = measure(write(tmp_path / "copy", converted("seed-1"), codes=codes))
    rung, z = conclusion(copy, measured("seed-1"))
    assert (rung, z["neuron-alignment/v1"] > 100) == ("exact-rejected", True)
    rung, z = conclusion(copy, measured("seed-2"))
    assert rung in {"no-evidence", "inconclusive"}
    assert max(map(abs, z.values())) < 4


def test_codes_are_divided_by_their_scales(tmp_path: Path):
    model = converted("seed-1")
    checkpoint = open_checkpoint(write(tmp_path / "copy", model, codes=True))
    assert {one.scheme for one in checkpoint.packed.values()} == {"CTranslate2 INT8"}
    assert len(checkpoint.packed) == 1 + 5 * LAYERS
    for name, one in checkpoint.packed.items():
        scales = checkpoint.read_bits(one.companions["scales"])
        assert np.abs((checkpoint.read_values(one) - model[name]) * scales[:, None]).max() <= 0.5001


def test_two_names_that_become_one_are_left_alone(tmp_path: Path):
    model = {"decoder/layer_0/ffn/linear_0/weight": np.ones((4, 2), np.float32)}
    model["decoder.layer.0.ffn.linear_0.weight"] = model["decoder/layer_0/ffn/linear_0/weight"]
    assert not open_checkpoint(write(tmp_path / "copy", model)).names
