"""Norms of experts, index by index: of mixtures whose experts were reordered inside, and of strangers."""

from __future__ import annotations

import dataclasses
import math
from functools import cache
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import compared, measured_at
from numpy.typing import NDArray
from small_checkpoint import write_tensors

from attest.compare.correspondence.expert_alignment import expert_alignment
from attest.compare.correspondence.features import normal_scores
from attest.compare.correspondence.norms import expert_norm_correspondence
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.policy import conclude

ID = "expert-norm-correspondence/v1"
NORMS = "expert-norms/v1"
LAYERS, EXPERTS, WIDTH, D = 4, 12, 20, 32
Arrays = dict[str, NDArray[np.float32]]


def network(seed: int, *, experts: int = EXPERTS, layers: int = LAYERS, ordered: bool = False) -> Arrays:
    """A mixture whose experts have learned much or little, in an order of chance or by how much that is."""
    rng = np.random.default_rng(seed)
    made: dict[str, NDArray[np.float64]] = {"model.embed_tokens.weight": rng.standard_normal((64, D))}
    for layer in range(layers):
        learned = rng.standard_normal(experts) / 5
        sizes = np.exp((np.sort(learned) if ordered else learned)[:, None] + rng.standard_normal((experts, 4)) / 10)
        made[f"model.layers.{layer}.mlp.gate.weight"] = rng.standard_normal((experts, D)) * sizes[:, :1]
        for expert in range(experts):
            for at, part in enumerate(("gate", "up", "down"), 1):
                shape = (D, WIDTH) if part == "down" else (WIDTH, D)
                name = f"model.layers.{layer}.mlp.experts.{expert}.{part}_proj.weight"
                made[name] = rng.standard_normal(shape) * sizes[expert, at]
    return {name: one.astype(np.float32) for name, one in made.items()}


def changed(arrays: Arrays, *, experts: bool = False, neurons: bool = False, rotated: bool = False) -> Arrays:
    """The mixture with noise of a third of its values: its experts reordered, the neurons in each, its residual stream turned."""
    rng = np.random.default_rng(5)
    turn = np.linalg.qr(rng.standard_normal((D, D)))[0] if rotated else np.eye(D)
    orders = [rng.permutation(EXPERTS) if experts else np.arange(EXPERTS) for _ in range(LAYERS)]
    made = {}
    for name, values in arrays.items():
        one = values + rng.standard_normal(values.shape) * values.std() / 3
        words = name.split(".")
        if "experts" in words:
            order = (
                np.random.default_rng(sum(map(ord, ".".join(words[:6])))).permutation(WIDTH) if neurons else slice(None)
            )
            one = turn.T @ one[:, order] if "down" in name else one[order] @ turn
            words[5] = str(orders[int(words[2])].tolist().index(int(words[5])))
        elif words[-2] == "gate":
            one = one[orders[int(words[2])]] @ turn
        made[".".join(words)] = np.ascontiguousarray(one, dtype=np.float32)
    return made


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mixtures")


def written(arrays: Arrays, folder: Path) -> Fingerprints:
    folder.mkdir()
    write_tensors(folder / "model.safetensors", arrays)
    return measured_at(folder)


@cache
def mixture(folder: Path, seed: int) -> Fingerprints:
    return written(network(seed), folder / str(seed))


def z(a: Fingerprints, b: Fingerprints) -> float:
    (test,) = expert_norm_correspondence(a, b).tests
    assert (test.id, test.calibration) == (ID, "exact")
    assert [(one.layer, one.n) for one in test.layers] == [(layer, EXPERTS) for layer in range(LAYERS)]
    assert test.n == EXPERTS
    assert test.z is not None
    return test.z


def reason(a: Fingerprints, b: Fingerprints) -> str:
    outcome = expert_norm_correspondence(a, b)
    assert not outcome.tests
    return outcome.not_compared[-1].reason


def test_a_descendant_is_seen_though_its_neurons_are_reordered_and_its_basis_turned(folder: Path, tmp_path: Path):
    parent = mixture(folder, 0)
    child = written(changed(network(0), neurons=True, rotated=True), tmp_path / "child")
    assert z(parent, child) > 6
    assert z(parent, child) == z(child, parent)
    (other,) = expert_alignment(parent, child).tests
    assert abs(other.z or 0) < 4


