"""Tests of matched neurons and their signs on whole networks: descendants in any order, basis and vocabulary, and strangers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from compare.pairs import measured
from relabeled import Weights, basis, rotated, weights, with_neurons_permuted, write

from attest.architecture import Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.signs.matched_signs import anchored_signs, matched_signs
from attest.compare.weights.recovered_matching import recovered_matching
from attest.measure import measure

RNG = np.random.default_rng(8)
Both = tuple[Fingerprints, Model]


def hidden(model: Weights) -> Weights:
    """Neurons in another order, and scaled, in a rotated residual stream."""
    return scaled(with_neurons_permuted(rotated(model, basis(96, 96, 3)), RNG))


def scaled(model: Weights, *, signed: bool = False) -> Weights:
    """Up larger and down smaller, by a factor for every neuron that leaves what it computes."""
    changed = dict(model)
    for name in [name for name in model if name.endswith("up_proj.weight")]:
        factors = np.exp(RNG.normal(0, 0.5, len(model[name]))) * (
            RNG.choice([-1, 1], len(model[name])) if signed else 1
        )
        down = name.replace("up_proj", "down_proj")
        changed |= {name: model[name] * factors[:, None], down: model[down] / factors}
    return changed


def with_new_embeddings(model: Weights) -> Weights:
    return {
        name: RNG.normal(0, value.std(), value.shape) if "embed" in name else value for name, value in model.items()
    }


def without(model: Weights, part: str) -> Weights:
    return {name: value for name, value in model.items() if part not in name}


CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "as it was": lambda model: model,
    "permuted": lambda model: scaled(with_neurons_permuted(model, RNG)),
    "hidden": hidden,
    "hidden, new words": lambda model: with_new_embeddings(hidden(model)),
    "wider": lambda model: with_neurons_permuted(rotated(model, basis(96, 128, 2)), RNG),
    "other signs": lambda model: scaled(model, signed=True),
    "all hidden": lambda model: with_new_embeddings(hidden(scaled(model, signed=True))),
    "all hidden, no gates": lambda model: with_new_embeddings(hidden(without(model, "gate_proj"))),
    "a layer less": lambda model: without(model, "layers.3."),
    "no gates": lambda model: without(model, "gate_proj"),
}


@cache
def made(name: str, change: str = "as it was") -> Both:
    folder = write(CHANGES[change](weights(name)), Path(mkdtemp()) / "checkpoint")
    measurement = measure(folder, deep=True)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(folder))


def recovered(one: Both, other: Both, kind: str) -> Outcome:
    """What the neurons on recovered axes gave, of their signs or their agreement."""
    outcome, test_id = recovered_matching(one[0], other[0], (one[1], other[1])), f"recovered-{kind}/v1"
    return replace(
        outcome,
        tests=tuple(test for test in outcome.tests if test.id == test_id),
        controls=tuple(control for control in outcome.controls if control.test == test_id),
        not_compared=tuple(item for item in outcome.not_compared if item.id == test_id),
    )


def run(test: str, one: Both, other: Both) -> Outcome:
    if test == "recovered":
        return recovered(one, other, "signs")
    return {"matched": matched_signs, "anchored": anchored_signs}[test](one[0], other[0])


@pytest.mark.parametrize(
    ("test", "change"),
    [
        ("matched", "as it was"),
        ("matched", "permuted"),
        ("anchored", "permuted"),
        ("anchored", "hidden"),
        ("anchored", "wider"),
        ("recovered", "hidden"),
        ("recovered", "hidden, new words"),
        ("recovered", "wider"),
    ],
)
def test_a_descendant_that_was_trained_on_is_found(test: str, change: str):
    (found,) = run(test, made("seed-1"), made("seed-1-continued", change)).tests
    assert (found.calibration, found.id) == ("exact", f"{test}-signs/v1")
    assert (found.z or 0) > 15
    assert found.pvalue == found.smallest_pvalue == 0.0001


@pytest.mark.parametrize("test", ["matched", "anchored", "recovered"])
@pytest.mark.parametrize("change", ["as it was", "permuted", "hidden, new words", "wider"])
@pytest.mark.parametrize("name", ["seed-2", "seed-3"])
def test_strangers_are_not_accused(test: str, name: str, change: str):
    for one in run(test, made(name), made("seed-1-continued", change)).tests:
        assert abs(one.z or 0) < 4
        assert (one.pvalue or 0) > 0.001


def test_signs_that_were_changed_leave_nothing():
    for test in ("matched", "anchored", "recovered"):
        (found,) = run(test, made("seed-1"), made("seed-1-continued", "other signs")).tests
        assert abs(found.z or 0) < 4


def test_exchanging_the_two_changes_no_number():
    one, other = made("seed-1"), made("seed-1-continued", "permuted")
    for test in ("matched", "anchored", "recovered"):
        (forth,), (back,) = run(test, one, other).tests, run(test, other, one).tests
        assert (forth.z, forth.pvalue, forth.null_distribution) == (back.z, back.pvalue, back.null_distribution)


@pytest.mark.parametrize("test", ["matched", "recovered"])
def test_no_number_depends_on_the_cores(test: str, monkeypatch: pytest.MonkeyPatch):
    outcomes = []
    for cores in (1, 3):
        monkeypatch.setattr("attest.cores.usable_cores", lambda cores=cores: cores)
        outcomes.append(run(test, made("seed-1"), made("seed-1-continued", "permuted")))
    assert outcomes[0] == outcomes[1]


def test_layers_are_paired_by_what_they_hold():
    (test,) = matched_signs(made("seed-1")[0], made("seed-1-continued", "a layer less")[0]).tests
    assert [layer.layer for layer in test.layers] == [0, 1, 2]
    assert min(layer.z or 0 for layer in test.layers) > 5


def test_controls_say_yes_of_each_itself_and_no_of_the_rest():
    for test in ("matched", "recovered"):
        outcome = run(test, made("seed-1"), made("seed-2"))
        kinds = {(one.kind, one.of): one.statistic for one in outcome.controls}
        assert min(kinds["itself", "a"], kinds["itself", "b"]) > 25
        assert max(abs(value) for (kind, _), value in kinds.items() if kind != "itself") < 4
        assert len(kinds) == 7


def test_where_up_is_shifted_in_both_signs_are_not_free():
    """gpt-oss multiplies by up + 1. The coin of one network is enough."""
    one, other = made("seed-1")[0], made("seed-2")[0]
    shifted = [replace(side, architecture=replace(side.architecture, family="gpt-oss")) for side in (one, other)]
    (left_out,) = matched_signs(*shifted).not_compared
    assert "computes something else" in left_out.reason
    assert matched_signs(one, shifted[1]).tests


def test_what_has_no_gates_has_no_free_signs():
    bare = made("seed-1", "no gates")
    for test, words in (("matched", "gate"), ("anchored", "gate"), ("recovered", "gates")):
        (left_out,) = run(test, bare, made("seed-2")).not_compared
        assert words in left_out.reason
    assert "only one of the two has gates" in recovered(bare, made("seed-2"), "agreement").not_compared[0].reason
    (left_out,) = matched_signs(measured("seed-1"), made("seed-1", "wider")[0]).not_compared
    assert "hidden sizes differ" in left_out.reason
    (left_out,) = anchored_signs(measured("seed-1"), made("seed-1")[0]).not_compared
    assert "--deep" in left_out.reason


def test_neurons_that_agree_are_found_again_after_all_was_hidden():
    one, other = made("seed-1"), made("seed-1-continued", "all hidden")
    outcome = recovered(one, other, "agreement")
    (test,) = outcome.tests
    assert (test.calibration, test.pvalue, test.n) == ("descriptive", None, 3 * 256)
    assert test.statistic == recovered(other, one, "agreement").tests[0].statistic > 0.8
    shares = {control.kind: control.statistic for control in outcome.controls}
    assert shares["itself"] > 0.99
    assert max(shares["shuffled"], shares["other-layers"]) < 0.05


def test_neurons_without_gates_are_found_again_and_have_no_sign_to_test():
    one, other = made("seed-1", "no gates"), made("seed-1-continued", "all hidden, no gates")
    outcome = recovered_matching(one[0], other[0], (one[1], other[1]))
    (test,), (left_out,) = outcome.tests, outcome.not_compared
    assert test.id == "recovered-agreement/v1"
    assert test.statistic > 0.8
    assert left_out.id == "recovered-signs/v1"
    assert "none has one" in left_out.reason


@pytest.mark.parametrize(("gates", "change"), [("as it was", "all hidden"), ("no gates", "all hidden, no gates")])
def test_neurons_of_strangers_agree_on_next_to_nothing(gates: str, change: str):
    (test,) = recovered(made("seed-2", gates), made("seed-1-continued", change), "agreement").tests
    assert test.statistic < 0.02
