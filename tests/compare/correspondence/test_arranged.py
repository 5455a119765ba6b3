"""Units that somebody put in order with the other network in view: what no test by index can stand, and what is said of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from compare.derived import bf16, read_family
from compare.pairs import against_the_panel, by_id, measured, measured_at
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


def arranged(family: Path, folder: Path, *, signed: bool) -> Path:
    """The second of the family, its neurons beside those of the first that are most alike; also with signs as like."""
    ours, theirs = read_family("seed-1"), read_family("seed-2")
    for gate in [name for name in theirs if name.endswith("gate_proj.weight")]:
        up, down = (gate.replace("gate_proj", part) for part in ("up_proj", "down_proj"))
        a, b = (np.hstack([one[gate], one[up], one[down].T]) for one in (ours, theirs))
        order = most_alike(a, b)
        gates, ups, downs = theirs[gate][order], theirs[up][order], theirs[down][:, order]
        alike = (ours[up] * ups).sum(axis=1) + (ours[down] * downs).sum(axis=0)
        signs = np.where(alike < 0, -1, 1).astype(np.float32) if signed else np.ones(len(order), np.float32)
        theirs |= {gate: gates, up: ups * signs[:, None], down: downs * signs}
    return copy_with(family / "seed-2", folder / "arranged", {name: bf16(one) for name, one in theirs.items()})


def test_a_stranger_put_in_order_is_rejected_and_the_conclusion_names_that_reason(family: Path, tmp_path: Path) -> None:
    """Known and not mended: a common start looks the same, and is to be found."""
    comparison = against_the_panel(measured("seed-1"), measured_at(arranged(family, tmp_path, signed=False)))
    tests = by_id(comparison)
    assert (tests["neuron-alignment/v1"].z or 0) > 15
    assert abs(tests["matched-signs/v1"].z or 9) < 3
    assert tests["matched-agreement/v1"].statistic < 0.01
    conclusion = conclude(comparison)
    assert conclusion.rung == "exact-rejected"
    assert "does not reach here what the policy asks of it: so it matters which" in " ".join(conclusion.cautions)
    assert "enough comparable networks" in " ".join(conclude(replace(comparison, panel=None)).cautions)


def test_signs_chosen_besides_make_no_match_either(family: Path, tmp_path: Path) -> None:
    comparison = against_the_panel(measured("seed-1"), measured_at(arranged(family, tmp_path, signed=True)))
    tests = by_id(comparison)
    assert (tests["neuron-alignment/v1"].z or 0) > 20
    assert tests["matched-agreement/v1"].statistic < 0.01
    assert "it matters which" in " ".join(conclude(comparison).cautions)


def test_of_a_descendant_it_is_said_that_nobody_arranged_it() -> None:
    conclusion = conclude(against_the_panel(measured("seed-1"), measured("seed-1-continued")))
    assert conclusion.rung == "exact-rejected"
    assert "above all 133 comparable pairs" in conclusion.because[-1]
    assert "is no reason here" in conclusion.cautions[1]
    assert "most alike" not in " ".join(conclusion.cautions)
