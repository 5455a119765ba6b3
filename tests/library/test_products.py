"""Sums of products, against the same by plain NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attest.library.products import inner_products, may_repeat_rows, multiply


@pytest.mark.parametrize(("n", "width"), [(1, 1), (511, 24), (512, 48), (1300, 5)])
def test_products_of_sketches_are_exact(n: int, width: int):
    mine, theirs = np.random.default_rng(n).integers(-128, 128, (2, n, width), np.int8)
    x, y = mine.astype(np.int64), theirs.astype(np.int64)
    found = multiply(mine, theirs)
    assert found.crossed == (x * y).sum()
    assert np.array_equal(found.sums, y.sum(axis=0))
    assert np.array_equal(found.squares, y.T @ y)
    centered = y - y.mean(axis=0)
    assert np.allclose(found.moments(n), centered.T @ centered, rtol=1e-12, atol=1e-4)


def test_the_largest_values_do_not_overflow():
    lowest = np.full((2000, 3), -128, np.int8)
    found = multiply(lowest, lowest)
    assert found.crossed == 3 * 2000 * 2**14
    assert (found.squares == 2000 * 2**14).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (65, 512)])
def test_inner_products_are_those_of_all_vectors(shape: tuple[int, int]):
    vectors = np.random.default_rng(1).standard_normal(shape)
    assert np.allclose(inner_products(vectors), vectors @ vectors.T, rtol=1e-12, atol=1e-12)


@settings(deadline=None)
@given(arrays(np.int8, st.tuples(st.integers(1, 40), st.integers(1, 20)), elements=st.integers(-1, 1)))
def test_equal_rows_are_never_missed(sketch: np.ndarray):
    assert may_repeat_rows(sketch) == (len(np.unique(sketch, axis=0)) < len(sketch))
