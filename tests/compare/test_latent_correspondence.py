"""Latent attention: norms of latent dimensions, index by index, of related networks and of strangers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare.pairs import measured_at
from numpy.typing import NDArray
from small_checkpoint import write_tensors

from attest.compare.correspondence import key_latent_correspondence, query_latent_correspondence
from attest.compare.fingerprints import Fingerprints
from attest.compare.permutation import Pairing

SIZES = {"d_model": 64, "q": 80, "kv": 48, "rotary": 8, "heads": 4 * 24, "values": 4 * 16}
TESTS = {"q": query_latent_correspondence, "kv": key_latent_correspondence}
Arrays = dict[str, NDArray[np.float32]]


def network(seed: int, *, layers: int = 4) -> Arrays:
    """A network whose latent dimensions differ in scale, as training leaves them, in an order of chance."""
    rng = np.random.default_rng(seed)
    made: Arrays = {"model.embed_tokens.weight": rng.standard_normal((32, 64))}
    for layer in range(layers):
        prefix = f"model.layers.{layer}.self_attn."
        q, kv = (np.exp(rng.standard_normal(SIZES[one]) / 5) for one in ("q", "kv"))
        rotary = np.linspace(1, 9, SIZES["rotary"])
        made |= {
            f"{prefix}q_a_proj.weight": rng.standard_normal((80, 64)) * q[:, None],
            f"{prefix}q_b_proj.weight": rng.standard_normal((96, 80)) * q,
            f"{prefix}kv_a_proj_with_mqa.weight": rng.standard_normal((56, 64)) * np.append(kv, rotary)[:, None],
            f"{prefix}kv_b_proj.weight": rng.standard_normal((128, 48)) * kv,
            f"{prefix}o_proj.weight": rng.standard_normal((64, 64)),
        }
    return {name: one.astype(np.float32) for name, one in made.items()}


@cache
def measured(folder: Path, seed: int) -> Fingerprints:
    (folder / str(seed)).mkdir()
    write_tensors(folder / str(seed) / "model.safetensors", network(seed))
    return measured_at(folder / str(seed))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("latent")


def test_norms_are_those_of_rows_and_columns_without_the_rotary_ones(folder: Path):
    norms, arrays = measured(folder, 0).arrays["unit-norms/v1"], network(0)
    prefix = "model.layers.2.self_attn."
    expected: Mapping[str, Any] = {
        "latent.q_a": np.linalg.norm(arrays[f"{prefix}q_a_proj.weight"], axis=1),
        "latent.q_b": np.linalg.norm(arrays[f"{prefix}q_b_proj.weight"], axis=0),
        "latent.kv_a": np.linalg.norm(arrays[f"{prefix}kv_a_proj_with_mqa.weight"], axis=1)[:48],
        "latent.kv_b": np.linalg.norm(arrays[f"{prefix}kv_b_proj.weight"], axis=0),
        "residual.q_a": np.linalg.norm(arrays[f"{prefix}q_a_proj.weight"], axis=0),
        "residual.kv_a": np.linalg.norm(arrays[f"{prefix}kv_a_proj_with_mqa.weight"], axis=0),
    }
    for name, values in expected.items():
        assert np.allclose(norms[f"layers.2.{name}"], values, rtol=1e-6)
    assert "layers.2.residual.q_b" not in norms


def test_without_the_second_matrix_nothing_says_which_rows_are_latent(tmp_path: Path):
    arrays = {name: one for name, one in network(1).items() if "_b_proj" not in name}
    arrays["model.layers.3.self_attn.kv_b_proj.weight"] = np.ones((128, 64), np.float32)
    write_tensors(tmp_path / "model.safetensors", arrays)
    norms = measured_at(tmp_path).arrays["unit-norms/v1"]
    assert [name for name in norms if ".latent." in name] == ["layers.3.latent.kv_b"]
    assert "layers.3.residual.kv_a" in norms


@pytest.mark.parametrize("kind", TESTS)
def test_a_descendant_is_seen(kind: str, folder: Path, tmp_path: Path):
    noise = np.random.default_rng(9)
    child = {name: one + noise.standard_normal(one.shape).astype(np.float32) / 2 for name, one in network(0).items()}
    write_tensors(tmp_path / "model.safetensors", child)
    (test,) = TESTS[kind](measured(folder, 0), measured_at(tmp_path)).tests
    assert (test.z or 0) > 9
    assert [one.n for one in test.layers] == [{"q": 80, "kv": 48}[kind]] * 4
    order = np.random.default_rng(1).permutation(SIZES[kind])
    shuffled = dict(child)
    for name, one in child.items():
        if f".{kind}_a_proj" in name:
            shuffled[name] = np.concatenate([one[order], one[len(order) :]])
        elif f".{kind}_b_proj" in name:
            shuffled[name] = np.ascontiguousarray(one[:, order])
    (tmp_path / "shuffled").mkdir()
    write_tensors(tmp_path / "shuffled" / "model.safetensors", shuffled)
    (test,) = TESTS[kind](measured(folder, 0), measured_at(tmp_path / "shuffled")).tests
    assert abs(test.z or 0) < 4


def test_strangers_stay_within_noise(folder: Path):
    """28 pairs of 8 networks, each with two kinds of latent dimensions: z has mean 0 and variance 1."""
    zs = []
    for first, second in combinations([measured(folder, seed).arrays["unit-norms/v1"] for seed in range(8)], 2):
        for kind in TESTS:
            parts = [f"layers.{layer}.latent.{kind}_{end}" for layer in range(4) for end in "ab"]
            layers = [np.stack([side[name] for name in parts], axis=1).astype(float) for side in (first, second)]
            statistics = [
                Pairing(layer=at, x=layers[0][:, at : at + 2], y=layers[1][:, at : at + 2]).statistic
                for at in range(0, 8, 2)
            ]
            zs.append(sum(one / spread for one, spread in statistics) / 2)
    assert max(map(abs, zs)) < 4
    assert abs(sum(zs)) / math.sqrt(len(zs)) < 3
    assert 0.7 < np.std(zs) < 1.35


@pytest.mark.parametrize("kind", TESTS)
def test_the_test_itself_says_so_of_strangers(kind: str, folder: Path):
    (test,) = TESTS[kind](measured(folder, 0), measured(folder, 2)).tests
    assert abs(test.z or 0) < 4
    assert test.calibration == "exact"
