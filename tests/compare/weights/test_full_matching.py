"""Matching on whole rows: a small pair by hand, descendants found where sketches lose them, strangers left alone."""

from __future__ import annotations

import numpy as np
import pytest
from compare.opened import STRANGERS, opened, run, statistics

from attest.compare.weights.full_matching import _match, full_matching, match_layers
from attest.compare.weights.role_weights import in_both


def test_nearest_neighbors_both_ways_by_hand():
    x = np.array([[1, 0], [0, 1]], np.float32)
    y = np.array([[0.6, 0.8], [1, 0], [0, -1]], np.float32)
    found = _match([x], [y], absolute=False, assignment=True)
    assert found.there.tolist() == [1, 0]
    assert found.back.tolist() == [1, 0, 0]
    assert found.similarities is not None
    assert found.similarities == pytest.approx(x @ y.T)
    assert _match([x], [y], absolute=True, assignment=False).there.tolist() == [1, 2]


def test_parts_are_added():
    x, y = np.eye(2, dtype=np.float32), np.array([[0, 1], [1, 0]], np.float32)
    assert _match([x, x], [y, x * 3], absolute=False, assignment=False).there.tolist() == [0, 1]


@pytest.mark.parametrize("change", ["as it was", "neurons permuted", "heads moved", "without its first layer"])
def test_a_descendant_is_found(change: str):
    found = statistics(run(full_matching, opened("seed-1"), opened("seed-1-continued", change)))
    assert found["full-row-agreement"] > 0.9
    assert found["assigned-rank-correlation"] > 0.9


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_networks_trained_apart_agree_on_next_to_nothing(a: str, b: str):
    found = statistics(run(full_matching, opened(a), opened(b)))
    assert found["full-row-agreement"] < 0.02
    assert abs(found["assigned-rank-correlation"]) < 0.2


def test_a_rotation_defeats_it():
    assert statistics(run(full_matching, opened("seed-1"), opened("seed-1", "rotated")))["full-row-agreement"] < 0.02


def test_assignments_are_left_out_where_they_are_not_asked_for():
    first, second = in_both((opened("seed-1")[1], opened("seed-1", "neurons permuted")[1]))
    plain = match_layers(first, second, 1, 1, assignment=False)
    assert (plain.share, plain.correlation, plain.neurons) == (1.0, None, 256)
    assert match_layers(first, second, 1, 1).correlation == 1.0
    outcome = full_matching(
        opened("seed-1")[0], opened("seed-2")[0], (opened("seed-1")[1], opened("seed-2")[1]), assignment=False
    )
    assert [one.id for one in outcome.tests] == ["full-row-agreement/v1"]
    assert "--assignments" in outcome.not_compared[0].reason


def test_hidden_sizes_that_differ_have_no_common_rows():
    outcome = run(full_matching, opened("seed-1"), opened("seed-1", "wider"))
    assert not outcome.tests
    assert {one.id for one in outcome.not_compared} == {"full-row-agreement/v1", "assigned-rank-correlation/v1"}
    assert "hidden sizes differ" in outcome.not_compared[0].reason
