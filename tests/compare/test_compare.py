"""The tests on pairs whose truth is known: the family, laundered descendants, and pairs that cannot be compared."""

from __future__ import annotations

import dataclasses
import json
from itertools import combinations
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured, measured_at

from attest.compare import TESTS, comparison_statement
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import PairTest
from attest.comparison import COMPARISON_TYPE
from attest.demo.launder import launder
from attest.demo.weights import family
from attest.document import dump, load, parse
from attest.policy import conclude

SEEDS = ("seed-1", "seed-2", "seed-3")
APART = [*combinations(SEEDS, 2), ("seed-2", "seed-1-continued"), ("seed-3", "seed-1-continued")]
EXACT = (
    "neuron-alignment/v1",
    "neuron-norm-correspondence/v1",
    "residual-norm-correspondence/v1",
    "norm-gain-correspondence/v1",
)


@pytest.mark.parametrize(("a", "b"), APART)
def test_models_trained_apart_by_one_recipe_are_not_accused(a: str, b: str) -> None:
    comparison = compared(measured(a), measured(b))
    tests = by_id(comparison)
    assert conclude(comparison).rung == "no-evidence"
    assert all(abs(tests[name].z or 0) < 4 for name in EXACT)
    assert all((tests[name].pvalue or 0) > 0.01 for name in EXACT)


def test_the_published_statistic_would_have_accused_one() -> None:
    published = [by_id(compared(measured(a), measured(b)))["attention-std-correlation/v1"] for a, b in APART]
    assert max(test.statistic for test in published) > 0.9
    assert all(test.calibration == "descriptive" and test.pvalue is None and test.z is None for test in published)


def test_a_continued_model_is_found() -> None:
    comparison = compared(measured("seed-1"), measured("seed-1-continued"))
    tests = by_id(comparison)
    assert conclude(comparison).rung == "exact-rejected"
    assert (tests["neuron-alignment/v1"].z or 0) > 100
    assert all((tests[name].z or 0) > 15 for name in EXACT)
    assert all(tests[name].pvalue == tests[name].smallest_pvalue for name in EXACT)
    assert tests["tensor-identity/v1"].n == 0


def test_the_same_checkpoint_is_identical() -> None:
    comparison = compared(measured("seed-1"), measured("seed-1"))
    assert conclude(comparison).rung == "identical"
    assert by_id(comparison)["tensor-identity/v1"].statistic == 1.0


def test_a_laundered_descendant_is_found_by_what_laundering_left(tmp_path: Path) -> None:
    launder(family() / "seed-1", tmp_path / "laundered", seed=3)
    comparison = compared(measured("seed-1"), measured_at(tmp_path / "laundered"))
    tests = by_id(comparison)
    assert abs(tests["neuron-alignment/v1"].z or 0) < 4, "a permutation of hidden neurons defeats it"
    assert (tests["norm-gain-correspondence/v1"].z or 0) > 10
    assert conclude(comparison).rung == "exact-rejected"


def test_a_laundered_model_is_not_taken_for_a_stranger_s(tmp_path: Path) -> None:
    launder(family() / "seed-1", tmp_path / "laundered", seed=3)
    assert conclude(compared(measured("seed-2"), measured_at(tmp_path / "laundered"))).rung == "no-evidence"


def test_exchanging_a_and_b_changes_no_number() -> None:
    forth, back = (compared(measured(a), measured(b)) for a, b in (("seed-1", "seed-2"), ("seed-2", "seed-1")))
    for test in forth.tests:
        other = by_id(back)[test.id]
        assert (test.statistic, test.z, test.pvalue, test.n) == (other.statistic, other.z, other.pvalue, other.n)


def test_units_that_are_not_finite_neither_crash_nor_testify() -> None:
    one = measured("seed-1")
    norms = {name: array.copy() for name, array in one.arrays["unit-norms/v1"].items()}
    norms["layers.0.neuron.gate"][:5] = np.nan
    norms["layers.1.residual.q"][:] = np.inf
    broken = dataclasses.replace(one, arrays={**one.arrays, "unit-norms/v1": norms})
    assert conclude(compared(broken, measured("seed-2"))).rung == "no-evidence"
    assert conclude(compared(broken, measured("seed-1-continued"))).rung == "exact-rejected"


def without(one: Fingerprints, *ids: str) -> Fingerprints:
    return dataclasses.replace(one, arrays={name: value for name, value in one.arrays.items() if name not in ids})


