"""Neurons on recovered axes where there are experts, and layers more or less than in the other network."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import numpy as np
import pytest
from compare.opened import opened
from mixture import Expert, in_turn, inputs_first, outputs_first, some, stacked, widened, write_mixture
from relabeled import Weights, basis, rotated, weights, with_neurons_permuted, write
from small_checkpoint import copy_with, read_tensors

from attest.architecture import Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.weights.layer_spectra import pair_layers
from attest.compare.weights.mlps import NeuronWeights
from attest.compare.weights.recovered_matching import recovered_matching
from attest.compare.weights.recovered_neurons import recover_neurons
from attest.compare.weights.role_weights import RoleWeights
from attest.demo.weights import family
from attest.measure import measure

Both = tuple[Fingerprints, Model]
ROOMY = 10**9


def cut(_: int, mlp: Expert) -> list[Expert]:
    """Experts that share no neuron, in an order of their own."""
    return [some(mlp, rows) for rows in np.random.default_rng(3).permutation(256).reshape(4, 64)]


def upcycled(layer: int, mlp: Expert) -> list[Expert]:
    """Copies with noise, each in an order of its own."""
    rng = np.random.default_rng(layer)
    copies = [some(mlp, rng.permutation(256)) for _ in range(2)]
    return [
        tuple(one + rng.standard_normal(one.shape).astype(np.float32) * one.std() / 4 for one in copy)  # type: ignore[misc]  # three
        for copy in copies
    ]


def hidden(model: Weights) -> Weights:
    """In a rotated residual stream, with embeddings drawn anew."""
    rng = np.random.default_rng(5)
    turned = rotated(model, basis(96, 96, 4))
    return {
        name: rng.normal(0, value.std(), value.shape) if "embed" in name else value for name, value in turned.items()
    }


def both(folder: Path) -> Both:
    measurement = measure(folder)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(folder))


@cache
def disguised(name: str, experts: Callable[[int, Expert], list[Expert]]) -> Both:
    folder = Path(mkdtemp())
    mixed = read_tensors(write_mixture(family() / name, folder / "mixture", experts))
    model = {key.removeprefix("model."): widened(codes).astype(np.float64) for key, codes in mixed.items()}
    return both(write(hidden(model), folder / "hidden"))


@cache
def deeper(name: str) -> Both:
    """Layers 1 and 2 twice, and everything hidden."""
    model = weights(name)
    head = {key: value for key, value in model.items() if not key.startswith("layers.")}
    for place, layer in enumerate((0, 1, 2, 1, 2, 3)):
        start = f"layers.{layer}."
        head |= {f"layers.{place}.{key.removeprefix(start)}": model[key] for key in model if key.startswith(start)}
    return both(write(hidden(with_neurons_permuted(head, np.random.default_rng(2))), Path(mkdtemp()) / "deeper"))


def run(one: Both, other: Both) -> Outcome:
    return recovered_matching(one[0], other[0], (one[1], other[1]))


@pytest.mark.parametrize("experts", [cut, upcycled])
def test_hidden_experts_are_found_by_signs_in_their_dense_parent(experts: Callable[[int, Expert], list[Expert]]):
    one, other = opened("seed-1"), disguised("seed-1-continued", experts)
    outcome, back = run(one, other), run(other, one)
    (test,), (agreement,) = outcome.tests, outcome.not_compared
    assert (test.id, test.calibration, test.pvalue) == ("recovered-signs/v1", "exact", test.smallest_pvalue)
    assert (test.z or 0) > 15
    assert back.tests[0].z == test.z
    assert "one dense network" in (test.note or "")
    assert (agreement.id, "not both have dense layers" in agreement.reason) == ("recovered-agreement/v1", True)


@pytest.mark.parametrize("experts", [cut, upcycled])
@pytest.mark.parametrize("name", ["seed-2", "seed-3"])
def test_strangers_are_not_accused(name: str, experts: Callable[[int, Expert], list[Expert]]):
    (test,) = run(opened(name), disguised("seed-1-continued", experts)).tests
    assert abs(test.z or 0) < 4
    (test,) = run(disguised(name, cut), disguised("seed-1-continued", experts)).tests
    assert abs(test.z or 0) < 4


def test_layers_that_were_repeated_are_put_beside_those_they_came_from():
    outcome = run(opened("seed-1"), deeper("seed-1"))
    signs, agreement = outcome.tests
    assert (signs.z or 0) > 25
    assert agreement.statistic > 0.95
    assert abs(run(opened("seed-2"), deeper("seed-1")).tests[0].z or 0) < 4


def test_layers_are_paired_by_their_spectra_in_either_direction():
    """What all layers of one network have more of is no difference."""
    first = {layer: np.array([[float(layer), 1.0]]) for layer in range(3)}
    second = {layer: np.array([[value + 50, 1.0]]) for layer, value in enumerate((1.1, 3.5, 2.2, 0.1, -3.1))}
    assert pair_layers(first, second) == ([0, 1, 2], [3, 0, 2])
    assert pair_layers(second, first) == ([3, 0, 2], [0, 1, 2])


@pytest.mark.parametrize(
    ("form", "model_type"),
    [(outputs_first, "qwen3_moe"), (inputs_first, "llama4_text"), (in_turn, "gpt_oss")],
    ids=["outputs first", "inputs first", "in turn"],
)
def test_experts_in_one_tensor_are_read_as_those_in_tensors_of_their_own(
    form: Callable[..., Any], model_type: str, tmp_path: Path
):
    alone = write_mixture(family() / "seed-1", tmp_path / "alone", cut)
    together = copy_with(alone, tmp_path / "together", stacked(read_tensors(alone), form))
    config = json.loads((alone / "config.json").read_text())
    (together / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    one, other = (
        NeuronWeights.of(RoleWeights(model=place_tensors(open_checkpoint(path))), ROOMY) for path in (alone, together)
    )
    assert [(mlps.n_alone, mlps.n_neurons, mlps.pooled) for mlps in one.layers.values()] == [(0, 256, True)] * 4
    for layer, role in ((0, "gate"), (2, "up"), (3, "down")):
        mine, theirs = (list(side.unit_rows(role, layer)) for side in (one, other))
        assert len(mine) == len(theirs) == 4
        assert all(np.array_equal(x, y) for x, y in zip(mine, theirs, strict=True)), role


def test_too_many_experts_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    weights_of = RoleWeights(
        model=place_tensors(open_checkpoint(write_mixture(family() / "seed-1", tmp_path / "mixture", cut)))
    )
    assert not NeuronWeights.of(weights_of, 255).layers
    assert len(NeuronWeights.of(weights_of, 256).layers) == 4
    monkeypatch.setattr("attest.compare.weights.recovered_neurons._MOST_WORK", 2 * 3 * 96 * 96 * 255)
    reason = recover_neurons(weights_of, RoleWeights(model=opened("seed-2")[1]), "seed")
    assert isinstance(reason, str)
    assert "few enough" in reason
