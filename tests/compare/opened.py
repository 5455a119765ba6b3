"""Members of the fixture family with a tokenizer, as tests on weights take them: altered, measured, and open."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
from relabeled import Weights, basis, rotated, weights, with_neurons_permuted, write

from attest.architecture import Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, WeightTest
from attest.measure import measure

__all__ = ["GROUPS", "HEADS", "STRANGERS", "Opened", "changed", "opened", "run", "statistics", "with_heads_in_order"]

HEADS, GROUPS, D_HEAD = 4, 2, 24
STRANGERS = [("seed-1", "seed-2"), ("seed-1", "seed-3"), ("seed-2", "seed-3")]
Opened = tuple[Fingerprints, Model]


def with_heads_in_order(model: Weights, order: list[int]) -> Weights:
    """Groups of heads in another order: group ``order[i]`` comes to stand at i."""
    moved = dict(model)
    for name, value in model.items():
        role = name.rpartition("self_attn.")[2].partition("_proj")[0]
        heads = {"q": HEADS, "o": HEADS, "k": GROUPS, "v": GROUPS}.get(role)
        if "self_attn" not in name or heads is None:
            continue
        axis = 1 if role == "o" else 0
        each = heads // GROUPS * D_HEAD
        rows = np.concatenate([np.arange(one * each, (one + 1) * each) for one in order])
        moved[name] = np.take(value, rows, axis=axis)
    return moved


def _in_turn(model: Weights) -> Weights:
    """Rows of queries and keys as Meta and GGUF order them: pairs that rotary positions turn are neighbors."""
    moved = dict(model)
    for name, value in model.items():
        for role, heads in (("q_proj", HEADS), ("k_proj", GROUPS)):
            if f"self_attn.{role}" in name:
                halves = value.reshape(heads, 2, D_HEAD // 2, -1)
                moved[name] = halves.swapaxes(1, 2).reshape(value.shape)
    return moved


def _disguised(model: Weights) -> Weights:
    rng = np.random.default_rng(11)
    return rotated(with_heads_in_order(with_neurons_permuted(model, rng), [1, 0]), basis(96, 96, 5))


CHANGES: dict[str, Callable[[Weights], Weights]] = {
    "as it was": lambda model: model,
    "neurons permuted": lambda model: with_neurons_permuted(model, np.random.default_rng(12)),
    "heads moved": lambda model: with_heads_in_order(model, [1, 0]),
    "rows in turn": _in_turn,
    "rotated": lambda model: rotated(model, basis(96, 96, 1)),
    "wider": lambda model: rotated(model, basis(96, 128, 2)),
    "disguised": _disguised,
    "without its first layer": lambda model: {
        name.replace(f"layers.{layer}.", f"layers.{layer - 1}."): value
        for name, value in model.items()
        if not name.startswith("layers.0.")
        for layer in [int(name.split(".")[1]) if name.startswith("layers.") else 0]
    },
    "embeddings new": lambda model: (
        model | {"embed_tokens.weight": np.random.default_rng(3).standard_normal((256, 96)) * 0.02}
    ),
}


def changed(model: Weights, *, tokenizer: bool = True) -> Opened:
    """A checkpoint of these weights, measured and open."""
    folder = write(model, Path(mkdtemp()) / "checkpoint", tokenizer=tokenizer)
    measurement = measure(folder)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(folder))


@cache
def opened(name: str, change: str = "as it was") -> Opened:
    """A member of the family, altered; once a process."""
    return changed(CHANGES[change](weights(name)))


def run(test: WeightTest, one: Opened, other: Opened) -> Outcome:
    """A test on the weights of two."""
    return test(one[0], other[0], (one[1], other[1]))


def statistics(outcome: Outcome) -> dict[str, float]:
    """Statistics by test, without versions."""
    return {test.id.partition("/")[0]: test.statistic for test in outcome.tests}
