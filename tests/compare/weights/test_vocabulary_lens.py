"""Neurons told by the words they go with: found in any basis, order and width, and not among strangers."""

from __future__ import annotations

import numpy as np
import pytest
from compare.opened import STRANGERS, opened, run, statistics

from attest.compare.weights.role_weights import RoleWeights
from attest.compare.weights.shared_tokens import whitened_embeddings
from attest.compare.weights.vocabulary_lens import vocabulary_lens

NAME = "vocabulary-lens-agreement"


@pytest.mark.parametrize("change", ["as it was", "rotated", "wider", "neurons permuted", "disguised"])
def test_a_descendant_is_found(change: str):
    (test,) = run(vocabulary_lens, opened("seed-1"), opened("seed-1-continued", change)).tests
    assert test.statistic > 0.8
    assert (test.calibration, test.pvalue) == ("descriptive", None)
    assert test.n == 3 * 256


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_networks_trained_apart_agree_on_next_to_nothing(a: str, b: str):
    assert statistics(run(vocabulary_lens, opened(a), opened(b, "disguised")))[NAME] < 0.03


def test_new_embeddings_defeat_it():
    assert statistics(run(vocabulary_lens, opened("seed-1"), opened("seed-1", "embeddings new")))[NAME] < 0.03


def test_its_controls_stand_beside_it():
    outcome = run(vocabulary_lens, opened("seed-1"), opened("seed-1-continued"))
    (layers,) = outcome.found
    shares = {control.kind: control.statistic for control in outcome.controls}
    assert shares["itself"] > 0.99
    assert shares["shuffled"] < 0.03
    assert [row[:2] for row in layers.table.rows] == [("0", "0"), ("1", "1"), ("2", "2"), ("3", "3")]


def test_whitened_embeddings_turn_with_the_network_and_differ_from_each_other():
    rows = np.arange(64)
    one, other = (RoleWeights(model=opened("seed-1", change)[1]) for change in ("as it was", "rotated"))
    plain, turned = whitened_embeddings(one, rows), whitened_embeddings(other, rows)
    assert np.allclose(plain @ plain.T, turned @ turned.T, atol=0.03)
    assert np.linalg.norm(plain, axis=1).max() < 1.001
    off = plain @ plain.T - np.diag(np.einsum("ij,ij->i", plain, plain))
    assert np.abs(off).max() < 0.2
