"""All experts of a layer in one tensor have the sketches that they have in tensors of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from measured import FAMILY
from mixture import Expert, in_rows, in_turn, inputs_first, outputs_first, some, stacked, write_mixture
from numpy.typing import NDArray
from placed_shapes import placed
from small_checkpoint import copy_with, read_tensors

from attest.architecture import Experts
from attest.fingerprint.slices import SlicesAccumulator
from attest.measure import Measurement, measure

ID = "expert-sketch/v1"
DBRX = """
["rows"]
title = "Names of DBRX beside those of Llama"
extends = "llama-like"
stackedTransposed = ["down"]
["rows".inLayer]
"experts.gate" = ["mlp.experts.mlp.w1"]
"experts.up" = ["mlp.experts.mlp.v1"]
"experts.down" = ["mlp.experts.mlp.w2"]
"""


def sliced(size: int) -> Callable[[int, Expert], list[Expert]]:
    """Two experts of so many neurons each, as many as the router of ``write_mixture`` has rows."""
    return lambda layer, mlp: [some(mlp, np.arange(size) * 2 + layer), some(mlp, np.arange(size) + 100)]


@pytest.fixture(scope="module", params=[64, 48, 96], ids="{} neurons".format)
def alone(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Measurement]:
    """48 make gate and up together as wide as the residual stream, 96 each matrix: such shapes tell nothing."""
    folder = write_mixture(FAMILY / "seed-1", tmp_path_factory.mktemp("m") / "alone", sliced(request.param))
    return folder, measure(folder)


def as_stacks(source: Path, folder: Path, write: Callable[..., Any], model_type: str = "qwen2_moe") -> Path:
    copy_with(source, folder, stacked(read_tensors(source), write))
    config = json.loads((source / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "model_type": model_type}))
    return folder


@pytest.mark.parametrize(
    ("write", "model_type"),
    [(outputs_first, "qwen3_moe"), (inputs_first, "llama4_text"), (in_turn, "gpt_oss")],
    ids=["outputs first", "inputs first", "in turn"],
)
def test_sketches_are_the_same(
    alone: tuple[Path, Measurement], write: Callable[..., Any], model_type: str, tmp_path: Path
):
    folder, expected = alone
    found = measure(as_stacks(folder, tmp_path / "stacked", write, model_type))
    assert len(expected.profiles[ID]) == 8
    assert (
        found.details["detail/expert-sketch.v1.safetensors"] == expected.details["detail/expert-sketch.v1.safetensors"]
    )


def test_experts_in_rows_are_told_by_the_router_and_the_table(alone: tuple[Path, Measurement], tmp_path: Path):
    folder, expected = alone
    table = tmp_path / "table.toml"
    table.write_text(DBRX)
    found = measure(as_stacks(folder, tmp_path / "stacked", in_rows), architecture=table)
    assert (
        found.details["detail/expert-sketch.v1.safetensors"] == expected.details["detail/expert-sketch.v1.safetensors"]
    )


def experts_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, Experts | None]:
    prefix = "model.layers.0."
    whole = {"self_attn.q_proj.weight": (8, 8), "self_attn.o_proj.weight": (8, 8), **shapes}
    found = placed({prefix + name: shape for name, shape in whole.items()}).tensors
    return {one.tensor.name.removeprefix(f"{prefix}mlp.experts."): one.experts for one in found if one.experts}


def test_shapes_that_do_not_fit_give_no_experts():
    assert not experts_of({"mlp.experts.gate_up_proj": (4, 10, 6), "mlp.experts.down_proj": (4, 6, 10)})
    assert not experts_of({"mlp.experts.gate_up_proj": (0, 10, 8), "mlp.experts.down_proj": (0, 8, 5)})
    assert not experts_of({"mlp.experts.gate_up_proj": (4, 9, 8)}), "an odd number of rows has no halves"


def test_a_square_matrix_lies_as_the_other_of_its_layer():
    found = experts_of({"mlp.experts.gate_up_proj": (4, 8, 8), "mlp.experts.down_proj": (4, 4, 8)})
    assert {name: [part.transposed for part in one.parts] for name, one in found.items() if one} == {
        "gate_up_proj": [True, True], "down_proj": [True],
    }  # fmt: skip
    found = experts_of({"mlp.experts.gate_up_proj": (4, 8, 8), "mlp.experts.down_proj": (4, 8, 4)})
    assert not any(part.transposed for one in found.values() if one for part in one.parts)


def test_of_two_stacks_with_one_role_the_larger_one_counts():
    both = {"mlp.experts.gate_up_proj": (4, 10, 8), "block_sparse_moe.experts.gate_up_proj": (2, 6, 8)}
    found = experts_of({**both, "mlp.experts.down_proj": (3, 8, 5)})
    assert {name: one.count for name, one in found.items() if one} == {"gate_up_proj": 4, "down_proj": 3}
    both["block_sparse_moe.experts.gate_up_proj"] = (4, 10, 8)
    assert list(experts_of({**both, "mlp.experts.down_proj": (3, 8, 5)})) == ["down_proj"]


def test_experts_with_tensors_of_their_own_come_before_a_stack():
    found = experts_of({"mlp.experts.gate_up_proj": (4, 10, 8), "mlp.experts.7.down_proj.weight": (8, 5)})
    assert {name: (one.first, one.count) for name, one in found.items() if one} == {"7.down_proj.weight": (7, 1)}


def test_very_many_slices_are_no_experts():
    assert experts_of({"mlp.experts.down_proj": (4096, 8, 5)})
    assert not experts_of({"mlp.experts.down_proj": (4097, 8, 5)})


class _Seen:
    def __init__(self) -> None:
        self.blocks: list[tuple[int, list[Any]]] = []

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        self.blocks.append((first_row, rows[:, 0].tolist()))

    def result(self) -> list[Any]:
        assert [first for first, _ in self.blocks] == [
            sum(len(rows) for _, rows in self.blocks[:place]) for place in range(len(self.blocks))
        ]
        return [value for _, rows in self.blocks for value in rows]


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 12])
def test_slices_are_shown_alone_wherever_blocks_are_cut(step: int):
    rows = np.arange(12)[:, None]
    slices = SlicesAccumulator(4, {"seen": _Seen})
    for first in range(0, 12, step):
        slices.update(rows[first : first + step], first)
    assert [one["seen"] for one in slices.result()] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
