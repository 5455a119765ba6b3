"""Merged networks, their parents, and a candidate that has no part in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare.derived import Values, bf16, random_model, read_family, write
from compare.pairs import measured_at

from attest.checkpoint import open_checkpoint
from attest.compare.outcome import Outcome
from attest.compare.weights.merge import Parent, merge_coefficients


def parent(folder: Path, values: Values) -> Parent:
    write(folder, values)
    return Parent(fingerprints=measured_at(folder), weights=open_checkpoint(folder))


def coefficients(outcome: Outcome) -> list[tuple[float, float, float]]:
    """Coefficient and interval of every candidate."""
    return [(float(row[2]), float(row[3]), float(row[4])) for row in outcome.found[0].table.rows]


def of(tmp_path: Path, child: Values, *candidates: Values) -> Outcome:
    parents = [parent(tmp_path / f"p{number}", values) for number, values in enumerate(candidates)]
    return merge_coefficients(open_checkpoint(write(tmp_path / "child", child)), parents)


@pytest.mark.parametrize(("first", "second"), [(0.7, 0.3), (0.5, 0.5), (1.2, -0.4)])
def test_a_merge_gives_its_coefficients(tmp_path: Path, first: float, second: float) -> None:
    one, two, three = (read_family(f"seed-{seed}") for seed in (1, 2, 3))
    child = {name: bf16((first * one[name] + second * two[name]).astype(np.float32)) for name in one}
    outcome = of(tmp_path, child, one, two, three)
    (a, *of_a), (b, *of_b), (c, low, high) = coefficients(outcome)
    assert (a, b) == pytest.approx((first, second), abs=0.01)
    assert not of_a[0] <= a <= of_a[1]
    assert not of_b[0] <= b <= of_b[1]
    assert abs(c) < 0.02
    assert low - 0.01 < 0 < high + 0.01
    assert outcome.tests[0].statistic < 1e-4
    assert outcome.tests[0].calibration == "descriptive"


def test_layers_are_told_apart(tmp_path: Path) -> None:
    one, two = random_model(1), random_model(2)
    child = {name: two[name] if ".layers.2." in name else one[name] for name in one}
    outcome = of(tmp_path, child, one, two)
    by_layer = {row[0]: [float(cell) for cell in row[1:]] for row in outcome.found[1].table.rows}
    assert by_layer["1"] == pytest.approx([1, 0, 0], abs=1e-3)
    assert by_layer["2"] == pytest.approx([0, 1, 0], abs=1e-3)


def test_candidates_without_a_part_lie_within_their_intervals(tmp_path: Path) -> None:
    outcome = of(tmp_path, random_model(1), random_model(2), random_model(3))
    assert outcome.tests[0].statistic > 0.99
    for value, low, high in coefficients(outcome):
        assert 2 * low < value < 2 * high
        assert low < 0 < high
        assert abs(value) < 0.03


def test_a_single_candidate_or_no_common_matrix_is_left_out(tmp_path: Path) -> None:
    one = random_model(1)
    assert "2 to 8" in of(tmp_path / "a", one, one).not_compared[0].reason
    renamed = {f"x.{name}": array for name, array in one.items()}
    assert "no matrices" in of(tmp_path / "b", renamed, one, one).not_compared[0].reason
