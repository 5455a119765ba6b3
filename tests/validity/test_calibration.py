"""Kolmogorov's test and binomial bounds, against values computed elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from validity.calibration import binomial_bound, kolmogorov, quantiles


def test_even_pvalues_are_uniform():
    distance, pvalue = kolmogorov([(i + 0.5) / 40 for i in range(40)])
    assert distance == pytest.approx(1 / 80)
    assert pvalue == 1.0


def test_the_asymptotic_pvalue_is_the_published_one():
    values = [0.05 * i for i in range(1, 11)]
    distance, pvalue = kolmogorov(values)
    assert distance == pytest.approx(0.5)
    assert 0.005 < pvalue < 0.02


def test_small_pvalues_are_not_uniform():
    assert kolmogorov([0.001] * 20)[1] < 1e-6


def test_pvalues_of_random_data_are_uniform_about_as_often_as_they_should():
    rng = np.random.Generator(np.random.Philox(key=3))
    rejected = sum(kolmogorov(rng.random(60).tolist())[1] < 0.05 for _ in range(400))
    assert 8 <= rejected <= 34


@pytest.mark.parametrize(("n", "level", "bound"), [(100, 0.01, 4), (300, 0.001, 2), (46, 0.01, 3), (10, 0.5, 9)])
def test_bounds_are_the_binomial_quantiles(n: int, level: float, bound: int):
    assert binomial_bound(n, level) == bound


def test_quantiles_ascend():
    assert quantiles([0.5, 0.1]) == [(1 / 3, 0.1), (2 / 3, 0.5)]
