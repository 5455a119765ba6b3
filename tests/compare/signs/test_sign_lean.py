"""Signs that are no coins: two strangers whose neurons all lean to one side are not compared by sign."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from compare.pairs import measured_at
from numpy.typing import NDArray
from relabeled import Weights, weights, write

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.signs.matched_signs import matched_signs
from attest.compare.signs.sign_lean import SignedRows, lean_share
from attest.compare.weights.recovered_matching import recovered_matching

RNG = np.random.default_rng(31)
Matrix = NDArray[np.float64]
Rule = Callable[[Matrix, Matrix, Matrix], Matrix]

RULES: dict[str, Rule] = {
    "up beside the gate": lambda gate, up, _: np.sum(gate * up, axis=1),
    "down beside the gate": lambda gate, _, down: np.sum(gate * down, axis=1),
    "up positive": lambda _, up, __: up.sum(axis=1),
    "down positive": lambda _, __, down: down.sum(axis=1),
}


def rows(n: int = 300, n_axes: int = 32) -> Matrix:
    values = RNG.standard_normal((n, n_axes))
    return values / np.linalg.norm(values, axis=1, keepdims=True)


def network(layers: int = 4) -> list[SignedRows]:
    """Gates lean, as trained ones do; up and down do not."""
    return [SignedRows(gate=rows() + 0.1, up=rows(), down=rows()) for _ in range(layers)]


def ruled(one: SignedRows, rule: Rule) -> SignedRows:
    signs = np.sign(rule(one.gate, one.up, one.down))[:, None]
    return SignedRows(gate=one.gate, up=one.up * signs, down=one.down * signs)


def test_coins_lean_nowhere():
    assert max(lean_share(network()) for _ in range(50)) < 0.15


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_shows(rule: str):
    assert lean_share([ruled(one, RULES[rule]) for one in network()]) > 0.5


def test_a_layer_that_was_copied_and_neurons_of_zeros_lean_nowhere():
    copied, *rest = network(6)
    zeros = np.zeros((20, 32))
    padded = [SignedRows(gate=zeros, up=zeros, down=zeros), *network(1)]
    assert lean_share([copied, copied, *rest]) < 0.15
    assert lean_share(padded[:1]) == 0
    assert lean_share(padded) < 0.3


@cache
def turned(name: str) -> tuple[Path, Fingerprints]:
    """A checkpoint in which every neuron's up is on the side of its gate."""
    model: Weights = dict(weights(name))
    for gate in [name for name in model if name.endswith("gate_proj.weight")]:
        up, down = (gate.replace("gate", part) for part in ("up", "down"))
        signs = np.sign(np.sum(model[gate] * model[up], axis=1))
        model |= {up: model[up] * signs[:, None], down: model[down] * signs}
    folder = write(model, Path(mkdtemp()) / "checkpoint")
    return folder, measured_at(folder)


def test_strangers_turned_by_one_rule_are_not_compared_by_sign():
    (one, a), (other, b) = turned("seed-1"), turned("seed-2")
    outcome = recovered_matching(a, b, (place_tensors(open_checkpoint(one)), place_tensors(open_checkpoint(other))))
    assert [test.id for test in outcome.tests] == ["recovered-agreement/v1"]
    (left_out,) = outcome.not_compared
    assert left_out.id == "recovered-signs/v1"
    assert "no coins" in left_out.reason


def test_the_coins_of_one_network_are_enough():
    _, leaning = turned("seed-1")
    (test,) = matched_signs(leaning, measured_at(write(weights("seed-2"), Path(mkdtemp()) / "checkpoint"))).tests
    assert abs(test.z or 0) < 4
