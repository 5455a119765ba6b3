"""Experts beside experts, and beside the dense layer that they were made of, index by index."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured, measured_at
from mixture import Expert, inputs_first, some, stacked, write_mixture
from small_checkpoint import copy_with, read_tensors

from attest.compare.correspondence.expert_alignment import expert_alignment
from attest.compare.fingerprints import Fingerprints
from attest.comparison import NO_EXPERTS
from attest.demo.weights import family
from attest.policy import conclude
from attest.resource import resource

ID = "expert-alignment/v1"
HALVES = np.arange(256).reshape(2, 128)


def noisy(expert: Expert, number: int) -> Expert:
    """Noise that no other network has: one that two share would be a common beginning."""
    rng = np.random.default_rng([number, *expert[0][0, :8].view(np.uint32).tolist()])
    gate, up, down = (one + rng.standard_normal(one.shape).astype(np.float32) * one.std() / 2 for one in expert)
    return gate, up, down


def upcycled(layer: int, mlp: Expert) -> list[Expert]:
    """Experts that began as copies of the dense layer and were trained apart."""
    return [noisy(mlp, number) for number in (2 * layer, 2 * layer + 1)]


def cut(_: int, mlp: Expert) -> list[Expert]:
    """Experts that share no neuron: as if each had been trained from its own beginning."""
    return [some(mlp, rows) for rows in HALVES]


def exchanged(layer: int, mlp: Expert) -> list[Expert]:
    return cut(layer, noisy(mlp, layer))[::-1]


def shuffled(layer: int, mlp: Expert) -> list[Expert]:
    rng = np.random.default_rng(layer)
    return [some(one, rng.permutation(128)) for one in cut(layer, mlp)]


Make = Callable[[str, Callable[[int, Expert], list[Expert]]], Fingerprints]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Make:
    made: dict[tuple[str, Callable[[int, Expert], list[Expert]]], Fingerprints] = {}

    def make(name: str, experts: Callable[[int, Expert], list[Expert]]) -> Fingerprints:
        if (name, experts) not in made:
            folder = tmp_path_factory.mktemp("m") / "mixture"
            made[name, experts] = measured_at(write_mixture(family() / name, folder, experts))
        return made[name, experts]

    return make


def z(a: Fingerprints, b: Fingerprints) -> float:
    (test,) = expert_alignment(a, b).tests
    assert test.calibration == "exact"
    assert test.z is not None
    return test.z


def test_upcycled_experts_stand_beside_their_dense_parent_in_both_directions(mixture: Make):
    child, parent = mixture("seed-1-continued", upcycled), measured("seed-1")
    (test,) = expert_alignment(child, parent).tests
    assert z(parent, child) == test.z
    assert (test.z or 0) > 40
    assert [one.layer for one in test.layers] == [0, 1, 2, 3]
    assert all((one.z or 0) > 15 for one in test.layers)


def test_experts_in_another_order_still_stand_beside_each_other(mixture: Make):
    assert z(mixture("seed-1", cut), mixture("seed-1", exchanged)) > 40
    assert z(mixture("seed-1", cut), mixture("seed-1-continued", cut)) > 40


def test_experts_whose_neurons_were_reordered_are_not_seen(mixture: Make):
    assert abs(z(mixture("seed-1", cut), mixture("seed-1", shuffled))) < 4


@pytest.mark.parametrize("experts", [upcycled, cut])
@pytest.mark.parametrize("names", [("seed-1", "seed-2"), ("seed-1", "seed-3"), ("seed-2", "seed-3")])
def test_strangers_stay_strangers(
    mixture: Make, experts: Callable[[int, Expert], list[Expert]], names: tuple[str, str]
):
    a, b = (mixture(name, experts) for name in names)
    assert abs(z(a, b)) < 4


def test_a_stranger_beside_upcycled_experts(mixture: Make):
    assert abs(z(mixture("seed-1-continued", upcycled), measured("seed-2"))) < 4


def test_a_stack_is_related_to_its_parent_by_the_policy_and_a_stranger_is_not(mixture: Make, tmp_path: Path):
    source = write_mixture(family() / "seed-1-continued", tmp_path / "alone", upcycled)
    stack = measured_at(copy_with(source, tmp_path / "stack", stacked(read_tensors(source), inputs_first)))
    mlps = {"neuron-sketch/v1": 0, "expert-sketch/v1": 0}

    def only_mlps(one: Fingerprints) -> Fingerprints:
        return dataclasses.replace(one, tensors=(), arrays={name: one.arrays[name] for name in mlps})

    parent = compared(only_mlps(stack), only_mlps(measured("seed-1")))
    assert (by_id(parent)[ID].z or 0) > 40
    assert conclude(parent).rung == "exact-rejected"
    stranger = compared(only_mlps(stack), only_mlps(measured("seed-2")))
    assert conclude(stranger).rung == "no-evidence"
    assert conclude(compared(only_mlps(stack), only_mlps(mixture("seed-2", upcycled)))).rung == "no-evidence"


def test_two_mixtures_made_of_one_dense_network_are_not_said_to_be_made_of_each_other(mixture: Make):
    """Each has noise of its own in its experts, and all else is a stranger's."""

    def only_experts(one: Fingerprints, name: str) -> Fingerprints:
        side = dataclasses.replace(one.side, tree_digest=name * 64)
        return dataclasses.replace(
            one, side=side, tensors=(), arrays={"expert-sketch/v1": one.arrays["expert-sketch/v1"]}
        )

    both = compared(
        only_experts(mixture("seed-1", upcycled), "a"), only_experts(mixture("seed-1-continued", upcycled), "b")
    )
    found = conclude(both)
    assert found.rung == "exact-rejected"
    assert "or both derive from those of a third" in found.propositions.h1
    assert "nothing says that one of the two was made of the other" in found.cautions[-1]


def test_what_cannot_be_compared(mixture: Make):
    assert expert_alignment(measured("seed-1"), measured("seed-2")).not_compared == (NO_EXPERTS,)
    assert f"`reason` is `{NO_EXPERTS.reason}`" in resource("schemas/comparison.v1.md").read_text(encoding="utf-8")
    one = mixture("seed-1", cut)
    wider = dataclasses.replace(one, architecture=dataclasses.replace(one.architecture, d_model=128))
    assert "96 and 128" in expert_alignment(one, wider).not_compared[0].reason
    other = dataclasses.replace(one, arrays={"expert-sketch/v1": {"layers.0.experts.0": np.ones((3, 24), np.int8)}})
    assert "in no layer" in expert_alignment(one, other).not_compared[0].reason


def test_hostile_names_and_empty_experts_are_left_out(mixture: Make):
    rows, none = np.ones((3, 24), np.int8), np.ones((0, 24), np.int8)
    names = ("layers.0", "layers.x.experts.0", "layers.1.experts.9999999", "a.1.experts.1", "layers.1.experts.1.2")
    arrays = {**dict.fromkeys(names, rows), "layers.0.experts.0": none}
    hostile = dataclasses.replace(mixture("seed-1", cut), arrays={"expert-sketch/v1": arrays})
    assert not expert_alignment(hostile, measured("seed-1")).tests
