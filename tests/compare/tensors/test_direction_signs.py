"""Weak signs of direction: seen where something was lost on one side, the same from both ends, and moving no rung."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.derived import Values, bf16, read_family, write
from compare.pairs import by_id, compared, measured, measured_at

from attest.compare.outcome import Outcome
from attest.compare.tensors.direction_signs import direction_signs
from attest.policy import conclude

ID = "direction-signs/v1"


def pruned(tensors: Values) -> Values:
    return {
        name: bf16(np.where(np.abs(array) < np.quantile(np.abs(array), 0.3), 0, array))
        if array.ndim == 2
        else bf16(array)
        for name, array in tensors.items()
    }


def quantized(tensors: Values) -> Values:
    found = {}
    for name, array in tensors.items():
        step = np.abs(array).max() / 127
        found[name] = bf16(np.rint(array / step).astype(np.float32) * step) if array.ndim == 2 else bf16(array)
    return found


def wider(tensors: Values) -> Values:
    return {name: array.astype(np.float32) * np.float32(1.001) for name, array in tensors.items()}


def signs(outcome: Outcome) -> dict[str, tuple[int, int, int]]:
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in outcome.found[0].table.rows}


@pytest.mark.parametrize(
    ("change", "sign", "later"),
    [(pruned, "pruned", "b"), (quantized, "a quarter", "b"), (wider, "written in fewer bits", "a")],
)
def test_what_was_lost_is_seen_on_the_side_that_lost_it(
    tmp_path: Path, change: Callable[[Values], Values], sign: str, later: str
) -> None:
    other = measured_at(write(tmp_path / "b", change(read_family("seed-1"))))
    forth, back = direction_signs(measured("seed-1"), other), direction_signs(other, measured("seed-1"))
    (found,) = (counts for words, counts in signs(forth).items() if words.startswith(sign))
    assert found[2] == 29
    assert found["ab".index(later)] > 20
    assert found["ba".index(later)] == 0
    assert forth.tests == back.tests
    assert forth.tests[0].statistic > 0.7
    assert signs(back) == {words: (two, one, of) for words, (one, two, of) in signs(forth).items()}


def test_networks_of_one_recipe_show_nothing_but_kurtosis() -> None:
    outcome = direction_signs(measured("seed-1"), measured("seed-2"))
    assert (outcome.tests[0].statistic, outcome.tests[0].calibration) == (0, "descriptive")
    assert sum(signs(outcome)["greater kurtosis"][:2]) == 29


def test_the_same_network_has_no_direction() -> None:
    outcome = direction_signs(measured("seed-1"), measured("seed-1"))
    assert not outcome.tests
    assert "differ" in outcome.not_compared[0].reason


def test_they_move_no_rung() -> None:
    comparison = compared(measured("seed-1"), measured("seed-2"))
    sure = tuple(dataclasses.replace(one, statistic=1.0) if one.id == ID else one for one in comparison.tests)
    assert ID in by_id(comparison)
    assert conclude(dataclasses.replace(comparison, tests=sure)) == conclude(comparison)
