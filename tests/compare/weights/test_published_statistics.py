"""What others have published, on pairs whose truth is known: strangers reach high values, and small cases by hand."""

from __future__ import annotations

import numpy as np
import pytest
from compare.opened import STRANGERS, opened, run, statistics

from attest.compare.outcome import WeightTest
from attest.compare.weights.embedding_anchors import _cosines, embedding_anchors
from attest.compare.weights.invariant_terms import _correlate, _repeated, invariant_terms
from attest.compare.weights.matrix_alignment import _centered, matrix_alignment
from attest.compare.weights.projection_spectra import leading_singular_values, projection_spectra

ALL: dict[str, WeightTest] = {
    "embedding-anchors-correlation": embedding_anchors,
    "awm": matrix_alignment,
    "huref-invariants": invariant_terms,
    "spectrum-correlation": projection_spectra,
}
RNG = np.random.default_rng(13)


@pytest.mark.parametrize("name", ALL)
def test_a_copy_has_one_and_no_p_value(name: str):
    (test,) = run(ALL[name], opened("seed-1"), opened("seed-1", "neurons permuted")).tests
    assert test.statistic == pytest.approx(1, abs=2e-3)
    assert (test.calibration, test.pvalue) == ("descriptive", None)
    assert "no evidence by itself" in test.note


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_strangers_have_one_spectrum(a: str, b: str):
    assert statistics(run(projection_spectra, opened(a), opened(b)))["spectrum-correlation"] > 0.9


def test_bytes_are_alike_in_all_networks_more_than_in_one_that_was_trained_on():
    name = "embedding-anchors-correlation"
    strangers = [statistics(run(embedding_anchors, opened(a), opened(b)))[name] for a, b in STRANGERS]
    assert statistics(run(embedding_anchors, opened("seed-1"), opened("seed-1-continued")))[name] < min(strangers)


@pytest.mark.parametrize("name", ["awm", "huref-invariants"])
def test_a_descendant_has_more_than_strangers_here(name: str):
    strangers = [statistics(run(ALL[name], opened(a), opened(b)))[name] for a, b in STRANGERS]
    assert statistics(run(ALL[name], opened("seed-1"), opened("seed-1-continued")))[name] > max(strangers)


@pytest.mark.parametrize(
    ("name", "change", "found"),
    [
        ("awm", "rotated", False),
        ("awm", "without its first layer", True),
        ("huref-invariants", "heads moved", True),
        ("embedding-anchors-correlation", "wider", True),
        ("embedding-anchors-correlation", "embeddings new", False),
    ],
)
def test_what_defeats_it_and_what_does_not(name: str, change: str, *, found: bool):
    value = statistics(run(ALL[name], opened("seed-1"), opened("seed-1", change)))[name]
    assert value > 0.9 if found else value < 0.6


def test_cosines_of_pairs_by_hand():
    assert _cosines(np.array([[1.0, 0], [0, 2], [3, 0]])).tolist() == [0, 1, 0]


def test_a_correlation_of_tables_by_hand():
    x = np.array([[1, 2], [3, 4]], np.float32)
    assert _correlate(x, 5 - 2 * x) == pytest.approx(-1)
    assert _correlate(x, np.ones_like(x)) == 0


def test_keys_are_repeated_group_by_group():
    side = np.array([[1, 2, 3, 4]], np.float32)
    repeated = _repeated(side, 2, 2)
    assert repeated is not None
    assert repeated.tolist() == [[1, 2, 1, 2, 3, 4, 3, 4]]


def test_leading_singular_values_of_a_known_matrix():
    assert leading_singular_values(np.diag([3, 4]).astype(np.float32), 2) == pytest.approx([0.8, 0.6])
    assert leading_singular_values(np.zeros((3, 3), np.float32), 2).size == 0


def test_leading_singular_values_of_a_large_matrix():
    left, right = (np.linalg.qr(RNG.standard_normal((400, 400)))[0] for _ in range(2))
    values = 0.9 ** np.arange(400)
    matrix = ((left * values) @ right).astype(np.float32)
    expected = values[:16] / np.sqrt(np.sum(values**2))
    assert leading_singular_values(matrix, 16) == pytest.approx(expected, rel=1e-3)


def test_cka_without_bias():
    """The estimator of Song et al., summed over four different indices, of two sets of features of five things."""
    x, y = RNG.standard_normal((5, 2)), RNG.standard_normal((5, 3))

    def hsic(k: np.ndarray, m: np.ndarray) -> float:
        places = [(i, j, q, r) for i in range(5) for j in range(5) for q in range(5) for r in range(5)]
        distinct = [one for one in places if len(set(one)) == 4]
        return float(np.mean([k[i, j] * (m[i, j] + m[q, r] - 2 * m[i, q]) for i, j, q, r in distinct]))

    k, m = x @ x.T, y @ y.T
    expected = hsic(k, m) / np.sqrt(hsic(k, k) * hsic(m, m))
    grams = (_centered(features.astype(np.float32)) for features in (x, y))
    assert float(np.vdot(*grams)) == pytest.approx(expected, abs=1e-5)
