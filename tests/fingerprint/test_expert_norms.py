"""expert-norms/v1 against norms that NumPy computes of each expert, however the experts are stored."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mixture import Expert, inputs_first, outputs_first, some, stacked, widened, write_mixture
from numpy.typing import NDArray
from small_checkpoint import bfloat16, copy_with, read_tensors

from attest.demo.weights import family
from attest.measure import Measurement, measure

ID = "expert-norms/v1"
Arrays = dict[str, NDArray[Any]]


def cut(_: int, mlp: Expert) -> list[Expert]:
    return [some(mlp, rows) for rows in np.arange(250).reshape(5, 50)]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_mixture(family() / "seed-1", tmp_path_factory.mktemp("m") / "alone", cut)


@pytest.fixture(scope="module")
def alone(source: Path) -> Measurement:
    return measure(source)


def expected(arrays: Arrays, part: str) -> NDArray[np.floating]:
    prefix = "model.layers.2.mlp.experts."
    return np.array([np.linalg.norm(widened(arrays[f"{prefix}{one}.{part}_proj.weight"])) for one in range(5)])


def test_norms_of_all_matrices(source: Path, alone: Measurement):
    arrays = read_tensors(source)
    found = alone.profiles[ID]
    assert sorted(found) == [f"layers.{layer}.experts.{part}" for layer in range(4) for part in ("down", "gate", "up")]
    for part in ("gate", "up", "down"):
        assert np.allclose(found[f"layers.2.experts.{part}"], expected(arrays, part), rtol=1e-6)


def test_the_values_are_for_ever(alone: Measurement):
    digest = hashlib.sha256(alone.details["detail/expert-norms.v1.safetensors"]).hexdigest()
    assert digest == "382e5ce9d93b464c705b4293451d270063c31a31baf0caef329ab1c26619f713"


@pytest.mark.parametrize("write", [outputs_first, inputs_first])
def test_experts_in_one_tensor_have_the_same_norms(
    write: Callable[[str, list[Expert]], Arrays], source: Path, alone: Measurement, tmp_path: Path
):
    arrays = read_tensors(source)
    for layer in range(4):
        arrays[f"model.layers.{layer}.mlp.gate.weight"] = bfloat16(np.ones((5, 96), np.float32))
    found = measure(copy_with(source, tmp_path / "stack", stacked(arrays, write))).profiles[ID]
    for name, norms in alone.profiles[ID].items():
        assert np.allclose(found[name], norms, rtol=1e-6)


def test_rows_of_the_router_beyond_the_experts_are_left_out(source: Path, tmp_path: Path):
    """Experts that compute nothing have a row of the router, and stand last in every network that has them."""
    rows = np.random.default_rng(1).standard_normal((8, 96)).astype(np.float32)
    arrays = read_tensors(source) | {"model.layers.2.mlp.gate.weight": bfloat16(rows)}
    measurement = measure(copy_with(source, tmp_path / "routed", arrays))
    found = measurement.profiles[ID]["layers.2.experts.router"]
    assert np.allclose(found, np.linalg.norm(widened(bfloat16(rows)), axis=1)[:5], rtol=1e-6)
    assert "layers.1.experts.router" not in measurement.profiles[ID]
    table = next(one.table for one in measurement.evidence.fingerprints if one.id == ID)
    assert table
    assert table.columns == ("layer", "mean gate", "mean up", "mean down", "mean router")
    assert table.rows[1][4] == "-"


def test_a_gap_in_the_numbers_leaves_a_layer_out(source: Path, tmp_path: Path):
    arrays = {name: one for name, one in read_tensors(source).items() if ".2.mlp.experts.1." not in name}
    found = measure(copy_with(source, tmp_path / "gap", arrays)).profiles[ID]
    assert sorted({name.split(".")[1] for name in found}) == ["0", "1", "3"]
