"""Matched agreement on pairs whose truth is known: what permutation hides from the exact tests, and strangers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import compared, measured, measured_at

from attest.compare.correspondence.neuron_alignment import neuron_alignment
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.neuron_matching import neuron_matching
from attest.compare.outcome import PairTest
from attest.comparison import Test
from attest.demo.launder import launder
from attest.demo.weights import family
from attest.policy import conclude

RNG = np.random.default_rng(8)
Sketch = Mapping[str, np.ndarray]
APART = [
    *combinations(("seed-1", "seed-2", "seed-3"), 2),
    ("seed-2", "seed-1-continued"),
    ("seed-3", "seed-1-continued"),
]


def outcome_of(a: Fingerprints, b: Fingerprints) -> dict[str, Test]:
    return {test.id.removesuffix("/v1"): test for test in neuron_matching(a, b).tests}


def with_sketch(one: Fingerprints, change: Callable[[list[np.ndarray]], list[np.ndarray]]) -> Fingerprints:
    """A checkpoint whose layers are others: what its sketch would be, without writing it."""
    sketch = one.arrays["neuron-sketch/v1"]
    layers = change([sketch[f"layers.{layer}"] for layer in range(len(sketch))])
    side = dataclasses.replace(one.side, layers=len(layers))
    arrays = {"neuron-sketch/v1": {f"layers.{layer}": rows for layer, rows in enumerate(layers)}}
    return dataclasses.replace(one, side=side, arrays={**one.arrays, **arrays})


def permuted(layers: list[np.ndarray]) -> list[np.ndarray]:
    return [rows[RNG.permutation(len(rows))] for rows in layers]


def strange(rows: np.ndarray, n: int | None = None) -> np.ndarray:
    return np.clip(np.rint(RNG.standard_normal((n or len(rows), rows.shape[1])) * 32), -127, 127).astype(np.int8)


@pytest.mark.parametrize(("a", "b"), APART)
def test_networks_trained_apart_agree_on_next_to_nothing(a: str, b: str):
    tests = outcome_of(measured(a), measured(b))
    assert tests["matched-agreement"].statistic < 0.02
    assert tests["layer-alignment"].statistic == 0


@pytest.mark.parametrize("test", [neuron_matching, neuron_alignment])
def test_no_number_depends_on_the_cores(test: PairTest, monkeypatch: pytest.MonkeyPatch):
    pair = measured("seed-1"), measured("seed-1-continued")
    outcomes = []
    for cores in (1, 3):
        monkeypatch.setattr("attest.cores.usable_cores", lambda cores=cores: cores)
        outcomes.append(test(*pair))
    assert outcomes[0] == outcomes[1]


def test_a_hidden_permutation_hides_nothing():
    first, second = measured("seed-1"), measured("seed-1-continued")
    plain = outcome_of(first, second)["matched-agreement"]
    hidden = outcome_of(first, with_sketch(second, permuted))["matched-agreement"]
    assert plain.statistic > 0.5
    assert hidden.statistic == pytest.approx(plain.statistic, abs=0.01)


def test_a_laundered_descendant_is_seen(tmp_path: Path):
    launder(family() / "seed-1-continued", tmp_path / "laundered", seed=3)
    tests = outcome_of(measured("seed-1"), measured_at(tmp_path / "laundered"))
    assert tests["matched-agreement"].statistic > 0.4
    assert tests["layer-alignment"].statistic == 1


def elsewhere(a: Fingerprints, b: Fingerprints) -> float | None:
    """Median share of neurons that are found in layers that are not partners; None where there are no such layers."""
    found = [one.median for one in neuron_matching(a, b).controls if one.kind == "other-layers"]
    return found[0] if found else None


def test_one_formula_in_all_layers_is_found_in_all_layers():
    formula = strange(measured("seed-1").arrays["neuron-sketch/v1"]["layers.0"]).astype(float)

    def begun(layers: list[np.ndarray]) -> list[np.ndarray]:
        return [np.clip(np.rint(formula + strange(rows) / 2), -127, 127).astype(np.int8) for rows in layers]

    pair = with_sketch(measured("seed-1"), begun), with_sketch(measured("seed-2"), begun)
    share = outcome_of(*pair)["matched-agreement"].statistic
    assert share > 0.1
    assert elsewhere(*pair) == pytest.approx(share, rel=0.3)
    assert elsewhere(measured("seed-1"), measured("seed-1-continued")) == pytest.approx(0, abs=0.02)


def test_a_layer_that_is_the_same_as_the_partner_is_no_other_layer():
    """One MLP in all layers, and a descendant of it in another order."""
    parent = with_sketch(measured("seed-1"), lambda layers: [layers[0]] * len(layers))
    order = RNG.permutation(len(parent.arrays["neuron-sketch/v1"]["layers.0"]))
    child = with_sketch(parent, lambda layers: [rows[order] for rows in layers])
    assert outcome_of(parent, child)["matched-agreement"].statistic > 0.9
    assert elsewhere(parent, child) is None


def test_they_carry_no_p_value_and_their_controls_stand_beside():
    outcome = neuron_matching(measured("seed-1"), measured("seed-1-continued"))
    assert {test.calibration for test in outcome.tests} == {"descriptive"}
    assert all(test.pvalue is None and test.z is None and test.null_distribution is None for test in outcome.tests)
    controls = {control.kind: control for control in outcome.controls}
    assert {control.test for control in outcome.controls} == {"matched-agreement/v1"}
    assert controls["itself"].statistic > 0.95
    assert controls["shuffled"].greatest < 0.05
    assert controls["other-layers"].greatest < 0.05


def test_however_much_agrees_a_descriptive_number_moves_no_rung():
    apart = compared(measured("seed-1"), measured("seed-2"))
    certain = tuple(
        dataclasses.replace(test, statistic=1.0) if test.calibration == "descriptive" else test for test in apart.tests
    )
    assert {test.id for test in certain if test.statistic == 1.0} >= {"matched-agreement/v1", "layer-alignment/v1"}
    assert conclude(dataclasses.replace(apart, tests=certain)) == conclude(apart)


def test_inserted_repeated_and_dropped_layers_are_told():
    first = measured("seed-1")
    longer = with_sketch(
        measured("seed-1-continued"),
        lambda layers: permuted([layers[0], layers[1], layers[1], strange(layers[0]), layers[3]]),
    )
    outcome = neuron_matching(first, longer)
    table = next(found.table for found in outcome.found if found.id == "layer-alignment/v1")
    assert [(row[0], row[1], row[3]) for row in table.rows] == [
        ("0", "0", "in order"),
        ("1", "1", "in order"),
        ("3", "4", "in order"),
        ("2", "-", "alone"),
        ("1", "2", "repeated"),
        ("-", "3", "alone"),
    ]
    assert {test.id: test for test in outcome.tests}["layer-alignment/v1"].statistic == 0.75


def test_a_widened_network_holds_the_narrow_one():
    wide = with_sketch(
        measured("seed-1-continued"),
        lambda layers: permuted([np.vstack([rows, strange(rows, 150)]) for rows in layers]),
    )
    tests = outcome_of(measured("seed-1"), wide)
    assert tests["width-alignment"].statistic == tests["matched-agreement"].statistic > 0.4
    assert "256 in a and 406 in b" in tests["width-alignment"].note
    assert outcome_of(measured("seed-2"), wide)["width-alignment"].statistic < 0.02


def test_layers_of_one_width_give_no_width_alignment():
    outcome = neuron_matching(measured("seed-1"), measured("seed-2"))
    assert [one.id for one in outcome.not_compared] == ["width-alignment/v1"]


def test_exchanging_the_two_changes_no_number():
    one = measured("seed-1")
    other = with_sketch(measured("seed-1-continued"), lambda layers: [*permuted(layers), layers[2][:200]])
    forth, back = outcome_of(one, other), outcome_of(other, one)
    assert forth.keys() == back.keys()
    for name, test in forth.items():
        assert (test.statistic, test.n, test.layers) == (back[name].statistic, back[name].n, back[name].layers)


def test_layer_0_alone_says_nothing():
    short = with_sketch(measured("seed-1"), lambda layers: layers[:1])
    outcome = neuron_matching(short, short)
    assert "matched-agreement/v1" in {one.id for one in outcome.not_compared}


def test_what_cannot_be_matched_has_a_reason():
    one = measured("seed-1")
    wider = dataclasses.replace(one, architecture=dataclasses.replace(one.architecture, d_model=128))
    nothing = dataclasses.replace(one, arrays={})
    without_gates = with_sketch(one, lambda layers: [rows[:, 8:] for rows in layers])
    for other, words in ((wider, "96 and 128"), (nothing, "not both have a neuron sketch"), (without_gates, "gates")):
        outcome = neuron_matching(one, other)
        assert not outcome.tests
        assert {item.id for item in outcome.not_compared} == {
            "matched-agreement/v1",
            "layer-alignment/v1",
            "width-alignment/v1",
        }
        assert all(words in item.reason for item in outcome.not_compared)


def test_hostile_arrays_crash_nothing():
    one = measured("seed-1")
    arrays = {"layers.0": np.zeros((0, 24), np.int8), "layers.1": np.zeros((3, 24), np.int8), "layers.99999999": np.ones((3, 24), np.int8),
              "other": np.ones((2, 24), np.int8), "layers.-1": np.ones((2, 24), np.int8), "layers.2": np.ones((300, 24), np.int8)}  # fmt: skip
    hostile = dataclasses.replace(one, arrays={"neuron-sketch/v1": arrays})
    for a, b in ((one, hostile), (hostile, one), (hostile, hostile)):
        assert all(test.statistic <= 1 for test in neuron_matching(a, b).tests)