def test_what_is_missing_is_named_and_leaves_the_question_open() -> None:
    empty = without(measured("seed-1"), *measured("seed-1").arrays)
    comparison = compared(empty, measured("seed-1-continued"))
    assert {item.id for item in comparison.not_compared} >= set(EXACT)
    assert conclude(comparison).rung == "inconclusive"


def test_fewer_layers_are_paired_by_index_and_said_so() -> None:
    one = measured("seed-1-continued")
    shorter = dataclasses.replace(one, side=dataclasses.replace(one.side, layers=2))
    comparison = compared(measured("seed-1"), shorter)
    assert [layer.layer for layer in by_id(comparison)["neuron-alignment/v1"].layers] == [0, 1]
    assert any("the other 2" in item.reason for item in comparison.not_compared)


def test_other_hidden_sizes_have_no_common_axes() -> None:
    one = measured("seed-2")
    wider = dataclasses.replace(one, architecture=dataclasses.replace(one.architecture, d_model=128))
    reasons = {item.id: item.reason for item in compared(measured("seed-1"), wider).not_compared}
    assert "96 and 128" in reasons["neuron-alignment/v1"]


def test_heads_are_exchanged_only_as_whole_groups_and_enough_of_them() -> None:
    reasons = {item.id: item.reason for item in compared(measured("seed-1"), measured("seed-2")).not_compared}
    assert "only 2 groups" in reasons["qkv-bias-correspondence/v1"]


def with_positions(name: str, positions: Literal["rotary", "unknown"]) -> Fingerprints:
    one = measured(name)
    return dataclasses.replace(one, architecture=dataclasses.replace(one.architecture, positions=positions))


def test_positions_that_may_single_units_out_in_both_leave_only_what_is_safe() -> None:
    comparison = compared(with_positions("seed-1", "unknown"), with_positions("seed-1-continued", "unknown"))
    left_out = {item.id for item in comparison.not_compared if "positions" in item.reason}
    assert left_out == {
        "residual-norm-correspondence/v1",
        "norm-gain-correspondence/v1",
        "qkv-bias-correspondence/v1",
        "head-norm-correspondence/v1",
    }
    assert (by_id(comparison)["neuron-alignment/v1"].z or 0) > 100


def test_what_one_side_claims_of_its_positions_switches_no_test_off() -> None:
    comparison = compared(measured("seed-1"), with_positions("seed-1-continued", "unknown"))
    assert (by_id(comparison)["norm-gain-correspondence/v1"].z or 0) > 15


def test_vectors_of_unequal_sizes_are_left_out() -> None:
    norms = {name: array[:100] if name.endswith(".up") else array
             for name, array in measured("seed-1").arrays["unit-norms/v1"].items()}  # fmt: skip
    one = dataclasses.replace(measured("seed-1"), arrays={**measured("seed-1").arrays, "unit-norms/v1": norms})
    assert by_id(compared(one, one))["neuron-norm-correspondence/v1"].n == 1024


@pytest.mark.parametrize("test", TESTS, ids=lambda test: test.__name__)
def test_contract(test: PairTest) -> None:
    """Every test: the ids that ``TESTS`` names, p-values only where calibrated, everything it left out has a reason."""
    outcome = test(measured("seed-1"), measured("seed-2"))
    assert {one.id for one in (*outcome.tests, *outcome.not_compared)} == set(TESTS[test]), (
        "TESTS names all that it gives"
    )
    for one in outcome.tests:
        assert one.id.endswith("/v1")
        assert one.note
        assert one.calibration != "descriptive" or (one.pvalue is None and one.z is None)
        assert one.pvalue is None or 0 < (one.smallest_pvalue or 0) <= one.pvalue <= 1
    assert all(item.reason for item in outcome.not_compared)
    assert test(measured("seed-1"), measured("seed-2")) == outcome


def test_statement_holds_the_comparison_and_no_verdict() -> None:
    comparison = compared(measured("seed-1"), measured("seed-2"))
    statement = comparison_statement(comparison)
    assert statement.predicate_type == COMPARISON_TYPE
    assert load(type(comparison), statement.predicate, where="predicate") == comparison
    assert "conclusion" not in statement.predicate
    assert [subject.digest.sha256 for subject in statement.subjects] == [
        comparison.a.tree_digest,
        comparison.b.tree_digest,
    ]
    assert parse(statement.payload, where="payload", max_bytes=10**6)["predicate"] == json.loads(
        json.dumps(dump(comparison))
    )
