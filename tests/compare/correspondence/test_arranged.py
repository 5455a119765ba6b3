"""Units that somebody put in order with the other network in view: what no test by index can stand, and what is said of it."""

from pathlib import Path

import numpy as np
from compare.derived import bf16, read_family
from compare.pairs import by_id, compared, measured, measured_at
from numpy.typing import NDArray
from small_checkpoint import copy_with

from attest.policy import conclude


def most_alike(a: NDArray[np.float32], b: NDArray[np.float32]) -> NDArray[np.int64]:
    """For each row of a, in a greedy order, the row of b that goes best with it; each is taken once."""
    cosines = (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T
    order = np.empty(len(a), np.int64)
    for _ in range(len(a)):
        row, column = np.unravel_index(cosines.argmax(), cosines.shape)
        order[row] = column
        cosines[row, :] = cosines[:, column] = -2
    return order


def test_a_stranger_put_in_order_is_rejected_and_the_conclusion_names_that_reason(family: Path, tmp_path: Path) -> None:
    """Known and not mended: a common start looks the same, and is to be found."""
    ours, theirs = read_family("seed-1"), read_family("seed-2")
    for gate in [name for name in theirs if name.endswith("gate_proj.weight")]:
        up, down = (gate.replace("gate_proj", part) for part in ("up_proj", "down_proj"))
        a, b = (np.hstack([one[gate], one[up], one[down].T]) for one in (ours, theirs))
        order = most_alike(a, b)
        theirs |= {gate: theirs[gate][order], up: theirs[up][order], down: theirs[down][:, order]}
    arranged = copy_with(family / "seed-2", tmp_path / "arranged", {name: bf16(one) for name, one in theirs.items()})
    comparison = compared(measured("seed-1"), measured_at(arranged))
    tests = by_id(comparison)
    assert (tests["neuron-alignment/v1"].z or 0) > 15
    assert abs(tests["matched-signs/v1"].z or 9) < 3
    assert tests["matched-agreement/v1"].statistic < 0.01
    conclusion = conclude(comparison)
    assert conclusion.rung == "exact-rejected"
    assert "put the units of the other beside those that are most alike" in " ".join(conclusion.cautions)