def test_another_order_of_the_experts_hides_it(folder: Path, tmp_path: Path):
    assert abs(z(mixture(folder, 0), written(changed(network(0), experts=True), tmp_path / "child"))) < 4


def test_strangers_stay_within_noise(folder: Path):
    """28 pairs of 8 mixtures: z has mean 0 and variance 1."""
    features = [
        np.stack(
            [normal_scores(norms) for _, norms in sorted(mixture(folder, seed).arrays[NORMS].items())],
            axis=1,
        )
        for seed in range(8)
    ]
    statistics = [Pairing(layer=-1, x=x, y=y).statistic for x, y in combinations(features, 2)]
    zs = [one / spread for one, spread in statistics]
    assert math.isclose(zs[0], z(mixture(folder, 0), mixture(folder, 1)), rel_tol=1e-4)
    assert max(map(abs, zs)) < 4
    assert abs(sum(zs)) / math.sqrt(len(zs)) < 3
    assert 0.6 < np.std(zs) < 1.4


def test_experts_that_both_sort_show_nothing(tmp_path: Path):
    pair = [written(network(seed, ordered=True), tmp_path / str(seed)) for seed in range(2)]
    assert "in an order of their own" in reason(*pair)


def test_a_router_that_both_took_from_a_third_leaves_nothing_to_compare(folder: Path, tmp_path: Path):
    name = "model.layers.1.mlp.gate.weight"
    taken = written(network(1) | {name: network(0)[name]}, tmp_path / "taken")
    assert "one router" in reason(mixture(folder, 0), taken)
    zeros = {name: np.zeros_like(network(0)[name])}
    pair = [written(network(seed) | zeros, tmp_path / f"zeros-{seed}") for seed in range(2)]
    assert abs(z(*pair)) < 4


def test_of_few_experts_nothing_can_be_rejected(tmp_path: Path):
    few = [written(network(0, experts=4), tmp_path / "parent")]
    few.append(written({name: one * 2 for name, one in network(0, experts=4).items()}, tmp_path / "child"))
    (test,) = expert_norm_correspondence(*few).tests
    assert test.smallest_pvalue == pytest.approx(1 / 24, rel=1e-5)
    norms = [dataclasses.replace(one, tensors=(), arrays={NORMS: one.arrays[NORMS]}) for one in few]
    assert conclude(compared(*norms)).rung in {"no-evidence", "inconclusive"}


def preferring(seed: int, preferred: float) -> Arrays:
    """A mixture of which the first two experts of every layer are larger, as where equal scores go to the first."""
    sizes = dict.fromkeys("01", 1 + preferred)
    return {
        name: one * np.float32(sizes.get(name.split(".")[5], 1) if ".experts." in name else 1)
        for name, one in network(seed, layers=8).items()
    }


@pytest.mark.parametrize("preferred", [0.2, 1.0])
def test_experts_that_training_prefers_by_their_number_do_not_accuse(preferred: float, tmp_path: Path):
    """One order for each layer would count the preference 8 times."""
    pair = [written(preferring(seed, preferred), tmp_path / str(seed)) for seed in range(2)]
    assert all(abs(test.z or 0) < 4 for test in expert_norm_correspondence(*pair).tests)


def test_what_is_not_compared(folder: Path, tmp_path: Path):
    other = written(network(9, experts=5), tmp_path / "five")
    assert reason(mixture(folder, 0), other) == "in no layer do both have arrays of one size for the experts"
    hostile = {"layers.0.experts.up": np.full(EXPERTS, np.nan, np.float32)}
    one = dataclasses.replace(other, arrays={NORMS: hostile})
    assert "12 units of which one of the two has several that are the same" in reason(mixture(folder, 0), one)


def test_experts_of_several_widths_are_told_apart_by_design(tmp_path: Path):
    """One design gives expert 5 more neurons than expert 6 in every network that follows it."""

    def designed(seed: int) -> Arrays:
        widths = np.random.default_rng(9).permuted(np.linspace(4, WIDTH, 32).astype(int))
        made = {}
        for name, values in network(seed, experts=32).items():
            words = name.split(".")
            width = widths[int(words[5])] if "experts" in words else None
            made[name] = values[:, :width] if "down" in name else values[:width]
        return made

    pair = [written(designed(seed), tmp_path / str(seed)) for seed in range(2)]
    assert "several sizes" in reason(*pair)
    assert expert_norm_correspondence(pair[0], written(network(2, experts=32), tmp_path / "alike")).tests
