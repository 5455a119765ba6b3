"""Layers that are shared, repeated or grown out of each other are no independent witnesses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured_at
from numpy.typing import NDArray
from small_checkpoint import copy_with, read_tensors

from attest.compare.correspondence.permutation import Pairing, permutation_test
from attest.compare.correspondence.tied_layers import of_their_own, tied_layers
from attest.policy import conclude

LAYERS = 12
Values = NDArray[np.float64]


def network(rng: np.random.Generator, share: float, units: int = 128) -> list[Values]:
    """Features of layers that have a share in common."""
    common = rng.standard_normal((units, 6))
    return [share * common + (1 - share) * rng.standard_normal((units, 6)) for _ in range(LAYERS)]


def paired(mine: list[Values], theirs: list[Values]) -> list[Pairing]:
    return [Pairing(layer=layer, x=x, y=y) for layer, (x, y) in enumerate(zip(mine, theirs, strict=True))]


def z_of(pairings: list[Pairing]) -> float:
    result = permutation_test("units/v1", pairings, seed="z", method="units", note="", max_resamples=999)
    assert result is not None
    return result.z


@pytest.mark.parametrize("share", [1.0, 0.5], ids=["shared", "grown"])
def test_chance_counts_once(share: float):
    """Networks trained apart, each with layers that are alike: exchanged one by one z is far too wide."""
    rng = np.random.default_rng(3)
    apart, together = [], []
    for _ in range(60):
        pairings = paired(network(rng, share), network(rng, share))
        groups = tied_layers(pairings)
        assert groups == [list(range(LAYERS))]
        apart.append(z_of(pairings))
        together.append(z_of([Pairing.beside([pairings[place] for place in group]) for group in groups]))
    assert np.std(apart) > 1.6
    assert 0.8 < np.std(together) < 1.2


def test_one_formula_in_all_layers_of_both_is_no_agreement():
    """As identity matrices with noise, from which networks may begin: the scale is each network's and layer's own."""
    rng = np.random.default_rng(6)
    formula = rng.standard_normal((128, 6))

    def begun() -> list[Values]:
        return [(1 + 0.3 * rng.random()) * formula + rng.standard_normal((128, 6)) for _ in range(LAYERS)]

    pairings = paired(begun(), begun())
    tied = tied_layers(pairings)
    assert tied == [list(range(LAYERS))]
    assert z_of([Pairing.beside(pairings)]) > 20
    assert abs(z_of([Pairing.beside(of_their_own(pairings, tied))])) < 4


def test_what_each_layer_has_of_its_own_finds_a_descendant():
    rng = np.random.default_rng(7)
    parent = network(rng, 0.5)
    child = [one + 0.3 * rng.standard_normal(one.shape) for one in parent]
    pairings = paired(parent, child)
    assert z_of([Pairing.beside(of_their_own(pairings, tied_layers(pairings)))]) > 20


def test_layers_that_are_one_and_the_same_stay_as_they_are():
    rng = np.random.default_rng(8)
    pairings = paired(network(rng, 1.0), network(rng, 1.0))
    assert of_their_own(pairings, tied_layers(pairings)) == pairings


def test_where_one_of_the_two_has_layers_of_its_own_each_is_exchanged_by_itself():
    rng = np.random.default_rng(4)
    pairings = paired(network(rng, 1.0), network(rng, 0.0))
    assert tied_layers(pairings) == [[layer] for layer in range(LAYERS)]


def test_layers_of_other_widths_are_never_tied():
    rng = np.random.default_rng(5)
    narrow, wide = network(rng, 1.0), network(rng, 1.0, units=256)
    pairings = paired([*narrow[:3], *wide[:3]], [*narrow[:3], *wide[:3]])
    assert tied_layers(pairings) == [[0, 1, 2], [3, 4, 5]]


def test_layers_without_units_or_variation_are_left_alone():
    empty = Pairing(layer=0, x=np.empty((0, 2)), y=np.empty((0, 2)))
    constant = Pairing(layer=1, x=np.ones((9, 2)), y=np.ones((9, 2)))
    assert tied_layers([empty, empty, constant, constant]) == [[0], [1], [2], [3]]


@pytest.fixture(scope="module")
def shared(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A member of the family with the MLP of its first layer in all layers."""

    def made(name: str) -> Path:
        tensors = dict(read_tensors(family / name))
        for tensor in tensors:
            if ".mlp." in tensor:
                head, _, tail = tensor.partition("layers.")
                tensors[tensor] = tensors[f"{head}layers.0.{tail.partition('.')[2]}"]
        return copy_with(family / name, tmp_path_factory.mktemp("shared") / name, tensors)

    return made


def test_networks_that_share_their_layers_are_not_accused(shared: Callable[[str], Path]):
    comparison = compared(measured_at(shared("seed-1")), measured_at(shared("seed-3")))
    test = by_id(comparison)["neuron-alignment/v1"]
    assert test.n == test.layers[0].n
    assert len(test.layers) == 4
    assert conclude(comparison).rung == "no-evidence"
    reasons = [item.reason for item in comparison.not_compared if item.id == test.id]
    assert any("layers 0, 1, 2, 3 were exchanged together" in reason for reason in reasons)


def test_a_descendant_with_shared_layers_is_found(shared: Callable[[str], Path]):
    comparison = compared(measured_at(shared("seed-1")), measured_at(shared("seed-1-continued")))
    assert (by_id(comparison)["neuron-alignment/v1"].z or 0.0) > 30
    assert conclude(comparison).rung == "exact-rejected"
