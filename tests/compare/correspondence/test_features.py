"""Normal scores and unit rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attest.compare.correspondence.features import normal_scores, unit_rows
from attest.compare.correspondence.permutation import Pairing, permutation_test


def test_scores_follow_the_order_and_are_symmetric() -> None:
    scores = normal_scores(np.array([3.0, 1.0, 2.0]))
    assert scores[0] > scores[2] > scores[1]
    assert scores[2] == pytest.approx(0, abs=1e-12)
    assert scores[0] == pytest.approx(-scores[1])


def test_equal_values_share_a_score() -> None:
    scores = normal_scores(np.array([1.0, 1.0, 2.0, 3.0]))
    assert scores[0] == scores[1]
    assert scores.sum() == pytest.approx(0, abs=1e-12)


def test_a_constant_vector_says_nothing() -> None:
    assert not normal_scores(np.ones(10)).any()


@given(arrays(np.float32, st.integers(0, 40), elements=st.floats(width=32)))
def test_any_vector_gives_finite_scores(values: np.ndarray) -> None:
    scores = normal_scores(values)
    assert scores.shape == values.shape
    assert np.isfinite(scores).all()


@given(arrays(np.float32, (3, 5), elements=st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 2.0, np.inf, np.nan])))
def test_vectors_are_ranked_each_by_itself(vectors: np.ndarray) -> None:
    expected = [normal_scores(vector) for vector in vectors]
    assert np.array_equal(normal_scores(vectors), expected)


def test_equal_values_share_the_mean_of_what_they_would_have_apart() -> None:
    apart = normal_scores(np.arange(6.0))
    found = normal_scores(np.array([5.0, -0.0, 5.0, 0.0, 1.0, 5.0]))
    assert found == pytest.approx(np.array([apart[3:].mean(), apart[:2].mean()] * 2 + [apart[2], apart[3:].mean()]))


@given(arrays(np.float64, (5, 3), elements=st.floats(width=32)))
def test_any_rows_become_unit_or_zero(rows: np.ndarray) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        norms = np.linalg.norm(unit_rows(rows), axis=1)
    assert np.all((np.abs(norms - 1) < 1e-6) | (norms == 0))


def test_one_huge_dimension_in_common_is_no_evidence() -> None:
    """Raw values call two unrelated vectors related when their outliers coincide; ranks do not."""
    rng = np.random.default_rng(4)
    left, right = rng.standard_normal(400), rng.standard_normal(400)
    left[17] = right[17] = 1000.0

    def z(x: np.ndarray, y: np.ndarray) -> float:
        result = permutation_test(
            "m/v1", [Pairing(layer=-1, x=x[:, None], y=y[:, None])], seed="s", method="m", note=""
        )
        assert result is not None
        return result.z

    assert z(left, right) > 15
    assert abs(z(normal_scores(left), normal_scores(right))) < 3
