"""Experts whose ancestors are known: copied, perturbed, in part anew, sliced, and none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import measured, measured_at
from mixture import Expert, some, write_mixture

from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.expert_ancestry import expert_ancestry
from attest.comparison import Found
from attest.demo.weights import family

RNG = np.random.default_rng(11)


def noisy(expert: Expert, share: float) -> Expert:
    gate, up, down = (one + RNG.standard_normal(one.shape).astype(np.float32) * one.std() * share for one in expert)
    return gate, up, down


def half_anew(expert: Expert) -> Expert:
    gate, up, down = (one.copy() for one in expert)
    rows = RNG.permutation(256)[:128]
    for matrix in (gate, up, down.T):
        matrix[rows] = RNG.standard_normal((128, matrix.shape[1])) * matrix.std()
    return gate, up, down


def experts(_: int, mlp: Expert) -> list[Expert]:
    permuted = some(mlp, RNG.permutation(256))
    slices = [some(mlp, np.sort(RNG.permutation(256)[:64])) for _ in range(2)]
    return [permuted, noisy(permuted, 0.1), half_anew(permuted), *slices]


@pytest.fixture(scope="module")
def mixture(tmp_path_factory: pytest.TempPathFactory) -> Fingerprints:
    return measured_at(write_mixture(family() / "seed-1-continued", tmp_path_factory.mktemp("m") / "mixture", experts))


def table(found: tuple[Found, ...]) -> list[dict[str, str]]:
    last = found[-1].table
    return [dict(zip(last.columns, row, strict=True)) for row in last.rows]


def test_every_layer_of_experts_finds_the_dense_layer_it_is_from(mixture: Fingerprints):
    outcome = expert_ancestry(mixture, measured("seed-1-continued"))
    rows = table(outcome.found)
    assert [row["layer of the other"] for row in rows] == ["0", "1", "2", "3"]
    for row in rows:
        assert (row["experts"], row["kept"], row["there"]) == ("5", "256", "256")
        assert float(row["greatest"]) > 0.98
        assert 0.4 < float(row["least"]) < 0.6, "half of one expert is anew"
        assert 0.3 < float(row["unchanged"]) < 0.9
    assert 0.8 < outcome.tests[0].statistic < 1


def test_they_are_found_in_the_ancestor_of_the_ancestor(mixture: Fingerprints):
    outcome = expert_ancestry(measured("seed-1"), mixture)
    assert outcome.tests[0].statistic > 0.35
    assert [row["layer of the other"] for row in table(outcome.found)] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("name", ["seed-2", "seed-3"])
def test_a_stranger_is_no_ancestor(mixture: Fingerprints, name: str):
    outcome = expert_ancestry(mixture, measured(name))
    assert outcome.tests[0].statistic < 0.02
    assert outcome.tests[0].calibration == "descriptive"
    assert outcome.tests[0].pvalue is None


def test_controls_stand_beside(mixture: Fingerprints):
    controls = expert_ancestry(mixture, measured("seed-1-continued")).controls
    assert {control.kind for control in controls} == {"shuffled", "other-layers"}
    assert max(control.greatest for control in controls) < 0.05


def test_exchanging_the_two_changes_no_number(mixture: Fingerprints):
    forth, back = (expert_ancestry(*pair) for pair in ((mixture, measured("seed-1")), (measured("seed-1"), mixture)))
    assert (forth.tests[0].statistic, forth.tests[0].n, forth.tests[0].layers) == (
        back.tests[0].statistic,
        back.tests[0].n,
        back.tests[0].layers,
    )


def test_two_dense_networks_have_no_experts():
    outcome = expert_ancestry(measured("seed-1"), measured("seed-2"))
    assert not outcome.tests
    assert "neither has sketched experts" in outcome.not_compared[0].reason


def test_hostile_names_are_left_out(mixture: Fingerprints):
    rows = np.ones((3, 24), np.int8)
    names = ("layers.0", "layers.x.experts.0", "layers.1.experts.9999999", "a.1.experts.1", "layers.1.experts.1.2")
    hostile = dataclasses.replace(mixture, arrays={"expert-sketch/v1": dict.fromkeys(names, rows)})
    assert not expert_ancestry(hostile, measured("seed-1")).tests


def test_other_hidden_sizes_have_no_common_axes(mixture: Fingerprints):
    one = measured("seed-2")
    wider = dataclasses.replace(one, architecture=dataclasses.replace(one.architecture, d_model=128))
    assert "96 and 128" in expert_ancestry(mixture, wider).not_compared[0].reason


def test_the_mixture_is_made_as_it_says(tmp_path: Path):
    copy = measured_at(write_mixture(family() / "seed-1", tmp_path / "m", lambda _, mlp: [mlp]))
    (row,) = {row["unchanged"] for row in table(expert_ancestry(copy, measured("seed-1")).found)}
    assert row == "1"
