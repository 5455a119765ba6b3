"""The exact test against brute force, against its own null, and against what must break it."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest

from attest.compare.correspondence import permutation
from attest.compare.correspondence.permutation import Pairing, permutation_test
from attest.compare.digits import signed_digits


def pairing(seed: int, n: int, width: int, *, shared: float = 0.0, layer: int = 0) -> Pairing:
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width))
    return Pairing(layer=layer, x=x, y=shared * x + rng.standard_normal((n, width)))


def run(*pairings: Pairing, seed: str = "test", resamples: int = 999):
    result = permutation_test("rows/v1", pairings, seed=seed, method="rows", note="", max_resamples=resamples)
    assert result is not None
    return result


@pytest.mark.parametrize("seed", range(4))
def test_moments_equal_those_over_all_permutations(seed: int) -> None:
    one = pairing(seed, 6, 3)
    x, y = one.x - one.x.mean(axis=0), one.y - one.y.mean(axis=0)
    every = np.array([np.sum(x * y[list(order)]) for order in permutations(range(6))])
    result = run(one)
    assert every.mean() == pytest.approx(0, abs=1e-12)
    assert result.layers[0].statistic == pytest.approx(every[0], rel=1e-5)
    assert result.z == pytest.approx(every[0] / every.std(), rel=1e-5)


def test_pvalue_agrees_with_all_permutations() -> None:
    one = pairing(11, 7, 2, shared=0.4)
    x, y = one.x - one.x.mean(axis=0), one.y - one.y.mean(axis=0)
    every = np.array([np.sum(x * y[list(order)]) for order in permutations(range(7))])
    exact = np.mean(np.abs(every) >= abs(every[0]) - 1e-9)
    assert run(one, resamples=9999).pvalue == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 9999) + 1e-4)


def test_pvalues_are_uniform_under_the_null() -> None:
    values = np.sort([run(pairing(seed, 40, 6), pairing(seed + 1000, 30, 6, layer=1)).pvalue for seed in range(300)])
    distance = np.max(np.abs(values - (np.arange(300) + 0.5) / 300))
    assert distance < 1.63 / math.sqrt(300) + 0.002  # Kolmogorov and Smirnov at 1 %


def test_z_has_unit_variance_under_the_null() -> None:
    values = [run(pairing(seed, 64, 8), resamples=999).z for seed in range(300)]
    assert np.mean(values) == pytest.approx(0, abs=0.2)
    assert np.std(values) == pytest.approx(1, abs=0.15)


def test_every_pairing_follows_every_other_as_often() -> None:
    """Six pairings of three units, told apart by their sums: each of the 36 successions, within 5 deviations."""
    x, y = np.array([[1.0], [10.0], [100.0]]), np.array([[0.0], [1.0], [2.0]])
    sums = permutation._resample(x, y, 36_001, "any").tolist()
    found = Counter(pairwise(sums))
    assert len(found) == 36
    assert all(abs(count - 1000) < 5 * math.sqrt(1000) for count in found.values())


def test_null_distribution_has_mean_0_and_sd_1_and_counts_every_resample() -> None:
    null = run(pairing(5, 200, 8), resamples=9999).null_distribution
    assert null.mean == pytest.approx(0, abs=0.05)
    assert null.sd == pytest.approx(1, abs=0.05)
    assert sum(null.counts) == null.resamples == 9999
    assert len(null.edges) == len(null.counts) + 1


def test_shared_units_are_found_and_a_shuffle_hides_them() -> None:
    one = pairing(7, 300, 8, shared=1.0)
    assert run(one).z > 20
    assert run(one).pvalue == run(one).smallest_pvalue
    order = np.random.default_rng(0).permutation(300)
    assert abs(run(Pairing(layer=0, x=one.x, y=one.y[order])).z) < 4


def test_a_reversed_sign_is_found_too() -> None:
    one = pairing(8, 300, 8, shared=-1.0)
    result = run(one)
    assert result.z < -20
    assert result.pvalue == result.smallest_pvalue


def test_the_same_seed_repeats_and_another_does_not() -> None:
    one = pairing(9, 50, 4)
    assert run(one) == run(one)
    assert run(one, seed="other").null_distribution.counts != run(one).null_distribution.counts


def test_exchanging_the_two_changes_no_statistic() -> None:
    one = pairing(10, 50, 4, shared=0.3)
    assert run(one).z == run(Pairing(layer=0, x=one.y, y=one.x)).z


def test_few_units_cannot_give_a_small_pvalue() -> None:
    one = pairing(3, 4, 2, shared=5.0)
    assert run(one, resamples=9999).smallest_pvalue == signed_digits(1 / 24)


def test_nothing_that_varies_gives_no_test() -> None:
    same = np.ones((5, 2))
    assert permutation_test("rows/v1", [Pairing(layer=0, x=same, y=same)], seed="s", method="rows", note="") is None
    assert permutation_test("rows/v1", [], seed="s", method="rows", note="") is None


def test_a_constant_layer_is_left_out_of_the_sum() -> None:
    one = pairing(12, 60, 4, shared=0.5)
    constant = Pairing(layer=1, x=np.ones((60, 4)), y=np.ones((60, 4)))
    assert run(one, constant).z == run(one).z


@pytest.fixture
def by_shifts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for networks of billions of parameters, which would take too long to shuffle."""
    monkeypatch.setattr(permutation, "WORK", 0)


@pytest.mark.usefixtures("by_shifts")
def test_pvalues_of_shifts_are_uniform_under_the_null() -> None:
    values = np.sort([run(pairing(seed, 40, 6), pairing(seed + 1000, 31, 70, layer=1)).pvalue for seed in range(300)])
    distance = np.max(np.abs(values - (np.arange(300) + 0.5) / 300))
    assert distance < 1.63 / math.sqrt(300) + 0.002  # Kolmogorov and Smirnov at 1 %


@pytest.mark.usefixtures("by_shifts")
def test_shifts_have_the_moments_of_shuffles() -> None:
    null = run(pairing(5, 400, 8), pairing(6, 301, 8, layer=1), resamples=9999).null_distribution
    assert null.mean == pytest.approx(0, abs=0.15)
    assert null.sd == pytest.approx(1, abs=0.1)
    assert sum(null.counts) == null.resamples == 9999
    assert null.method == "rows, the halves of a random order shifted"


@pytest.mark.usefixtures("by_shifts")
def test_shifts_see_what_shuffles_see() -> None:
    result = run(pairing(5, 400, 8, shared=1.0), pairing(6, 301, 8, layer=1), resamples=9999)
    assert (result.pvalue, result.smallest_pvalue) == (0.0001, 0.0001)
    n = 400
    assert result.null_distribution.sd == pytest.approx(math.sqrt(1 + result.z**2 / n), rel=0.2)


@pytest.mark.usefixtures("by_shifts")
def test_few_shifts_give_no_small_pvalue() -> None:
    result = run(pairing(5, 9, 8, shared=5.0), resamples=9999)
    assert result.smallest_pvalue == pytest.approx(1 / 20)
    assert result.pvalue == pytest.approx(1 / 20, abs=0.02)


def test_sums_of_shifts_are_those_of_shifted_rows() -> None:
    one = pairing(3, 13, 130)
    expected = [np.sum(one.x * np.roll(one.y, -shift, axis=0)) for shift in range(13)]
    assert permutation.sums_of_shifts(one.x, one.y) == pytest.approx(expected)
