"""Fused matrices give the fingerprints of the matrices they are made of."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_checkpoint import read_tensors, write_tensors

from attest.architecture import Part
from attest.architecture.layout import Rows
from attest.checkpoint import Tensor
from attest.fingerprint.part import PartAccumulator
from attest.fingerprint.unit_sums import ColumnSketchAccumulator, public_signs
from attest.measure import Measurement, measure

N_LAYERS, N_HEADS, N_KV_HEADS, D_HEAD = 4, 4, 2, 24
Arrays = Mapping[str, np.ndarray]
IDS = ("attention-std/v1", "qkv-bias/v1", "unit-norms/v1", "neuron-sketch/v1")


def split_layers(family: Path) -> tuple[dict[str, np.ndarray], list[dict[str, np.ndarray]]]:
    """Tensors of seed-1 outside the layers, and by the rest of their names of each layer, as float32."""
    outside: dict[str, np.ndarray] = {}
    layers: list[dict[str, np.ndarray]] = [{} for _ in range(N_LAYERS)]
    for name, codes in read_tensors(family / "seed-1").items():
        values = (codes.astype(np.uint32) << 16).view(np.float32)
        if name.startswith("model.layers."):
            layer, rest = name.removeprefix("model.layers.").split(".", 1)
            layers[int(layer)][rest] = values
        else:
            outside[name] = values
    return outside, layers


def measured(folder: Path, arrays: Arrays, **options: Any) -> Measurement:
    folder.mkdir(exist_ok=True)
    write_tensors(folder / "model.safetensors", arrays)
    config = {"num_attention_heads": N_HEADS, "num_key_value_heads": N_KV_HEADS}
    (folder / "config.json").write_text(json.dumps(config))
    return measure(folder, **options)


def joined(layer: Arrays, part: str) -> np.ndarray:
    return np.concatenate([layer[f"self_attn.{role}_proj.{part}"] for role in "qkv"])


def by_group(layer: Arrays, part: str) -> np.ndarray:
    """Of every key head its two queries, the key, the value."""
    q, k, v = (layer[f"self_attn.{role}_proj.{part}"] for role in "qkv")
    rows = [
        np.concatenate([q[2 * group * D_HEAD : 2 * (group + 1) * D_HEAD], *(
            one[group * D_HEAD : (group + 1) * D_HEAD] for one in (k, v)
        )])
        for group in range(N_KV_HEADS)
    ]  # fmt: skip
    return np.concatenate(rows)


def renamed(outside: Arrays, layers: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    names = {f"model.layers.{layer}.{rest}": value for layer, one in enumerate(layers) for rest, value in one.items()}
    return {**outside, **names}


@pytest.fixture(scope="module")
def plain(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    return measured(tmp_path_factory.mktemp("plain"), renamed(*split_layers(family)))


def same(found: Measurement, expected: Measurement, ids: tuple[str, ...] = IDS) -> None:
    for name in ids:
        arrays = expected.profiles[name]
        assert arrays
        assert {key: value.tobytes() for key, value in found.profiles[name].items()} == {
            key: value.tobytes() for key, value in arrays.items()
        }


def test_one_matrix_for_query_key_value_and_one_for_gate_up(family: Path, tmp_path: Path, plain: Measurement):
    outside, layers = split_layers(family)
    for layer in layers:
        for part in ("weight", "bias"):
            fused = joined(layer, part)
            for role in "qkv":
                del layer[f"self_attn.{role}_proj.{part}"]
            layer[f"self_attn.qkv_proj.{part}"] = fused
        layer["mlp.gate_up_proj.weight"] = np.concatenate(
            [layer.pop(f"mlp.{role}_proj.weight") for role in ("gate", "up")]
        )
    same(measured(tmp_path, renamed(outside, layers)), plain)


OWN = """
["my-gpt"]
title = "Groups of heads together, gate and up row by row"
extends = "llama-like"
["my-gpt".layouts]
qkv = "by-group"
gate_up = "in-turn"
["my-gpt".inLayer]
qkv = ["mixer.fused"]
gate_up = ["mlp.both"]
"""


def test_rows_that_alternate_by_a_file_of_ones_own(family: Path, tmp_path: Path, plain: Measurement):
    outside, layers = split_layers(family)
    for layer in layers:
        for part in ("weight", "bias"):
            layer[f"mixer.fused.{part}"] = by_group(layer, part)
            for role in "qkv":
                del layer[f"self_attn.{role}_proj.{part}"]
        gate, up = (layer.pop(f"mlp.{role}_proj.weight") for role in ("gate", "up"))
        layer["mlp.both.weight"] = np.stack([gate, up], axis=1).reshape(-1, gate.shape[1])
    table = tmp_path / "own.toml"
    table.write_text(OWN)
    found = measured(tmp_path / "model", renamed(outside, layers), architecture=table)
    assert found.evidence.architecture.family == "my-gpt"
    assert [one.path for one in found.evidence.checkpoint.findings if one.code == "architecture-file"] == ["own.toml"]
    same(found, plain)


def test_matrices_stored_as_inputs_by_outputs(family: Path, tmp_path: Path):
    """Names of GPT-2 against names of GPT-Neo, which stores outputs by inputs."""
    outside, layers = split_layers(family)
    neo: dict[str, np.ndarray] = {"transformer.wte.weight": outside["model.embed_tokens.weight"]}
    gpt2 = dict(neo)
    for number, layer in enumerate(layers):
        at = f"transformer.h.{number}."
        for role, name in zip("qkvo", ("q_proj", "k_proj", "v_proj", "out_proj"), strict=True):
            neo[f"{at}attn.attention.{name}.weight"] = layer[f"self_attn.{role}_proj.weight"]
        gpt2[f"{at}attn.c_attn.weight"] = joined(layer, "weight").T.copy()
        gpt2[f"{at}attn.c_attn.bias"] = joined(layer, "bias")
        gpt2[f"{at}attn.c_proj.weight"] = layer["self_attn.o_proj.weight"].T.copy()
        for name, role in (("c_fc", "up"), ("c_proj", "down")):
            neo[f"{at}mlp.{name}.weight"] = layer[f"mlp.{role}_proj.weight"]
            gpt2[f"{at}mlp.{name}.weight"] = layer[f"mlp.{role}_proj.weight"].T.copy()
        for one in (neo, gpt2):
            one[f"{at}ln_1.weight"] = layer["input_layernorm.weight"]
            one[f"{at}ln_2.weight"] = layer["post_attention_layernorm.weight"]
    left, right = measured(tmp_path / "neo", neo), measured(tmp_path / "gpt2", gpt2)
    assert [one.evidence.architecture.family for one in (left, right)] == ["gpt-neo", "gpt2"]
    same(right, left, ("attention-std/v1", "norm-gain/v1"))
    assert {name: array.shape for name, array in right.profiles["qkv-bias/v1"].items() if "layers.0" in name} == {
        "layers.0.q.bias": (96,), "layers.0.k.bias": (48,), "layers.0.v.bias": (48,),
    }  # fmt: skip
    norms, others = left.profiles["unit-norms/v1"], right.profiles["unit-norms/v1"]
    assert set(norms) == set(others)
    for name, array in norms.items():
        np.testing.assert_allclose(others[name], array, rtol=3e-7)
    for name, sketch in left.profiles["neuron-sketch/v1"].items():
        assert sketch.shape == (256, 16)
        assert np.abs(sketch.astype(int) - right.profiles["neuron-sketch/v1"][name]).max() <= 1
        assert (sketch == right.profiles["neuron-sketch/v1"][name]).mean() > 0.999


def test_gains_that_are_stored_less_one(family: Path, tmp_path: Path, plain: Measurement):
    """As Gemma has them: the sketch folds in the gain that is used, whatever is stored."""
    outside, layers = split_layers(family)
    for layer in layers:
        gain = layer["post_attention_layernorm.weight"]
        layer["post_attention_layernorm.weight"] = gain - np.float32(1)
        gain[:] = layer["post_attention_layernorm.weight"] + np.float32(1)
    folder = tmp_path / "less"
    folder.mkdir()
    table = tmp_path / "own.toml"
    table.write_text('[own]\ntitle = "Gains less one"\nextends = "llama-like"\nnormOffset = 1\n')
    found = measured(folder, renamed(outside, layers), architecture=table).profiles["neuron-sketch/v1"]
    for name, sketch in plain.profiles["neuron-sketch/v1"].items():
        assert np.abs(sketch.astype(int) - found[name]).max() <= 1
    without = measured(tmp_path / "as-is", renamed(outside, layers)).profiles["neuron-sketch/v1"]["layers.0"]
    assert np.abs(without.astype(int) - found["layers.0"]).max() > 1


class Kept:
    """Keeps what it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, np.ndarray]] = []

    def update(self, rows: np.ndarray, first_row: int) -> None:
        self.seen.append((first_row, rows))

    def result(self) -> list[tuple[int, np.ndarray]]:
        return self.seen


