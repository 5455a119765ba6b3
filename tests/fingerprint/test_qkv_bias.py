"""qkv-bias/v1: the biases as they are stored."""

from pathlib import Path

import numpy as np
import pytest
from measured import measured, values
from small_checkpoint import write_tensors

from attest.measure import measure

ID = "qkv-bias/v1"
ROLES = ("q", "k", "v")


def test_biases_are_kept_as_they_are():
    arrays = measured("seed-1").profiles[ID]
    assert len(arrays) == 12
    for layer in range(4):
        for role in ROLES:
            expected = values("seed-1")[f"layers.{layer}.self_attn.{role}_proj.bias"]
            assert arrays[f"layers.{layer}.{role}.bias"].tolist() == expected.tolist()


def test_the_table_shows_their_sizes():
    table = next(one.table for one in measured("seed-1").evidence.fingerprints if one.id == ID)
    assert table is not None
    for layer, row in enumerate(table.rows):
        for cell, role in zip(row[1:], ROLES, strict=True):
            expected = np.sqrt((values("seed-1")[f"layers.{layer}.self_attn.{role}_proj.bias"] ** 2).mean())
            assert float(cell) == pytest.approx(expected, rel=1e-8)


def test_other_biases_are_not_taken_for_them(tmp_path: Path):
    names = ("self_attn.q_proj.weight", "self_attn.o_proj.bias", "mlp.up_proj.bias", "self_attn.q_norm.bias")
    tensors = {f"model.layers.0.{name}": np.ones((3, 3)[: 2 - name.count("bias")], np.float32) for name in names}
    write_tensors(tmp_path / "model.safetensors", tensors)
    measurement = measure(tmp_path)
    summary = next(one for one in measurement.evidence.fingerprints if one.id == ID)
    assert (measurement.profiles[ID], summary.detail) == ({}, None)
    assert summary.not_measured == "the query, key and value projections have no biases"
