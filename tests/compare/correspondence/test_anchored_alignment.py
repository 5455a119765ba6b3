"""The exact test on axes of words: found where every other exact test is blind, and strangers left alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from compare.pairs import by_id, compared
from relabeled import Weights, basis, rotated, weights, with_neurons_permuted, write

from attest.compare.correspondence.anchored_alignment import anchored_alignment
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.anchored_agreement import anchored_agreement
from attest.measure import measure
from attest.policy import conclude

RNG = np.random.default_rng(6)
CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "as it was": lambda model: model,
    "rotated": lambda model: rotated(model, basis(96, 96, 1)),
    "wider": lambda model: rotated(model, basis(96, 128, 2)),
    "rotated and neurons permuted": lambda model: with_neurons_permuted(rotated(model, basis(96, 96, 3)), RNG),
}


@cache
def made(name: str, change: str = "as it was") -> Fingerprints:
    folder = Path(mkdtemp()) / "checkpoint"
    measurement = measure(write(CHANGES[change](weights(name)), folder), deep=True)
    return Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)


@pytest.mark.parametrize("change", ["as it was", "rotated", "wider"])
def test_a_descendant_is_found_in_any_basis(change: str):
    comparison = compared(made("seed-1"), made("seed-1-continued", change))
    assert (by_id(comparison)["anchored-alignment/v1"].z or 0) > 100
    assert conclude(comparison).rung == "exact-rejected"


def test_a_rotation_hides_a_descendant_from_the_sketch_without_anchors():
    tests = by_id(compared(made("seed-1"), made("seed-1-continued", "rotated")))
    assert (tests["neuron-alignment/v1"].z or 0) < 10
    assert tests["matched-agreement/v1"].statistic < 0.02
    assert tests["anchored-agreement/v1"].statistic > 0.5


def test_rotated_and_permuted_only_matching_sees_it():
    tests = by_id(compared(made("seed-1"), made("seed-1-continued", "rotated and neurons permuted")))
    assert abs(tests["anchored-alignment/v1"].z or 0) < 4
    assert tests["anchored-agreement/v1"].statistic > 0.5
    assert tests["anchored-agreement/v1"].pvalue is None


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["seed-2", "seed-3"])
def test_strangers_are_not_accused(name: str, change: str):
    comparison = compared(made(name), made("seed-1-continued", change))
    tests = by_id(comparison)
    assert abs(tests["anchored-alignment/v1"].z or 0) < 4
    assert tests["anchored-agreement/v1"].statistic < 0.02
    assert conclude(comparison).rung in {"no-evidence", "inconclusive"}


def test_it_is_exact_and_has_its_null_beside_it():
    (test,) = anchored_alignment(made("seed-1"), made("seed-2")).tests
    assert test.calibration == "exact"
    assert test.null_distribution
    assert abs(test.null_distribution.mean) < 0.05
    assert 0.9 < test.null_distribution.sd < 1.1


def test_exchanging_the_two_changes_no_number():
    one, other = made("seed-1"), made("seed-1-continued", "wider")
    for run in (anchored_alignment, anchored_agreement):
        (forth,), (back,) = run(one, other).tests, run(other, one).tests
        assert (forth.statistic, forth.z, forth.pvalue, forth.n) == (back.statistic, back.z, back.pvalue, back.n)
        assert forth.layers == back.layers


def with_layers(one: Fingerprints, change: Callable[[int, np.ndarray], np.ndarray]) -> Fingerprints:
    layers = {name: change(at, rows) for at, (name, rows) in enumerate(one.arrays["anchored-sketch/v1"].items())}
    return dataclasses.replace(one, arrays={**one.arrays, "anchored-sketch/v1": layers})


def test_layers_of_other_sizes_are_left_out_and_named():
    cut = with_layers(made("seed-1-continued"), lambda at, rows: rows[:100] if at == 1 else rows)
    outcome = anchored_alignment(made("seed-1"), cut)
    assert [layer.layer for layer in outcome.tests[0].layers] == [0, 2, 3]
    assert any("layers 1" in item.reason for item in outcome.not_compared)


def test_what_cannot_be_compared_has_a_reason():
    one = made("seed-1")
    nothing = dataclasses.replace(one, arrays={})
    for run in (anchored_alignment, anchored_agreement):
        outcome = run(one, nothing)
        assert not outcome.tests
        assert "attest measure --deep" in outcome.not_compared[0].reason
    short = with_layers(one, lambda _, rows: rows[:1])
    assert "no layer" in anchored_alignment(one, short).not_compared[0].reason
    ungated = with_layers(one, lambda _, rows: rows[:, 16:])
    assert "gates" in anchored_agreement(one, ungated).not_compared[0].reason
