"""Linear sum assignment: nothing better exists, in any small matrix; and large ones that are known."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attest.compare.weights.assignment import MOST_ROWS, assign


def assigned(similarity: np.ndarray) -> np.ndarray:
    columns = assign(similarity)
    assert columns is not None
    return columns


@st.composite
def small_matrices(draw: st.DrawFn) -> np.ndarray:
    n_columns = draw(st.integers(1, 6))
    n_rows = draw(st.integers(1, n_columns))
    values = draw(st.lists(st.integers(-4, 4), min_size=n_rows * n_columns, max_size=n_rows * n_columns))
    return np.array(values, np.float32).reshape(n_rows, n_columns)


@settings(max_examples=150)
@given(small_matrices())
def test_no_other_assignment_has_a_greater_sum(similarity: np.ndarray):
    rows = np.arange(len(similarity))
    columns = assigned(similarity)
    assert len(set(columns.tolist())) == rows.size
    best = max(similarity[rows, list(one)].sum() for one in permutations(range(similarity.shape[1]), rows.size))
    assert similarity[rows, columns].sum() == best


def test_a_greedy_choice_that_costs_more_than_it_gains_is_not_made():
    assert assigned(np.array([[10, 9], [9, 1]], np.float32)).tolist() == [1, 0]


@pytest.mark.parametrize("extra", [0, 30])
def test_rows_that_were_put_in_another_order_are_found(extra: int):
    rng = np.random.default_rng(1)
    order = rng.permutation(300 + extra)[:300]
    similarity = rng.uniform(0, 0.49, (300, 300 + extra)).astype(np.float32)
    similarity[np.arange(300), order] += np.float32(0.5)
    assert np.array_equal(assigned(similarity), order)


def test_exchanging_two_never_gains_in_a_large_random_matrix():
    similarity = np.random.default_rng(2).standard_normal((400, 400)).astype(np.float32)
    found = assigned(similarity)
    taken = similarity[:, found].astype(np.float64)
    kept = np.diag(taken)
    assert np.max(taken + taken.T - kept[:, None] - kept) < 1e-4


def test_it_is_the_same_turned_over():
    similarity = np.random.default_rng(3).standard_normal((200, 200)).astype(np.float32)
    assert np.array_equal(assigned(np.ascontiguousarray(similarity.T))[assigned(similarity)], np.arange(200))


@pytest.mark.parametrize(
    "similarity",
    [np.zeros((3, 2), np.float32), np.zeros((1, MOST_ROWS + 1), np.float32), np.array([[np.nan]], np.float32)],
    ids=["more rows", "too many", "not finite"],
)
def test_what_cannot_be_assigned_is_refused(similarity: np.ndarray):
    with pytest.raises(ValueError, match=r"rows|finite"):
        assign(similarity)


def test_rows_that_are_all_alike_are_given_up_in_bounded_time():
    row = np.random.default_rng(4).standard_normal(300).astype(np.float32)
    alike = np.repeat(row[None], 300, axis=0)
    assert assign(alike, most_looks=10) is None
    assert sorted(assigned(alike).tolist()) == list(range(300))


def test_nothing_is_assigned_to_nothing():
    assert assigned(np.empty((0, 5), np.float32)).size == 0
