"""The laundered descendant: what was done to it is what it says, and the function is the parent's until pruning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from small_checkpoint import read_tensors, write_tensors

from attest.checkpoint import open_checkpoint
from attest.demo.launder import launder
from attest.errors import CheckpointError, InputError
from attest.sweep import as_float32


def test_neurons_are_permuted_alike_and_the_smallest_weights_are_zero(family: Path, tmp_path: Path) -> None:
    report = launder(family / "seed-1", tmp_path / "out", seed=5)
    before, after = read_tensors(family / "seed-1"), read_tensors(tmp_path / "out")
    mlp = "model.layers.0.mlp"
    old, new = (
        {part: as_float32(side[f"{mlp}.{part}_proj.weight"], "BF16") for part in ("gate", "up", "down")}
        for side in (before, after)
    )
    order = [int(np.argmin([np.sum((row - other) ** 2) for other in old["gate"]])) for row in new["gate"]]
    assert sorted(order) == list(range(256))
    assert order != list(range(256))
    for part, moved in (("up", old["up"][order]), ("down", old["down"][:, order])):
        kept = new[part] != 0
        np.testing.assert_array_equal(new[part][kept], moved[kept])
        assert np.abs(moved[~kept]).max() <= np.abs(moved[kept]).min()
    zeros = sum(int(np.sum(as_float32(array, "BF16") == 0)) for name, array in after.items() if array.ndim == 2)
    assert zeros >= report.n_pruned > 0.29 * report.n_matrix_values
    assert "made by" in (tmp_path / "out" / "README.md").read_text().lower()
    assert open_checkpoint(tmp_path / "out").metadata["model.safetensors"]["made_by"] == "attest demo"


def test_the_seed_decides_every_byte(family: Path, tmp_path: Path) -> None:
    first, again, other = (tmp_path / name for name in ("first", "again", "other"))
    for folder, seed in ((first, 1), (again, 1), (other, 2)):
        launder(family / "seed-1", folder, seed=seed)
    weights = [(folder / "model.safetensors").read_bytes() for folder in (first, again, other)]
    assert weights[0] == weights[1] != weights[2]


def test_what_cannot_be_laundered_is_refused(family: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as caught:
        launder(family / "seed-1", family / "seed-1", seed=1)
    assert caught.value.code == "same-folder"
    with pytest.raises(InputError):
        launder(family / "seed-1", tmp_path / "out", seed=-1)
    (tmp_path / "flat").mkdir()
    write_tensors(tmp_path / "flat" / "model.safetensors", {"weight": np.ones((4, 4), np.float32)})
    (tmp_path / "flat" / "config.json").write_text("{}")
    with pytest.raises(CheckpointError) as caught:
        launder(tmp_path / "flat", tmp_path / "out", seed=1)
    assert caught.value.code == "no-mlp"
    assert not (tmp_path / "out").exists()
