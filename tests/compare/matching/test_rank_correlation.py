"""Rank correlation of two matchings: by hand, and on networks whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from compare.opened import STRANGERS
from compare.pairs import measured

from attest.compare.matching.neuron_matching import neuron_matching
from attest.compare.matching.rank_correlation import rank_correlation
from attest.comparison import Test


def ranked(a: str, b: str) -> Test:
    return next(
        test for test in neuron_matching(measured(a), measured(b)).tests if test.id == "matched-rank-correlation/v1"
    )


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([1, 2, 3, 4], [10, 20, 30, 40], 1.0),
        ([1, 2, 3, 4], [4, 3, 2, 1], -1.0),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 1 - 6 * 4 / (5 * 24)),
        ([1, 1, 2], [1, 2, 3], 3**0.5 / 2),
        ([7, 7, 7], [1, 2, 3], 0.0),
        ([], [], 0.0),
    ],
    ids=["same order", "turned round", "two exchanges", "equal ranks", "constant", "nothing"],
)
def test_it_is_spearmans(x: list[int], y: list[int], expected: float):
    found = rank_correlation(np.array(x, np.int64), np.array(y, np.int64))
    assert found == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_matchings_of_networks_trained_apart_do_not_correlate(a: str, b: str):
    assert abs(ranked(a, b).statistic) < 0.2


def test_those_of_a_descendant_do_and_no_p_value_is_claimed():
    test = ranked("seed-1", "seed-1-continued")
    assert test.statistic > 0.5
    assert (test.calibration, test.pvalue, test.null_distribution) == ("descriptive", None, None)


def test_exchanging_the_two_changes_no_number():
    assert ranked("seed-1", "seed-1-continued").statistic == ranked("seed-1-continued", "seed-1").statistic
