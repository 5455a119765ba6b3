"""norm-gain/v1: the gains as they are stored."""

from pathlib import Path

import numpy as np
import pytest
from measured import measured, values
from small_checkpoint import write_tensors

from attest.fingerprint import vectors
from attest.measure import measure

ID = "norm-gain/v1"
PLACES = {"attention_norm": "input_layernorm", "mlp_norm": "post_attention_layernorm"}


def test_gains_are_kept_as_they_are():
    arrays = measured("seed-1").profiles[ID]
    expected = {
        f"layers.{layer}.{role}": values("seed-1")[f"layers.{layer}.{name}.weight"]
        for layer in range(4)
        for role, name in PLACES.items()
    } | {"final_norm": values("seed-1")["norm.weight"]}
    assert set(arrays) == set(expected)
    for name, array in arrays.items():
        assert array.dtype == np.float32
        assert array.tolist() == expected[name].tolist()


def test_the_table_shows_their_means():
    table = next(one.table for one in measured("seed-1").evidence.fingerprints if one.id == ID)
    assert table is not None
    assert table.columns == ("layer", "mean attention_norm", "mean mlp_norm")
    for layer, row in enumerate(table.rows):
        for cell, name in zip(row[1:], PLACES.values(), strict=True):
            expected = values("seed-1")[f"layers.{layer}.{name}.weight"].mean()
            assert float(cell) == pytest.approx(expected, rel=1e-8)


def test_bert_has_gains_behind_its_blocks_and_of_its_embeddings(tmp_path: Path):
    gain = np.arange(4, dtype=np.float16)
    tensors = {
        "encoder.layer.0.attention.self.query.weight": np.ones((4, 4), np.float32),
        "encoder.layer.0.attention.output.LayerNorm.weight": gain,
        "encoder.layer.0.output.LayerNorm.weight": gain + 1,
        "encoder.layer.0.output.LayerNorm.bias": gain + 2,
        "embeddings.LayerNorm.weight": gain + 3,
    }
    write_tensors(tmp_path / "model.safetensors", tensors)
    arrays = measure(tmp_path).profiles[ID]
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "layers.0.mlp_norm": [0, 1, 2, 3], "layers.0.output_norm": [1, 2, 3, 4], "embed_norm": [3, 4, 5, 6],
    }  # fmt: skip


def test_a_vector_that_is_too_long_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor is its gain folded into the sketch, which could not check it."""
    monkeypatch.setattr(vectors, "_MAX_LENGTH", 3)
    gate = np.arange(8, dtype=np.float32).reshape(2, 4)
    layer = {
        "self_attn.q_proj.weight": np.ones((4, 4), np.float32), "mlp.gate_proj.weight": gate, "mlp.up_proj.weight": gate,
        "mlp.down_proj.weight": gate.T.copy(), "post_attention_layernorm.weight": np.arange(4, dtype=np.float32),
    }  # fmt: skip
    write_tensors(tmp_path / "a.safetensors", {f"model.layers.0.{name}": array for name, array in layer.items()})
    long = measure(tmp_path / "a.safetensors").profiles
    del layer["post_attention_layernorm.weight"]
    write_tensors(tmp_path / "b.safetensors", {f"model.layers.0.{name}": array for name, array in layer.items()})
    without = measure(tmp_path / "b.safetensors").profiles
    assert long[ID] == without[ID] == {}
    np.testing.assert_array_equal(long["neuron-sketch/v1"]["layers.0"], without["neuron-sketch/v1"]["layers.0"])
