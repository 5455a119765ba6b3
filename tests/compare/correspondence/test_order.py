"""Networks that list their units in an order agree by index, whether or not they have anything else in common."""

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured, measured_at
from numpy.typing import NDArray
from small_checkpoint import copy_with, read_tensors

from attest.compare.correspondence import exact_outcome
from attest.compare.correspondence.features import normal_scores
from attest.compare.correspondence.order import IN_ORDER, center_among_neighbors, is_in_order, order_z
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.policy import conclude

Values = NDArray[np.float64]
NORMS = "neuron-norm-correspondence/v1"


def values(codes: NDArray[np.uint16]) -> Values:
    return (codes.astype(np.uint32) << 16).view(np.float32).astype(np.float64)


def by_norm(gate: Values, up: Values, down: Values) -> Values:
    return np.linalg.norm(gate, axis=1) * np.linalg.norm(up, axis=1) * np.linalg.norm(down, axis=0)


def by_largest_direction(gate: Values, _up: Values, _down: Values) -> Values:
    """As by how often a neuron is active: by its part in the direction that most neurons share."""
    direction: Values = np.linalg.svd(gate)[2][0]
    return gate @ direction


Sorting = Callable[[str, Callable[[Values, Values, Values], Values]], Fingerprints]


@pytest.fixture(scope="module")
def in_order(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Sorting:
    """A member of the family with the neurons of every layer sorted: it computes the same."""

    def made(name: str, key: Callable[[Values, Values, Values], Values]) -> Fingerprints:
        tensors = dict(read_tensors(family / name))
        for gate in [one for one in tensors if "gate_proj" in one]:
            up, down = (gate.replace("gate", part) for part in ("up", "down"))
            order = np.argsort(key(values(tensors[gate]), values(tensors[up]), values(tensors[down])))
            tensors[gate], tensors[up] = tensors[gate][order], tensors[up][order]
            tensors[down] = np.ascontiguousarray(tensors[down][:, order])
        folder = tmp_path_factory.mktemp("sorted") / name
        return measured_at(copy_with(family / name, folder, tensors))

    return made


@pytest.mark.parametrize("key", [by_norm, by_largest_direction])
@pytest.mark.parametrize("pair", [("seed-1", "seed-2"), ("seed-1", "seed-3"), ("seed-2", "seed-3")])
def test_independent_networks_that_are_both_sorted_are_not_accused(
    in_order: Sorting, pair: tuple[str, str], key: Callable[[Values, Values, Values], Values]
):
    comparison = compared(*(in_order(name, key) for name in pair))
    assert conclude(comparison).rung == "no-evidence"
    assert max(abs(test.z or 0.0) for test in comparison.tests) < 3


def test_without_looking_at_the_order_they_would_be(in_order: Sorting, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(exact_outcome, "is_in_order", lambda _features, _least: False)
    monkeypatch.setattr(exact_outcome, "find_copies", lambda _pairing: None)  # neighbors in an order look like copies
    monkeypatch.setattr(exact_outcome, "of_their_own", lambda pairings, _tied: pairings)  # nor what layers share
    monkeypatch.setattr(exact_outcome, "agree_when_shifted", lambda _pairings: False)
    comparison = compared(in_order("seed-1", by_norm), in_order("seed-2", by_norm))
    assert (by_id(comparison)[NORMS].z or 0.0) > 10
    assert conclude(comparison).rung == "exact-rejected"


def test_sizes_are_left_out_and_it_is_said(in_order: Sorting):
    comparison = compared(in_order("seed-1", by_norm), in_order("seed-2", by_norm))
    assert NORMS not in by_id(comparison)
    assert [item.id for item in comparison.not_compared if "an order of their own" in item.reason] == [NORMS]


def test_a_descendant_of_a_sorted_network_is_found_all_the_same(in_order: Sorting, family: Path, tmp_path: Path):
    """Parent sorted before it was trained on: the child keeps the parent's order."""
    parent = dict(read_tensors(family / "seed-1"))
    child = dict(read_tensors(family / "seed-1-continued"))
    for gate in [one for one in parent if "gate_proj" in one]:
        up, down = (gate.replace("gate", part) for part in ("up", "down"))
        order = np.argsort(by_largest_direction(values(parent[gate]), values(parent[up]), values(parent[down])))
        for name in (gate, up):
            child[name] = child[name][order]
        child[down] = np.ascontiguousarray(child[down][:, order])
    folder = copy_with(family / "seed-1-continued", tmp_path / "child", child)
    comparison = compared(in_order("seed-1", by_largest_direction), measured_at(folder))
    unsorted = compared(measured("seed-1"), measured("seed-1-continued"))
    mine, theirs = (by_id(one)["neuron-alignment/v1"].z or 0.0 for one in (comparison, unsorted))
    assert mine > 0.9 * theirs
    assert conclude(comparison).rung == "exact-rejected"


def test_one_sorted_side_changes_nothing(in_order: Sorting):
    """One exchangeable side suffices for the null distribution."""
    comparison = compared(in_order("seed-1", by_norm), measured("seed-2"))
    assert NORMS in by_id(comparison)
    assert not any("an order of their own" in item.reason for item in comparison.not_compared)


def test_a_random_order_is_none():
    rng = np.random.default_rng(5)
    seen = [
        order_z([rng.standard_normal((n, 3)) @ rng.standard_normal((3, 3)) for _ in range(4)])
        for n in (8, 64, 256)
        for _ in range(200)
    ]
    assert max(seen) < IN_ORDER
    assert np.mean(seen) < 1


def shift(n: int) -> Values:
    return np.where(np.arange(n) < n // 4, 1.0, 0.0)


def trend(n: int) -> Values:
    return np.linspace(-1, 1, n)


def sawtooth(n: int) -> Values:
    return np.arange(n) % (n // 8) / (n // 8)


@pytest.mark.parametrize("shape", [trend, shift, sawtooth])
def test_orders_are_seen(shape: Callable[[int], Values]):
    rng = np.random.default_rng(6)
    layers = [(rng.standard_normal(1024) * 0.3 + shape(1024))[:, None] for _ in range(4)]
    assert order_z(layers) > 3 * IN_ORDER
    assert order_z([rng.permuted(one, axis=0) for one in layers]) < IN_ORDER


def test_nothing_to_say_of_constants_and_few_units():
    assert order_z([np.ones((50, 2)), np.arange(2.0)[:, None], np.empty((0, 3))]) == 0.0
    assert order_z([]) == 0.0


def test_exactly_sorted_scores_of_few_heads_are_seen_over_the_layers():
    """Eight heads, as many layers: one layer says little, all together enough."""
    assert order_z([normal_scores(np.arange(8))[:, None]] * 16) > IN_ORDER


def test_few_heads_that_are_sorted_are_seen_before_they_agree():
    """Four groups of heads a layer, sorted by importance in both, as elastic networks have them: agreement is less than order."""
    rng = np.random.default_rng(7)
    layers = [np.stack([np.sort(rng.standard_normal(4)) for _ in range(4)], axis=1) for _ in range(28)]
    agreement = math.sqrt(3 * len(layers))
    assert order_z(layers) > agreement > IN_ORDER
    assert order_z([rng.permuted(one, axis=0) for one in layers]) < 3


def heads_by_size(seed: int, n: int, layers: int) -> list[Values]:
    """Four norms of each head, which have something in common, sorted by one of them."""
    rng = np.random.default_rng(seed)
    made = []
    for _ in range(layers):
        norms = rng.standard_normal((n, 4)) + rng.standard_normal((n, 1))
        made.append(np.stack([normal_scores(one) for one in norms[np.argsort(norms[:, 0])].T], axis=1))
    return made


@pytest.mark.parametrize(("n", "layers"), [(4, 16), (4, 32), (5, 8), (8, 4)])
def test_few_heads_sorted_by_one_norm_of_several_are_seen(n: int, layers: int):
    """Strangers, sorted alike: 6 standard deviations of order would be too late for some, who agree by then."""
    nets = [heads_by_size(seed, n, layers) for seed in range(16)]
    agreement = [
        sum(one / spread for one, spread in (Pairing(layer=0, x=x, y=y).statistic for x, y in zip(*pair, strict=True)))
        for pair in itertools.pairwise(nets)
    ]
    late = [order_z(one) < IN_ORDER and z / math.sqrt(layers) > 3.3 for one, z in zip(nets, agreement, strict=False)]
    assert any(late)
    assert all(map(is_in_order, nets))


def test_few_heads_in_an_order_of_chance_are_seldom_suspected():
    rng = np.random.default_rng(9)
    suspected = [is_in_order([rng.standard_normal((8, 4)) for _ in range(8)]) for _ in range(300)]
    assert np.mean(suspected) < 0.03


@pytest.mark.parametrize("n", [3, 4, 8, 64])
def test_a_random_order_has_the_stated_spread_whatever_the_number_of_units(n: int):
    rng = np.random.default_rng(8)
    seen = [order_z([rng.standard_normal((n, 3)) for _ in range(8)]) for _ in range(400)]
    assert max(seen) < 5
    assert 0.5 < np.std(seen) < 1.1


def test_what_is_a_units_own():
    features = np.array([[1.0], [2.0], [6.0]])
    assert center_among_neighbors(features).tolist() == [[-2.0], [-1.0], [3.0]]
    wide = np.arange(100.0)[:, None]
    assert np.abs(center_among_neighbors(wide)[16:-16]).max() < 1e-12
    single = (np.arange(80) == 40).astype(float)[:, None]
    assert np.flatnonzero(center_among_neighbors(single)).tolist() == list(range(24, 57))
