"""Latent attention: norms of latent dimensions and of heads, index by index, of related networks and of strangers."""

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

from attest.compare.correspondence.norms import (
    head_norm_correspondence,
    key_latent_correspondence,
    query_latent_correspondence,
)
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints

HEADS = 8
SIZES = {"q": 80, "kv": 48, "rotary": 8}
TESTS = {"q": query_latent_correspondence, "kv": key_latent_correspondence}
Arrays = dict[str, NDArray[np.float32]]


def network(seed: int, *, layers: int = 4) -> Arrays:
    """A network whose latent dimensions and heads differ in scale, as training leaves them, in an order of chance."""
    rng = np.random.default_rng(seed)
    made: Arrays = {"model.embed_tokens.weight": rng.standard_normal((32, 64))}
    for layer in range(layers):
        prefix = f"model.layers.{layer}.self_attn."
        q, kv = (np.exp(rng.standard_normal(SIZES[one]) / 5) for one in ("q", "kv"))
        rotary = np.linspace(1, 9, SIZES["rotary"])
        heads = np.exp(rng.standard_normal((4, HEADS)) / 5)
        made |= {
            f"{prefix}q_a_proj.weight": rng.standard_normal((80, 64)) * q[:, None],
            f"{prefix}q_b_proj.weight": rng.standard_normal((HEADS * 24, 80)) * q * np.repeat(heads[0], 24)[:, None],
            f"{prefix}kv_a_proj_with_mqa.weight": rng.standard_normal((56, 64)) * np.append(kv, rotary)[:, None],
            f"{prefix}kv_b_proj.weight": rng.standard_normal((HEADS * 32, 48))
            * kv
            * np.repeat(heads[1:3].T, 16)[:, None],
            f"{prefix}o_proj.weight": rng.standard_normal((64, HEADS * 16)) * np.repeat(heads[3], 16),
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


def test_norms_of_heads_are_those_of_their_own_parts(folder: Path):
    one, arrays = measured(folder, 0), network(0)
    assert (one.architecture.heads, one.architecture.kv_heads, one.architecture.d_head) == (HEADS, HEADS, None)
    prefix = "model.layers.2.self_attn."
    keys, values = np.split(arrays[f"{prefix}kv_b_proj.weight"].reshape(HEADS, 32, -1), 2, axis=1)
    expected = {
        "q": arrays[f"{prefix}q_b_proj.weight"].reshape(HEADS, -1),
        "k": keys.reshape(HEADS, -1),
        "v": values.reshape(HEADS, -1),
        "o": arrays[f"{prefix}o_proj.weight"].T.reshape(HEADS, -1),
    }
    for name, rows in expected.items():
        found = one.arrays["unit-norms/v1"][f"layers.2.head.{name}"]
        assert np.allclose(found, np.linalg.norm(rows, axis=1), rtol=1e-6)


def test_a_layer_with_other_sizes_has_no_heads(tmp_path: Path):
    arrays = network(1)
    arrays["model.layers.1.self_attn.kv_b_proj.weight"] = np.ones((HEADS * 16, 48), np.float32)
    write_tensors(tmp_path / "model.safetensors", arrays)
    norms = measured_at(tmp_path).arrays["unit-norms/v1"]
    assert sorted(name for name in norms if name.startswith("layers.1.head")) == ["layers.1.head.o", "layers.1.head.q"]


def test_without_the_second_matrix_nothing_says_which_rows_are_latent(tmp_path: Path):
    arrays = {name: one for name, one in network(1).items() if "_b_proj" not in name}
    arrays["model.layers.3.self_attn.kv_b_proj.weight"] = np.ones((256, 64), np.float32)
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


def changed(arrays: Arrays, noise: float, *, order: NDArray[np.int64] | None = None) -> Arrays:
    """The network with noise, and its heads in another order."""
    rng = np.random.default_rng(9)
    made = {name: one + rng.standard_normal(one.shape).astype(np.float32) * noise for name, one in arrays.items()}
    if order is None:
        return made
    for name, one in made.items():
        if "_b_proj" in name:
            made[name] = one.reshape(HEADS, -1, one.shape[1])[order].reshape(one.shape)
        elif "o_proj" in name:
            made[name] = np.ascontiguousarray(one.reshape(64, HEADS, -1)[:, order].reshape(one.shape))
    return made


def by_size(arrays: Arrays) -> Arrays:
    """Heads of every layer sorted by the size of their queries."""
    made = dict(arrays)
    for layer in range(4):
        own = {name: one for name, one in arrays.items() if f".{layer}." in name}
        queries = arrays[f"model.layers.{layer}.self_attn.q_b_proj.weight"]
        made |= changed(own, 0, order=np.argsort(np.linalg.norm(queries.reshape(HEADS, -1), axis=1)))
    return made


def written(arrays: Arrays, folder: Path) -> Fingerprints:
    folder.mkdir()
    write_tensors(folder / "model.safetensors", arrays)
    return measured_at(folder)


def test_heads_of_a_descendant_are_seen_until_they_are_permuted(folder: Path, tmp_path: Path):
    parent, order = measured(folder, 0), np.random.default_rng(1).permutation(HEADS)
    (test,) = head_norm_correspondence(parent, written(changed(network(0), 0.2), tmp_path / "child")).tests
    assert (test.z or 0) > 6
    assert [one.n for one in test.layers] == [HEADS] * 4
    shuffled = written(changed(network(0), 0.2, order=order), tmp_path / "shuffled")
    (test,) = head_norm_correspondence(parent, shuffled).tests
    assert abs(test.z or 0) < 4


def test_heads_that_both_sort_show_nothing(tmp_path: Path):
    pair = [written(by_size(network(seed)), tmp_path / str(seed)) for seed in range(2)]
    outcome = head_norm_correspondence(*pair)
    assert not outcome.tests
    assert "in an order of their own" in outcome.not_compared[-1].reason


def test_strangers_stay_within_noise(folder: Path):
    """28 pairs of 8 networks, each with two kinds of latent dimensions and heads: z has mean 0 and variance 1."""
    zs = []
    for first, second in combinations([measured(folder, seed).arrays["unit-norms/v1"] for seed in range(8)], 2):
        for kinds in (
            ("latent.q_a", "latent.q_b"),
            ("latent.kv_a", "latent.kv_b"),
            ("head.q", "head.k"),
            ("head.v", "head.o"),
        ):
            parts = [f"layers.{layer}.{kind}" for layer in range(4) for kind in kinds]
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
