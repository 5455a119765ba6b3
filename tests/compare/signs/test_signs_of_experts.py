"""The test of signs over all experts of a layer: in any order of experts and neurons, beside dense layers, and strangers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from compare.pairs import compared, measured, measured_at
from mixture import Expert, some, write_mixture

from attest.compare.correspondence.expert_alignment import expert_alignment
from attest.compare.fingerprints import Fingerprints
from attest.compare.signs.matched_signs import anchored_signs, matched_signs
from attest.demo.weights import family
from attest.policy import conclude

SKETCH = "expert-sketch/v1"


def noisy(expert: Expert, number: int) -> Expert:
    rng = np.random.default_rng([number, *expert[0][0, :8].view(np.uint32).tolist()])
    gate, up, down = (one + rng.standard_normal(one.shape).astype(np.float32) * one.std() / 3 for one in expert)
    return gate, up, down


def cut(_: int, mlp: Expert) -> list[Expert]:
    """Experts that share no neuron."""
    return [some(mlp, rows) for rows in np.arange(256).reshape(4, 64)]


def reordered(layer: int, mlp: Expert) -> list[Expert]:
    """Neurons of each expert in an order of its own, and the experts in another."""
    rng = np.random.default_rng(layer)
    experts = [some(one, rng.permutation(64)) for one in cut(layer, mlp)]
    return [experts[place] for place in (2, 0, 3, 1)]


def upcycled(layer: int, mlp: Expert) -> list[Expert]:
    """Copies that were trained apart, each in an order of its own."""
    rng = np.random.default_rng(layer)
    return [some(noisy(mlp, number), rng.permutation(256)) for number in (2 * layer, 2 * layer + 1)]


Make = Callable[[int, Expert], list[Expert]]


@cache
def mixture(name: str, experts: Make) -> Fingerprints:
    return measured_at(write_mixture(family() / name, Path(mkdtemp()) / "mixture", experts))


def z(a: Fingerprints, b: Fingerprints) -> float:
    (test,) = matched_signs(a, b).tests
    assert test.calibration == "exact"
    return test.z or 0.0


def test_experts_and_neurons_in_another_order_at_once_are_found():
    parent, child = mixture("seed-1", cut), mixture("seed-1-continued", reordered)
    assert abs(expert_alignment(parent, child).tests[0].z or 0) < 4
    (test,) = matched_signs(parent, child).tests
    assert (test.z or 0) > 20
    assert [one.layer for one in test.layers] == [0, 1, 2, 3]
    assert test.note is not None
    assert "one dense network" in test.note
    assert z(child, parent) == test.z


@pytest.mark.parametrize("experts", [reordered, upcycled])
def test_experts_stand_beside_the_dense_parent(experts: Make):
    assert z(mixture("seed-1-continued", experts), measured("seed-1")) > 15
    assert abs(z(mixture("seed-1-continued", experts), measured("seed-2"))) < 4


@pytest.mark.parametrize(
    ("one", "other"), [(cut, cut), (cut, upcycled), (upcycled, cut), (upcycled, upcycled), (reordered, upcycled)]
)
def test_strangers_stay_strangers(one: Make, other: Make):
    assert abs(z(mixture("seed-2", one), mixture("seed-1-continued", other))) < 4


def test_shared_experts_are_neurons_of_the_layer():
    """One of the four experts is stored as shared ones are, and is a routed one in the other mixture."""
    parent, child = mixture("seed-1", cut), mixture("seed-1-continued", reordered)
    arrays = child.arrays[SKETCH]
    shared = {f"layers.{layer}": arrays[f"layers.{layer}.experts.0"] for layer in range(4)}
    routed = {name: array for name, array in arrays.items() if not name.endswith("experts.0")}
    split = dataclasses.replace(child, arrays={"neuron-sketch/v1": shared, SKETCH: routed})
    assert z(parent, split) == pytest.approx(z(parent, child), abs=4)
    without = dataclasses.replace(child, arrays={SKETCH: routed})
    assert z(parent, split) > z(parent, without) > 15


def test_padded_experts_count_nothing():
    parent, child = mixture("seed-1", cut), mixture("seed-1-continued", reordered)

    def padded(one: Fingerprints) -> Fingerprints:
        more = {
            f"layers.{layer}.experts.{number}": np.zeros((64, 24), np.int8) for layer in range(4) for number in (7, 8)
        }
        return dataclasses.replace(one, arrays={SKETCH: {**one.arrays[SKETCH], **more}})

    assert z(padded(parent), padded(child)) == pytest.approx(z(parent, child), abs=6)
    assert abs(z(padded(mixture("seed-2", cut)), padded(child))) < 4


def test_where_a_part_of_the_neurons_was_kept_the_power_falls_and_strangers_stay():
    def kept(one: Fingerprints) -> Fingerprints:
        return dataclasses.replace(one, arrays={SKETCH: {name: rows[:32] for name, rows in one.arrays[SKETCH].items()}})

    parent, child = kept(mixture("seed-1", cut)), kept(mixture("seed-1-continued", reordered))
    assert 5 < z(parent, child) < z(mixture("seed-1", cut), mixture("seed-1-continued", reordered))
    assert abs(z(kept(mixture("seed-2", cut)), child)) < 4


def test_two_mixtures_of_one_dense_network_are_not_said_to_be_made_of_each_other():
    def only_experts(one: Fingerprints, name: str) -> Fingerprints:
        side = dataclasses.replace(one.side, tree_digest=name * 64)
        return dataclasses.replace(one, side=side, tensors=(), arrays={SKETCH: one.arrays[SKETCH]})

    found = conclude(
        compared(
            only_experts(mixture("seed-1", reordered), "a"), only_experts(mixture("seed-1-continued", upcycled), "b")
        )
    )
    assert found.rung == "exact-rejected"
    assert any("matched-signs" in sentence for sentence in found.because)
    assert "nothing says that one of the two was made of the other" in found.cautions[-1]


def test_experts_have_no_axes_of_words_and_need_gates():
    one = mixture("seed-1", cut)
    assert "--deep" in anchored_signs(one, one).not_compared[0].reason
    bare = dataclasses.replace(one, arrays={SKETCH: {"layers.0.experts.0": np.ones((9, 16), np.int8)}})
    assert "gate" in matched_signs(bare, one).not_compared[0].reason
    none = dataclasses.replace(one, arrays={SKETCH: {"layers.0.experts.0": np.ones((9, 7), np.int8)}})
    assert "not both have a sketch of their neurons" in matched_signs(none, one).not_compared[0].reason
