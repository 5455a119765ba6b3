"""What the laboratory says it did is what it did."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from validity import damage  # noqa: E402 - needs torch
from validity.anatomy import tracked  # noqa: E402
from validity.launder import ROWS, Workshop  # noqa: E402
from validity.network import Network, read  # noqa: E402

pytestmark = pytest.mark.torch

ROWS_WITH_ORIGINS = ("neurons-permuted", "layers-inserted", "layers-duplicated", "layers-dropped", "widened", "neurons-split", "experts-copied", "experts-half-new", "experts-sliced", "grown")  # fmt: skip


@pytest.fixture(scope="module")
def parent(family: Path) -> Network:
    return tracked(read(family / "seed-1"))


def one_matrix(values: list[float]) -> Network:
    return Network(config={}, weights={"w": torch.tensor([values])})


@pytest.mark.parametrize("name", ROWS_WITH_ORIGINS)
def test_every_neuron_with_an_origin_is_that_neuron(name: str, parent: Network, family: Path):
    row = next(row for row in ROWS if row.name == name)
    workshop = Workshop(
        rng=torch.Generator().manual_seed(3), stranger=read(family / "seed-2"), train=lambda network, *_: network
    )
    altered = row.apply(parent, workshop)
    assert altered.neuron_origin
    for mlp, origins in altered.neuron_origin.items():
        layer = int(re.findall(r"layers\.(\d+)\.", mlp)[0])
        gate = altered.weights[f"{mlp}.gate_proj.weight"]
        assert len(origins) == gate.shape[0]
        source = altered.layer_origin[layer]
        held = [i for i, origin in enumerate(origins) if origin >= 0]
        if source is None:
            assert not held
            continue
        theirs = parent.weights[f"model.layers.{source}.mlp.gate_proj.weight"]
        assert torch.equal(gate[held], theirs[[origins[i] for i in held]])
        new = [i for i, origin in enumerate(origins) if origin < 0]
        assert not any(torch.any(torch.all(theirs == gate[i], dim=1)) for i in new)


def test_half_of_the_neurons_of_half_new_experts_are_new(parent: Network):
    row = next(row for row in ROWS if row.name == "experts-half-new")
    workshop = Workshop(rng=torch.Generator().manual_seed(3), stranger=parent, train=lambda network, *_: network)
    origins = row.apply(parent, workshop).neuron_origin.values()
    assert {sum(i >= 0 for i in held) * 2 for held in origins} == {len(next(iter(origins)))}


def test_q8_0_is_the_formula_of_gguf():
    values = [127.0, 1.0, -63.4, 0.4, *[0.0] * 28]
    assert damage.q8_0(one_matrix(values)).weights["w"][0, :4].tolist() == [127.0, 1.0, -63.0, 0.0]


def test_q4_0_is_the_formula_of_gguf():
    values = [-8.0, 7.0, 3.4, -0.6, *[0.0] * 28]
    assert damage.q4_0(one_matrix(values)).weights["w"][0, :4].tolist() == [-8.0, 7.0, 3.0, -1.0]


def test_pruning_sets_the_share_to_zero_and_keeps_the_rest(parent: Network):
    pruned = damage.prune(parent, 0.5)
    for name, value in parent.weights.items():
        kept = pruned.weights[name] != 0
        assert torch.equal(pruned.weights[name][kept], value[kept])
        if value.ndim == 2:
            assert 0.45 < 1 - kept.float().mean() < 0.55


def test_slerp_begins_at_the_one_and_ends_at_the_other(parent: Network, family: Path):
    stranger = read(family / "seed-2")
    for share, end in ((0.0, parent), (1.0, stranger)):
        reached = damage.slerp(parent, stranger, share).weights
        assert all(torch.allclose(reached[name], value, atol=1e-5) for name, value in end.weights.items())
