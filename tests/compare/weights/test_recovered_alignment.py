"""The exact test in a basis recovered from embeddings: descendants found after a rotation, strangers left alone."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from relabeled import Weights, basis, rotated, weights, with_neurons_permuted, write

from attest.architecture import Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.weights.recovered_alignment import recovered_alignment
from attest.measure import measure

RNG = np.random.default_rng(6)
CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "as it was": lambda model: model,
    "rotated": lambda model: rotated(model, basis(96, 96, 1)),
    "permuted, signs changed": lambda model: rotated(model, np.eye(96)[RNG.permutation(96)] * RNG.choice([-1, 1], 96)),
    "wider": lambda model: rotated(model, basis(96, 128, 2)),
    "rotated and neurons permuted": lambda model: with_neurons_permuted(rotated(model, basis(96, 96, 3)), RNG),
}
Both = tuple[Fingerprints, Model]


@cache
def made(name: str, change: str = "as it was", *, tokenizer: bool = True) -> Both:
    folder = write(CHANGES[change](weights(name)), Path(mkdtemp()) / "checkpoint", tokenizer=tokenizer)
    measurement = measure(folder)
    fingerprints = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return fingerprints, place_tensors(open_checkpoint(folder))


def run(one: Both, other: Both) -> Outcome:
    return recovered_alignment(one[0], other[0], (one[1], other[1]))


def fits(outcome: Outcome) -> list[float]:
    return [float(row[1]) for row in outcome.found[0].table.rows]


@pytest.mark.parametrize("tokenizer", [True, False], ids=["by text", "by row"])
@pytest.mark.parametrize("change", ["as it was", "rotated", "permuted, signs changed", "wider"])
def test_a_descendant_is_found_in_any_basis(change: str, *, tokenizer: bool):
    (test,) = run(made("seed-1"), made("seed-1-continued", change, tokenizer=tokenizer)).tests
    assert (test.calibration, test.id) == ("exact", "recovered-alignment/v1")
    assert (test.z or 0) > 100
    assert test.pvalue == test.smallest_pvalue


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("name", ["seed-2", "seed-3"])
def test_strangers_are_not_accused(name: str, change: str):
    (test,) = run(made(name), made("seed-1-continued", change)).tests
    assert abs(test.z or 0) < 4


def test_a_permutation_of_the_neurons_defeats_it():
    (test,) = run(made("seed-1"), made("seed-1-continued", "rotated and neurons permuted")).tests
    assert abs(test.z or 0) < 4


def test_the_fits_say_what_was_done_to_the_basis():
    plain, permuted, turned = (
        fits(run(made("seed-1-continued"), made("seed-1-continued", change)))
        for change in ("as it was", "permuted, signs changed", "rotated")
    )
    assert min(plain) > 0.99
    assert permuted[0] < 0.6
    assert min(permuted[1:]) > 0.99
    assert max(turned[:2]) < 0.6
    assert turned[2] > 0.99


def test_exchanging_the_two_changes_no_number():
    one, other = made("seed-1"), made("seed-1-continued", "wider")
    forth, back = run(one, other), run(other, one)
    assert forth.tests[0].z == back.tests[0].z
    assert fits(forth) == fits(back)


def test_what_cannot_be_recovered_has_a_reason(tmp_path: Path):
    def without(part: str, folder: str) -> Both:
        path = write({name: value for name, value in weights("seed-1").items() if part not in name}, tmp_path / folder)
        measurement = measure(path)
        found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
        return found, place_tensors(open_checkpoint(path))

    one = made("seed-1")
    assert "not both have an embedding" in run(one, without("embed", "e")).not_compared[0].reason
    assert "no layer" in run(one, without("down", "d")).not_compared[0].reason


def test_embeddings_that_do_not_vary_give_no_basis(tmp_path: Path):
    model = weights("seed-2") | {"embed_tokens.weight": np.ones((256, 96))}
    path = write(model, tmp_path / "flat")
    measurement = measure(path)
    flat = (
        Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None),
        place_tensors(open_checkpoint(path)),
    )
    assert run(made("seed-1"), flat).not_compared[0].reason == "the embeddings do not vary"
