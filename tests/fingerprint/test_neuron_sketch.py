"""neuron-sketch/v1, made again from the words of its page, with nothing of its code."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from measured import FAMILY, measured, values
from small_checkpoint import copy_with, read_tensors, write_tensors

from attest.errors import CheckpointError
from attest.fingerprint.unit_sums import public_signs
from attest.measure import measure

ID = "neuron-sketch/v1"


def signs(part: str, n: int) -> list[int]:
    """+1 where the bit of SHAKE-256 over the part's name is 0, least significant first; -1 where it is 1."""
    stream = hashlib.shake_256(f"attest neuron-sketch/v1 {part}".encode()).digest(n)
    return [1 - 2 * (stream[place // 8] >> (place % 8) & 1) for place in range(n)]


def sketch(neurons: np.ndarray, part: str) -> np.ndarray:
    """Eight entries a neuron (a row): coordinate j times its sign goes to bucket j mod 8."""
    directions = np.zeros((neurons.shape[1], 8))
    for coordinate, sign in enumerate(signs(part, neurons.shape[1])):
        directions[coordinate, coordinate % 8] = sign
    unit = neurons / np.linalg.norm(neurons, axis=1, keepdims=True)
    return np.clip(np.rint(unit @ directions * np.sqrt(8) * 32), -127, 127)


def expected(name: str, layer: int) -> np.ndarray:
    gain = values(name)[f"layers.{layer}.post_attention_layernorm.weight"]
    gate, up, down = (values(name)[f"layers.{layer}.mlp.{part}_proj.weight"] for part in ("gate", "up", "down"))
    return np.concatenate([sketch(gate * gain, "gate"), sketch(up * gain, "up"), sketch(down.T, "down")], axis=1)


@pytest.mark.parametrize("layer", range(4))
@pytest.mark.parametrize("name", ["seed-1", "seed-2", "seed-1-continued"])
def test_it_is_what_its_page_says(name: str, layer: int):
    found = measured(name).profiles[ID][f"layers.{layer}"]
    assert (found.dtype, found.shape) == (np.int8, (256, 24))
    np.testing.assert_array_equal(found, expected(name, layer))


def test_entries_have_about_unit_variance():
    entries = np.concatenate([array.ravel() for array in measured("seed-1").profiles[ID].values()]) / 32
    assert abs(float(entries.mean())) < 0.1
    assert 0.8 < float(entries.std()) < 1.2


def test_public_signs():
    assert public_signs("gate", 8).tolist() == signs("gate", 8)
    assert public_signs("up", 1000).tolist() == signs("up", 1000)
    assert public_signs("up", 1000)[:9].tolist() == public_signs("up", 9).tolist()
    assert public_signs("down", 0).size == 0
    assert abs(public_signs("down", 10_000).sum()) < 500
    assert public_signs("gate", 64).tolist() != public_signs("up", 64).tolist()


def test_scale_folded_into_the_gain_does_not_change_it(tmp_path: Path):
    """Gain times 2, gate and up by 2 less: another checkpoint, the same function, the same sketch."""
    factors = {"post_attention_layernorm": 2, "gate_proj": 0.5, "up_proj": 0.5}
    arrays = {
        name: (codes.astype(np.uint32) << 16).view(np.float32)
        * np.float32(next((factor for part, factor in factors.items() if part in name), 1))
        for name, codes in read_tensors(FAMILY / "seed-1").items()
    }
    found = measure(copy_with(FAMILY / "seed-1", tmp_path / "folded", arrays)).profiles[ID]
    for name, array in measured("seed-1").profiles[ID].items():
        np.testing.assert_array_equal(found[name], array)


def test_permuted_neurons_permute_its_rows(tmp_path: Path):
    order = np.random.Generator(np.random.Philox(1)).permutation(256)
    arrays = read_tensors(FAMILY / "seed-1")
    for name, codes in arrays.items():
        if "gate_proj" in name or "up_proj" in name:
            arrays[name] = codes[order]
        if "down_proj" in name:
            arrays[name] = np.ascontiguousarray(codes[:, order])
    found = measure(copy_with(FAMILY / "seed-1", tmp_path / "permuted", arrays)).profiles[ID]
    for name, array in measured("seed-1").profiles[ID].items():
        np.testing.assert_array_equal(found[name], array[order])


BERT = {
    "attention.self.query.weight": (12, 12), "attention.output.LayerNorm.weight": (12,),
    "intermediate.dense.weight": (20, 12), "output.dense.weight": (12, 20),
}  # fmt: skip


def write_bert(folder: Path, left_out: str = "") -> dict[str, np.ndarray]:
    rng = np.random.Generator(np.random.Philox(1))
    tensors = {
        f"encoder.layer.0.{name}": rng.normal(size=shape).astype(np.float32)
        for name, shape in BERT.items()
        if name != left_out
    }
    write_tensors(folder / "model.safetensors", tensors)
    return {name.removeprefix("encoder.layer.0."): array.astype(np.float64) for name, array in tensors.items()}


def test_without_a_gate_there_are_two_parts(tmp_path: Path):
    tensors = write_bert(tmp_path)
    gain = tensors["attention.output.LayerNorm.weight"]
    up, down = tensors["intermediate.dense.weight"], tensors["output.dense.weight"]
    np.testing.assert_array_equal(
        measure(tmp_path).profiles[ID]["layers.0"],
        np.concatenate([sketch(up * gain, "up"), sketch(down.T, "down")], axis=1),
    )


def test_without_a_norm_no_gain_is_folded(tmp_path: Path):
    tensors = write_bert(tmp_path, "attention.output.LayerNorm.weight")
    np.testing.assert_array_equal(
        measure(tmp_path).profiles[ID]["layers.0"][:, :8], sketch(tensors["intermediate.dense.weight"], "up")
    )


@pytest.mark.parametrize("left_out", ["intermediate.dense.weight", "output.dense.weight"])
def test_without_one_of_its_matrices_a_layer_has_no_sketch(tmp_path: Path, left_out: str):
    write_bert(tmp_path, left_out)
    measurement = measure(tmp_path)
    assert measurement.profiles[ID] == {}
    summary = next(one for one in measurement.evidence.fingerprints if one.id == ID)
    assert summary.not_measured == "no dense MLP with up and down matrices was recognized"


def test_a_layer_whose_gate_was_not_measured_is_left_out(tmp_path: Path):
    arrays = read_tensors(FAMILY / "seed-1")
    arrays["model.layers.1.mlp.gate_proj.weight"] = arrays["model.layers.1.mlp.gate_proj.weight"].astype(np.int64)
    found = measure(copy_with(FAMILY / "seed-1", tmp_path / "odd", arrays)).profiles[ID]
    assert sorted(found) == ["layers.0", "layers.2", "layers.3"]


def test_neurons_of_zeros_are_zeros(tmp_path: Path):
    arrays = read_tensors(FAMILY / "seed-1")
    for part in ("gate", "up"):
        arrays[f"model.layers.0.mlp.{part}_proj.weight"][7] = 0x8000
    found = measure(copy_with(FAMILY / "seed-1", tmp_path / "zeros", arrays)).profiles[ID]["layers.0"]
    assert found[7, :16].tolist() == [0] * 16
    assert found[7, 16:].any()


def test_a_gain_that_changes_between_its_two_reads_is_noticed(tmp_path: Path):
    """It is read ahead with the first gate; here another shard with other gains takes its place before its turn."""
    arrays = read_tensors(FAMILY / "seed-1")
    gains = {name: codes for name, codes in arrays.items() if "post_attention_layernorm" in name}
    others = {name: codes for name, codes in arrays.items() if name not in gains}
    folder = tmp_path / "checkpoint"
    write_tensors(folder / "a.safetensors", others)
    write_tensors(folder / "b.safetensors", gains)
    write_tensors(tmp_path / "other", {name: codes ^ 1 for name, codes in gains.items()})
    moves = iter([tmp_path / "other"])

    def meddle(done: int, _all: int) -> None:
        if done > (folder / "a.safetensors").stat().st_size - 1000:
            for new in moves:
                shutil.move(new, folder / "b.safetensors")

    with pytest.raises(CheckpointError) as caught:
        measure(folder, threads=1, progress=meddle)
    assert (caught.value.code, caught.value.where) == ("file-changed", "b.safetensors")
    assert next(moves, None) is None
