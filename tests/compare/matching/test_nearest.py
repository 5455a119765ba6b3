"""Nearest neighbors by cosine, against every pair computed."""

from __future__ import annotations

import math
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attest.compare.matching.nearest import Rows, are_nearest, nearest

small = st.tuples(st.integers(1, 6), st.integers(0, 40), st.integers(0, 9)).flatmap(
    lambda shape: st.tuples(
        arrays(np.int8, (shape[2], shape[0]), elements=st.integers(-3, 3)),
        arrays(np.int8, (shape[1], shape[0]), elements=st.integers(-3, 3)),
    )
)


def by_hand(x: np.ndarray, y: np.ndarray, *, absolute: bool) -> list[int]:
    found = []
    for row in x.tolist():
        best, at = 0.0, -1
        for place, other in enumerate(y.tolist()):
            product = math.sumprod(row, other) if hasattr(math, "sumprod") else sum(map(int.__mul__, row, other))
            norm = math.sqrt(sum(value * value for value in other))
            cosine = float(np.float32(abs(product) if absolute else product) * np.float32(1 / norm if norm else 0))
            if cosine > best:
                best, at = cosine, place
        found.append(at)
    return found


@given(small)
def test_every_row_finds_the_nearest_and_the_first_of_equals(pair: tuple[np.ndarray, np.ndarray]):
    x, y = pair
    for absolute in (False, True):
        assert nearest(x, Rows(y), absolute=absolute).tolist() == by_hand(x, y, absolute=absolute)


@given(small, st.randoms())
def test_asking_for_a_place_says_what_searching_finds(pair: tuple[np.ndarray, np.ndarray], random: Random):
    x, y = pair
    places = np.array([random.randrange(len(y)) for _ in x] if len(y) else [], np.int64)
    for absolute in (False, True):
        if len(y):
            held = are_nearest(x, Rows(y), places, absolute=absolute)
            assert held.tolist() == (nearest(x, Rows(y), absolute=absolute) == places).tolist()


def test_rows_beyond_one_block_are_found_too():
    rows = np.random.default_rng(3).integers(-127, 128, (2000, 16)).astype(np.int8)
    assert nearest(rows, Rows(rows), absolute=False).tolist() == list(range(2000))
    assert are_nearest(rows, Rows(rows), np.arange(2000), absolute=False).all()
    assert not are_nearest(rows, Rows(rows), np.roll(np.arange(2000), 1), absolute=False).any()


def test_of_equals_beyond_one_block_only_the_first_is_nearest():
    rows = np.random.default_rng(4).integers(-127, 128, (1300, 13)).astype(np.int8)
    rows[1200] = rows[7]
    one = rows[[7, 7]]
    assert are_nearest(one, Rows(rows), np.array([7, 1200]), absolute=False).tolist() == [True, False]


def test_a_row_of_zeros_is_near_to_nothing_and_nothing_to_it():
    rows = np.array([[0, 0], [5, 1]], np.int8)
    assert nearest(rows, Rows(rows), absolute=True).tolist() == [-1, 1]


def test_opposites_are_near_only_where_signs_do_not_count():
    rows = np.array([[5, 1]], np.int8)
    assert nearest(rows, Rows(-rows), absolute=True).tolist() == [0]
    assert nearest(rows, Rows(-rows), absolute=False).tolist() == [-1]


def test_sums_that_may_not_be_exact_are_refused():
    with pytest.raises(ValueError, match="exact"):
        Rows(np.zeros((1, 1041), np.int8))
    with pytest.raises(ValueError, match="unequal"):
        nearest(np.zeros((1, 2), np.int8), Rows(np.zeros((1, 3), np.int8)), absolute=False)
