"""expert-sketch/v1: the neuron sketch of a dense MLP, found again in an expert that is a copy of it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from measured import FAMILY, measured
from mixture import some, write_mixture
from small_checkpoint import copy_with, read_tensors, write_tensors

from attest.errors import CheckpointError
from attest.fingerprint import expert_sketch
from attest.measure import Measurement, measure

ID = "expert-sketch/v1"
ORDER = np.random.default_rng(2).permutation(256)


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Measurement:
    folder = tmp_path_factory.mktemp("mixture") / "checkpoint"
    return measure(
        write_mixture(FAMILY / "seed-1", folder, lambda _, mlp: [mlp, some(mlp, ORDER), some(mlp, ORDER[:40])])
    )


def test_a_copied_expert_has_the_sketch_of_the_dense_mlp(mixture: Measurement):
    dense = measured("seed-1").profiles["neuron-sketch/v1"]
    found = mixture.profiles[ID]
    assert sorted(found) == [f"layers.{layer}.experts.{expert}" for layer in range(4) for expert in range(3)]
    for layer in range(4):
        for expert, rows in enumerate((np.arange(256), ORDER, ORDER[:40])):
            np.testing.assert_array_equal(found[f"layers.{layer}.experts.{expert}"], dense[f"layers.{layer}"][rows])


def test_the_values_are_for_ever(mixture: Measurement):
    digest = hashlib.sha256(mixture.details["detail/expert-sketch.v1.safetensors"]).hexdigest()
    assert digest == "3711975e282eea7db3509244e7ad831b5a90e5bdc07301b299db5d6fcbfec190"


def test_the_dense_fingerprints_keep_their_values(mixture: Measurement):
    assert not mixture.profiles["neuron-sketch/v1"]
    assert sorted(mixture.profiles["norm-gain/v1"]) == sorted(measured("seed-1").profiles["norm-gain/v1"])


def test_the_table_counts_experts(mixture: Measurement):
    table = next(one.table for one in mixture.evidence.fingerprints if one.id == ID)
    assert table
    assert table.columns == ("layer", "experts", "neurons kept of each")
    assert table.rows[3] == ("3", "3", "256")


def test_of_very_many_neurons_some_are_kept_evenly_spaced(monkeypatch: pytest.MonkeyPatch):
    assert expert_sketch._kept(7, 1).tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert expert_sketch._kept(2048, 14848).size == 47
    assert expert_sketch._kept(2048, 10**6).tolist() == list(range(0, 2048, 64))
    monkeypatch.setattr(expert_sketch, "_BUDGET", 0)
    assert expert_sketch._kept(100, 3).tolist() == [place * 100 // 32 for place in range(32)]


def test_a_dense_network_has_none():
    summary = next(one for one in measured("seed-1").evidence.fingerprints if one.id == ID)
    assert (summary.table, summary.not_measured) == (None, "no experts with up and down matrices were recognized")


def test_incomplete_experts_are_left_out(tmp_path: Path):
    folder = write_mixture(FAMILY / "seed-1", tmp_path / "mixture", lambda _, mlp: [mlp, mlp])
    arrays = {name: array for name, array in read_tensors(folder).items() if "experts.1.down" not in name}
    found = measure(copy_with(folder, tmp_path / "copy", arrays)).profiles[ID]
    assert sorted(found) == [f"layers.{layer}.experts.0" for layer in range(4)]


def test_a_gain_that_changes_between_its_two_reads_is_noticed(tmp_path: Path):
    folder = write_mixture(FAMILY / "seed-1", tmp_path / "mixture", lambda _, mlp: [mlp])
    arrays = read_tensors(folder)
    gain = "model.layers.1.post_attention_layernorm.weight"
    (folder / "model.safetensors").unlink()
    write_tensors(folder / "a.safetensors", {name: array for name, array in arrays.items() if name != gain})
    last = write_tensors(folder / "b.safetensors", {gain: arrays[gain]})
    changed = False

    def change(done: int, _: int) -> None:
        nonlocal changed
        if done and not changed:
            data = bytearray(last.read_bytes())
            data[-1] ^= 0x40
            with last.open("r+b") as stream:
                stream.write(data)
            changed = True

    with pytest.raises(CheckpointError) as caught:
        measure(folder, threads=1, progress=change)
    assert caught.value.code == "file-changed"