@given(st.data())
def test_whatever_the_blocks_the_rows_of_a_part_come_in_order(data: st.DataObject):
    begin, length, after, periods = (data.draw(st.integers(low, 4)) for low in (0, 1, 0, 1))
    period = begin + length + after
    matrix = np.arange(period * periods * 3, dtype=np.float32).reshape(-1, 3)
    tensor = Tensor(name="x", dtype="F32", shape=matrix.shape, file="x", begin=0, end=0)
    rows = Rows(begin=begin, length=length, period=period, count=length * periods)
    kept = PartAccumulator(Part(tensor=tensor, role="q", layer=0, rows=rows), Kept())
    step = data.draw(st.integers(1, len(matrix)))
    for first in range(0, len(matrix), step):
        kept.update(matrix[first : first + step], first)
    expected = matrix.reshape(periods, period, 3)[:, begin : begin + length].reshape(-1, 3)
    firsts, blocks = zip(*kept.result(), strict=True)
    assert np.array_equal(np.concatenate(blocks), expected)
    assert list(firsts) == np.cumsum([0, *map(len, blocks)])[:-1].tolist()


@given(st.integers(1, 40), st.integers(1, 9))
def test_a_sketch_of_columns_does_not_depend_on_blocks(step: int, n_columns: int):
    matrix = np.random.default_rng(n_columns).standard_normal((37, n_columns)).astype(np.float32)
    weights = public_signs("up", 37)

    def sketch(size: int) -> list[bytes]:
        one = ColumnSketchAccumulator(matrix.shape, "F32", weights)
        for first in range(0, 37, size):
            one.update(matrix[first : first + size], first)
        found = one.result()
        return [found.entries.tobytes(), found.squares.tobytes()]

    assert sketch(step) == sketch(37)
