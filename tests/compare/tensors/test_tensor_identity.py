"""Identical is said of checkpoints that hold the same tensors one to one, and of nothing less."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from compare.derived import Values, layer_name, read_family, write
from compare.pairs import by_id, compared, measured, measured_at

from attest.compare.digits import share_digits
from attest.comparison import Comparison
from attest.policy import conclude

PLACES = "tensor-places/v1"


def against_seed_1(folder: Path, tensors: Values) -> Comparison:
    return compared(measured_at(write(folder / "a", read_family("seed-1"))), measured_at(write(folder / "b", tensors)))


def with_layers(order: list[int]) -> Values:
    """The tensors of seed-1 with its layers in another order, some of them twice."""
    source = read_family("seed-1")
    outside = {name: array for name, array in source.items() if ".layers." not in name}
    return outside | {
        name.replace(f".layers.{layer}.", f".layers.{place}."): array
        for place, layer in enumerate(order)
        for name, array in source.items()
        if f".layers.{layer}." in name
    }


@pytest.mark.parametrize("order", [[0, 1, 1, 2, 3], [0, 2, 1, 3]], ids=["duplicated", "moved"])
def test_duplicated_and_moved_layers_are_not_identical(tmp_path: Path, order: list[int]) -> None:
    comparison = against_seed_1(tmp_path, with_layers(order))
    assert by_id(comparison)["tensor-identity/v1"].statistic == 1.0
    assert 0 < by_id(comparison)[PLACES].statistic < 1
    conclusion = conclude(comparison)
    assert conclusion.rung == "exact-rejected"
    assert "byte for byte, but not one to one" in conclusion.because[0]


def test_a_dropped_layer_is_not_identical(tmp_path: Path) -> None:
    comparison = against_seed_1(tmp_path, with_layers([0, 1, 2]))
    assert by_id(comparison)["tensor-identity/v1"].statistic < 1
    assert conclude(comparison).rung == "exact-rejected"


@pytest.mark.parametrize("form", ["without prefix", "t{number}"])
def test_renamed_tensors_stay_identical(tmp_path: Path, form: str) -> None:
    tensors = {
        name.removeprefix("model.") if form == "without prefix" else form.format(number=number): array
        for number, (name, array) in enumerate(read_family("seed-1").items())
    }
    comparison = against_seed_1(tmp_path, tensors)
    assert by_id(comparison)[PLACES].statistic == 1.0
    assert conclude(comparison).rung == "identical"


def test_shards_stay_identical(tmp_path: Path) -> None:
    tensors = read_family("seed-1")
    shards = {name: f"model-0000{number % 2 + 1}-of-00002.safetensors" for number, name in enumerate(tensors)}
    for file in set(shards.values()):
        held = write(tmp_path / "part", {name: array for name, array in tensors.items() if shards[name] == file})
        (tmp_path / "b").mkdir(exist_ok=True)
        (held / "model.safetensors").rename(tmp_path / "b" / file)
    shutil.copy(held / "config.json", tmp_path / "b" / "config.json")
    (tmp_path / "b" / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}), encoding="utf-8")
    whole = write(tmp_path / "a", tensors)
    assert conclude(compared(measured_at(whole), measured_at(tmp_path / "b"))).rung == "identical"


def test_another_role_for_the_same_bytes_is_not_identical(tmp_path: Path) -> None:
    tensors = read_family("seed-1")
    gate, up = (layer_name(1, f"mlp.{part}_proj") for part in ("gate", "up"))
    tensors[gate], tensors[up] = tensors[up], tensors[gate]
    assert conclude(against_seed_1(tmp_path, tensors)).rung == "exact-rejected"


def test_one_value_in_a_million_keeps_the_share_below_one(tmp_path: Path) -> None:
    assert (share_digits(10**9 - 1, 10**9), share_digits(10**9, 10**9), share_digits(0, 10**9)) == (0.999999, 1.0, 0.0)
    tensors = read_family("seed-1")
    tensors["model.norm.weight"] = tensors["model.norm.weight"] * np.float32(2)
    comparison = against_seed_1(tmp_path, tensors)
    assert by_id(comparison)[PLACES].statistic < 1
    assert conclude(comparison).rung == "exact-rejected"


def test_another_checkpoint_of_the_same_recipe_shares_nothing() -> None:
    tests = by_id(compared(measured("seed-1"), measured("seed-2")))
    assert (tests[PLACES].statistic, tests[PLACES].n) == (0.0, 0)


def test_one_public_table_of_embeddings_accuses_nobody(tmp_path: Path) -> None:
    mine, other = read_family("seed-1"), read_family("seed-2")
    comparison = against_seed_1(tmp_path, {name: mine[name] if "embed" in name else other[name] for name in other})
    assert (by_id(comparison)["tensor-identity/v1"].statistic > 0, by_id(comparison)["tensor-identity/v1"].n) == (
        True,
        0,
    )
    assert conclude(comparison).rung == "inconclusive"


def test_one_matrix_beside_the_table_counts(tmp_path: Path) -> None:
    mine, other = read_family("seed-1"), read_family("seed-2")
    taken = ("embed", "layers.2.mlp.up_proj")
    tensors = {name: mine[name] if any(part in name for part in taken) else other[name] for name in other}
    comparison = against_seed_1(tmp_path, tensors)
    assert by_id(comparison)["tensor-identity/v1"].n == 2
    assert conclude(comparison).rung == "exact-rejected"
