"""Which tests a panel may calibrate, and which it never does."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from compare.pairs import by_id, compared, measured

from attest.compare.digits import signed_digits
from attest.compare.ranks import Ranked, hold_against, placed, shape_of
from attest.comparison import EMPIRICAL
from attest.panel import Placed, Shape, shipped_panel

MATCHED, PUBLISHED = "matched-agreement/v1", "attention-std-correlation/v1"


@cache
def held(first: str, second: str) -> Ranked:
    a, b = measured(first), measured(second)
    return hold_against(shipped_panel(), (placed(a), placed(b)), compared(a, b).tests)


def test_sizes_are_those_of_the_checkpoint():
    assert shape_of(measured("seed-1")) == Shape(layers=4, d_model=96, d_ff=256, gated=True)
    unknown = replace(measured("seed-1"), architecture=replace(measured("seed-1").architecture, d_ff=None))
    assert shape_of(unknown) is None


def test_only_empirical_tests_get_a_p_value_from_the_panel():
    before = by_id(compared(measured("seed-1"), measured("seed-2")))
    for test in held("seed-1", "seed-2").tests:
        if test.id in EMPIRICAL:
            assert test.calibration == "empirical"
            assert before[test.id].calibration == "descriptive"
            assert replace(test, calibration="descriptive", pvalue=None, smallest_pvalue=None) == before[test.id]
        else:
            assert test == before[test.id]


def test_the_published_statistic_is_ranked_and_stays_descriptive():
    ranks = {one.id: one for one in held("seed-1", "seed-2").panel.ranks}
    assert {MATCHED, PUBLISHED} <= ranks.keys()
    assert {test.id: test for test in held("seed-1", "seed-2").tests}[PUBLISHED].pvalue is None


def test_a_descendant_is_above_all_and_strangers_are_not():
    of_child = next(one for one in held("seed-1", "seed-1-continued").panel.ranks if one.id == MATCHED)
    of_strangers = next(one for one in held("seed-1", "seed-2").panel.ranks if one.id == MATCHED)
    assert of_child.independent.at_least == 0
    matched = next(one for one in held("seed-1", "seed-1-continued").tests if one.id == MATCHED)
    assert matched.pvalue == matched.smallest_pvalue == signed_digits(1 / (of_child.independent.n + 1))
    assert of_strangers.independent.at_least > 0


def test_exact_tests_are_not_ranked():
    exact = {test.id for test in held("seed-1", "seed-2").tests if test.calibration == "exact"}
    assert exact
    assert not exact & {one.id for one in held("seed-1", "seed-2").panel.ranks}


def test_a_pair_of_another_size_keeps_its_calibration_and_says_why():
    tests = compared(measured("seed-1"), measured("seed-1-continued")).tests
    large = Shape(layers=32, d_model=4096, d_ff=11008, gated=True)
    pair = (Placed(tree_digest="0" * 64, shape=large), Placed(tree_digest="1" * 64, shape=large))
    ranked = hold_against(shipped_panel(), pair, tests)
    assert ranked.tests == tests
    assert not ranked.panel.ranks
    assert [one.id for one in ranked.not_compared] == [MATCHED]
    assert "fewer than 19 comparable pairs" in ranked.not_compared[0].reason


def test_exchanging_the_two_changes_no_rank():
    assert held("seed-1", "seed-2").panel == held("seed-2", "seed-1").panel
