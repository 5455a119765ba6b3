"""From numbers to words: every rung, and what must never reach one."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Literal

import pytest
from compare.pairs import compared, measured
from hypothesis import given
from hypothesis import strategies as st

from attest.comparison import Comparison, Control, ControlKind, LayerStatistic, PanelRanks, Population, Rank, Test
from attest.policy import conclude
from attest.policy_file import DEFAULT_POLICY
from attest.reading import holm

MATCHED = "matched-agreement/v1"


def exact(z: float, pvalue: float, *, layers: tuple[float, ...] = (), name: str = "neuron-alignment/v1") -> Test:
    each = layers or (z / 2,) * 4
    return Test(
        id=name,
        calibration="exact",
        statistic=z,
        z=z,
        pvalue=pvalue,
        smallest_pvalue=0.0001,
        normal_pvalue=1e-6,
        n=100 * len(each),
        layers=tuple(LayerStatistic(layer=i, n=100, statistic=one, z=one) for i, one in enumerate(each)),
        null_distribution=None,
        note="made for this test",
    )


def passed(name: str) -> tuple[Control, ...]:
    """Controls of a test as they must be."""
    kinds: tuple[tuple[ControlKind, float], ...] = (("itself", 100.0), ("shuffled", 0.4))
    sides: tuple[Literal["a", "b"], ...] = ("a", "b")
    return tuple(
        Control(test=name, kind=kind, of=side, n=4, statistic=z, median=z / 2, greatest=z / 2)
        for kind, z in kinds
        for side in sides
    )


@cache
def strangers() -> Comparison:
    return compared(measured("seed-1"), measured("seed-2"))


def comparison(*tests: Test) -> Comparison:
    controls = tuple(control for test in tests for control in passed(test.id))
    return dataclasses.replace(strangers(), tests=tests, controls=controls)


def rung(*tests: Test) -> str:
    return conclude(comparison(*tests)).rung


def test_a_large_z_with_the_least_p_is_rejected() -> None:
    assert rung(exact(40.0, 0.0001)) == "exact-rejected"


def test_a_large_negative_z_is_evidence_too() -> None:
    assert rung(exact(-40.0, 0.0001)) == "exact-rejected"


def test_a_small_p_alone_is_inconclusive() -> None:
    assert rung(exact(3.9, 0.0001)) == "inconclusive"


def test_one_half_of_the_layers_alone_is_inconclusive() -> None:
    assert rung(exact(20.0, 0.0001, layers=(40.0, 0.1, 40.0, -0.2))) == "inconclusive"


def test_many_weak_layers_are_strong_together_where_each_was_permuted_by_itself() -> None:
    """Sixteen layers at z = 2.5 give 10 in all and 7.1 in each half; of one axis that all share, 2.5."""
    apart = exact(10.0, 0.0001, layers=(2.5,) * 16)
    assert rung(apart) == "exact-rejected"
    assert rung(dataclasses.replace(apart, n=100)) == "inconclusive"


ON_THE_AXIS = "residual-norm-correspondence/v1"


def matched(share: float) -> Test:
    return dataclasses.replace(
        exact(0.0, 0.5), id=MATCHED, calibration="empirical", statistic=share, z=None, pvalue=None
    )


def test_what_is_taught_accuses_nobody_alone() -> None:
    """Nor with sizes of heads, which students of one teacher's attention have in common."""
    gains, heads = (exact(40.0, 0.0001, name=f"{name}-correspondence/v1") for name in ("norm-gain", "head-norm"))
    residual = exact(40.0, 0.0001, name=ON_THE_AXIS)
    conclusion = conclude(comparison(residual, gains, heads, exact(0.3, 0.7), matched(0.01)))
    assert conclusion.rung == "inconclusive"
    assert any("one teacher" in sentence for sentence in conclusion.cautions)


def test_what_is_taught_and_a_witness_are_rejected() -> None:
    residual = exact(40.0, 0.0001, name=ON_THE_AXIS)
    assert rung(residual, matched(0.06)) == "exact-rejected"
    assert rung(residual, dataclasses.replace(matched(0.06), n=64)) == "inconclusive"
    assert rung(residual, exact(5.1, 0.0001)) == "exact-rejected"
    assert rung(residual, exact(4.9, 0.0001)) == "inconclusive"  # less than a twentieth of what it gives of copies
    assert rung(residual, exact(5.1, 0.05)) == "inconclusive"


@pytest.mark.parametrize(
    ("kind", "statistic", "expected"), [("itself", 5.0, "exact-rejected"), ("shuffled", 9.0, "inconclusive")]
)
def test_a_witness_may_be_small_and_must_not_stray(kind: str, statistic: float, expected: str) -> None:
    made = comparison(exact(40.0, 0.0001, name=ON_THE_AXIS), exact(5.5, 0.0001, name="qkv-bias-correspondence/v1"))
    controls = tuple(
        dataclasses.replace(one, statistic=statistic) if (one.test[:3], one.kind) == ("qkv", kind) else one
        for one in made.controls
    )
    assert conclude(dataclasses.replace(made, controls=controls)).rung == expected


def test_lengths_of_neurons_that_agree_in_nothing_else_accuse_nobody() -> None:
    lengths, nothing = exact(40.0, 0.0001, name="neuron-norm-correspondence/v1"), exact(0.3, 0.7)
    by_words = exact(0.2, 0.8, name="anchored-alignment/v1")
    residual = exact(40.0, 0.0001, name=ON_THE_AXIS)
    assert rung(lengths, nothing, by_words) == "inconclusive"
    assert rung(lengths, nothing, residual) == "inconclusive"
    assert rung(lengths, nothing) == "exact-rejected"  # the residual stream may have been rotated
    assert rung(lengths, nothing, dataclasses.replace(by_words, pvalue=0.0001, z=5.1)) == "exact-rejected"
    assert rung(lengths, nothing, by_words, matched(0.06)) == "exact-rejected"
    assert rung(lengths, nothing, by_words, exact(9.0, 0.0001, name="qkv-bias-correspondence/v1")) == "exact-rejected"


def test_lengths_too_weak_to_reject_are_no_witness_where_neurons_agree_in_nothing_else() -> None:
    """Adapters on frozen projections from one seed: strangers agreed along the residual stream and, less so, in lengths."""
    residual, nothing = exact(9.0, 0.0001, name=ON_THE_AXIS), exact(0.3, 0.7)
    lengths = exact(5.5, 0.0001, name="neuron-norm-correspondence/v1")
    assert rung(residual, lengths, nothing) == "inconclusive"
    assert rung(residual, lengths, exact(9.0, 0.0001)) == "exact-rejected"


@pytest.mark.parametrize("name", ["expert-alignment/v1", "matched-signs/v1", "recovered-signs/v1"])
def test_neurons_of_mixtures_that_agree_alone_may_be_those_of_one_dense_network(name: str) -> None:
    """What was not compared is that of two mixtures; between dense networks there is nothing to be said of experts."""
    both = comparison(exact(40.0, 0.0001, name=name))
    dense = conclude(both).cautions
    mixed = conclude(dataclasses.replace(both, not_compared=())).cautions
    assert not any("one dense network" in sentence for sentence in dense)
    assert any("nothing says that one of the two was made of the other" in sentence for sentence in mixed)
    more = comparison(exact(40.0, 0.0001, name=name), exact(40.0, 0.0001))
    assert not any("one dense network" in one for one in conclude(dataclasses.replace(more, not_compared=())).cautions)


def test_a_middling_p_is_no_evidence() -> None:
    assert rung(exact(1.9, 0.06)) == "no-evidence"


def test_without_exact_tests_the_question_stays_open() -> None:
    assert rung() == "inconclusive"


def test_equal_values_that_tell_nothing_are_said_and_accuse_nobody() -> None:
    untold = dataclasses.replace(finding("tensor-identity/v1", 0), statistic=0.999999)
    few = dataclasses.replace(finding("exact-replay/v1", 0), statistic=0.0999)
    alone = conclude(comparison(untold, few))
    assert alone.rung == "inconclusive"
    assert "By tensor-identity/v1, 0.999999 of all values" in alone.cautions[0]
    assert not conclude(comparison(few)).cautions
    assert rung(exact(0.3, 0.8), untold) == "no-evidence"


def test_a_high_descriptive_correlation_never_accuses() -> None:
    published = dataclasses.replace(
        exact(0.0, 0.5),
        id="attention-std-correlation/v1",
        calibration="descriptive",
        statistic=0.999,
        z=None,
        pvalue=None,
    )
    assert rung(published, exact(0.3, 0.76)) == "no-evidence"
    assert rung(published) == "inconclusive"


def test_the_correction_counts_every_exact_test_that_ran() -> None:
    null = [exact(0.1, 0.9, name=f"null-{i}/v1") for i in range(120)]
    assert rung(exact(40.0, 0.0001), *null[:40]) == "exact-rejected"
    assert rung(exact(40.0, 0.0001), *null) == "no-evidence"


def test_one_test_of_eight_can_reject_alone() -> None:
    null = [exact(0.1, 0.9, name=f"null-{i}/v1") for i in range(7)]
    assert rung(exact(40.0, 0.0001, name="anchored-alignment/v1"), *null) == "exact-rejected"


def test_a_bundle_of_impossible_numbers_is_read_all_the_same() -> None:
    assert rung(exact(1.0, 0.0)) == "inconclusive"
    assert rung(exact(1.0, -1.0)) == "inconclusive"
    odd = tuple(dataclasses.replace(one, statistic=0.0, n=0) for one in passed("neuron-alignment/v1"))
    assert conclude(dataclasses.replace(comparison(exact(40.0, 0.0001)), controls=odd)).rung == "inconclusive"


def test_the_sentences_name_the_test_and_the_policy_is_told() -> None:
    conclusion = conclude(comparison(exact(40.0, 0.0001)))
    assert "neuron-alignment/v1" in conclusion.because[0]
    assert conclusion.policy == DEFAULT_POLICY


@pytest.mark.parametrize(
    ("values", "adjusted"),
    [([0.01], [0.01]), ([0.01, 0.04, 0.03], [0.03, 0.06, 0.06]), ([0.5, 0.9], [1.0, 1.0]), ([], [])],
)
def test_holm(values: list[float], adjusted: list[float]) -> None:
    assert holm(values) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_and_keeps_the_order(values: list[float]) -> None:
    adjusted = holm(values)
    assert all(high >= low for high, low in zip(adjusted, values, strict=True))
    assert sorted(range(len(values)), key=lambda i: (values[i], i)) == sorted(
        range(len(values)), key=lambda i: (adjusted[i], values[i], i)
    )


def finding(name: str, n: int) -> Test:
    return dataclasses.replace(exact(0.0, 1.0, name=name), statistic=0.5, z=None, pvalue=None, n=n, layers=())


@pytest.mark.parametrize("name", ["row-containment/v1", "multiset-identity/v1", "exact-replay/v1"])
def test_values_found_again_in_two_tensors_reject_and_in_one_leave_it_open(name: str) -> None:
    nothing = exact(0.3, 0.8)
    assert rung(nothing, finding(name, 0)) == "no-evidence"
    assert rung(nothing, finding(name, 1)) == "inconclusive"
    assert rung(nothing, finding(name, 2)) == "exact-rejected"
    assert rung(finding(name, 1)) == "inconclusive"


def test_several_findings_in_one_tensor_each_do_not_add_up() -> None:
    each = [finding(name, 1) for name in ("row-containment/v1", "multiset-identity/v1", "exact-replay/v1")]
    assert rung(exact(0.3, 0.8), *each) == "inconclusive"


def test_both_propositions_are_told_in_full_and_are_about_weights() -> None:
    propositions = conclude(comparison(exact(40.0, 0.0001))).propositions
    assert "derives from the weights" in propositions.h1
    assert "from those of a third" in propositions.h1
    assert "independently" in propositions.h2


def test_no_evidence_says_what_the_keenest_test_would_have_seen() -> None:
    nothing = conclude(comparison(exact(0.3, 0.8)))
    assert "With about 6 % of its units copied in place unaltered" in nothing.cautions[1]
    assert [reading.smallest_share for reading in nothing.readings] == [0.06]


def test_the_share_that_could_be_seen_is_that_of_the_network_with_less_to_see() -> None:
    one = comparison(exact(0.3, 0.8))
    halved = tuple(
        dataclasses.replace(control, statistic=50.0) if (control.kind, control.of) == ("itself", "a") else control
        for control in one.controls
    )
    assert [reading.smallest_share for reading in conclude(dataclasses.replace(one, controls=halved)).readings] == [
        0.12
    ]


def test_tensors_that_are_all_found_but_not_one_to_one_are_not_identical() -> None:
    everything = dataclasses.replace(finding("tensor-identity/v1", 29), statistic=1.0)
    places = dataclasses.replace(finding("tensor-places/v1", 40), statistic=0.9)
    repeated = conclude(comparison(everything, places))
    assert repeated.rung == "exact-rejected"
    assert "not one to one" in repeated.because[0]
    assert rung(everything, dataclasses.replace(places, statistic=1.0)) == "identical"
    assert rung(everything) == "exact-rejected"


def panel_says(
    statistic: float,
    *,
    greatest: float,
    n: int = 60,
    at_least: int = 0,
    name: str = MATCHED,
    besides: Test | None = None,
) -> Comparison:
    """A comparison whose exact tests found nothing (but ``besides``), and one statistic held against a panel."""
    population = Population(n=n, at_least=at_least, median=greatest / 2, greatest=greatest)
    rank = Rank(id=name, independent=population, derived=None)
    ranks = PanelRanks(name="p", version="1", sha256="0" * 64, pairs=n, left_out=0, ranks=(rank,))
    test = dataclasses.replace(exact(0.0, rank.pvalue, name=name), calibration="empirical", statistic=statistic, z=None)
    others = (besides,) if besides else ()
    return dataclasses.replace(comparison(exact(0.5, 0.6), *others, test), panel=ranks)


def test_a_matched_test_far_above_the_whole_panel_reaches_its_rung() -> None:
    said = conclude(panel_says(0.15, greatest=0.01))
    assert said.rung == "matched-above-panel"
    assert "0.15 is above all 60 comparable pairs trained apart" in said.because[0]


def test_a_rejection_that_carries_nothing_is_doubted_on_every_rung() -> None:
    residual = exact(40.0, 0.0001, name="residual-norm-correspondence/v1")
    said = conclude(panel_says(0.15, greatest=0.01, name="recovered-agreement/v1", besides=residual))
    assert said.rung == "matched-above-panel"
    assert any(sentence.startswith(residual.id) for sentence in said.because)
    assert any("one teacher" in sentence for sentence in said.cautions)


def test_lengths_are_doubted_where_residual_dimensions_agree_though_too_little_to_reject() -> None:
    """Adapters with a frozen projection of each layer's own: 3.4 a layer along the residual axis, 9.7 in all."""
    lengths = exact(9.9, 0.0001, name="neuron-norm-correspondence/v1")
    residual = dataclasses.replace(exact(9.7, 0.0001, layers=(3.4,) * 8, name=ON_THE_AXIS), n=64)
    assert rung(lengths, exact(0.8, 0.4)) == "exact-rejected"
    assert rung(lengths, residual, exact(0.8, 0.4)) == "inconclusive"
    assert rung(lengths, residual, exact(30.0, 0.0001)) == "exact-rejected"


def found_in_other_layers(one: Comparison, share: float, name: str = MATCHED) -> Comparison:
    """The comparison, with a control by which neurons are found in layers that are not partners as well."""
    control = Control(test=name, kind="other-layers", of="a-b", n=6, statistic=share, median=share, greatest=share)
    return dataclasses.replace(one, controls=(*one.controls, control))


def test_neurons_that_are_found_in_every_layer_are_one_formula() -> None:
    """Networks that began by one formula in all layers: 0.1354 of the neurons with the partner, 0.124 with the others."""
    said = conclude(found_in_other_layers(panel_says(0.1354, greatest=0.0078), 0.124))
    assert said.rung == "inconclusive"
    assert "Layers that are not partners give 0.124, which is taken off." in said.because[0]
    assert conclude(found_in_other_layers(panel_says(0.9, greatest=0.0078), 0.124)).rung == "matched-above-panel"


def test_neurons_that_are_found_in_every_layer_are_no_witness() -> None:
    residual = exact(40.0, 0.0001, name="residual-norm-correspondence/v1")
    held = comparison(residual, exact(0.5, 0.6), matched(0.14))
    assert conclude(held).rung == "exact-rejected"
    assert conclude(found_in_other_layers(held, 0.12)).rung == "inconclusive"


@pytest.mark.parametrize(("statistic", "greatest"), [(0.0599, 0.01), (0.29, 0.1), (0.011, 0.01), (0.049, 0.0)])
def test_above_the_panel_but_near_it_is_inconclusive(statistic: float, greatest: float) -> None:
    assert conclude(panel_says(statistic, greatest=greatest)).rung == "inconclusive"


@pytest.mark.parametrize(("n", "at_least"), [(60, 1), (18, 0)])
def test_one_pair_as_large_or_too_few_pairs_say_nothing(n: int, at_least: int) -> None:
    assert conclude(panel_says(0.9, greatest=0.01, n=n, at_least=at_least)).rung == "no-evidence"


def test_ranks_are_corrected_for_their_number() -> None:
    one = panel_says(0.9, greatest=0.01, n=19)
    assert conclude(one).rung == "matched-above-panel"
    assert one.panel is not None
    other = dataclasses.replace(one.tests[1], id="anchored-agreement/v1")
    ranks = (*one.panel.ranks, dataclasses.replace(one.panel.ranks[0], id=other.id))
    both = dataclasses.replace(one, tests=(*one.tests, other), panel=dataclasses.replace(one.panel, ranks=ranks))
    said = conclude(both)
    assert said.rung == "inconclusive"
    assert "above all 19 comparable pairs" in said.because[0]
    assert "rank p = 0.1 after Holm" in said.because[0]
    low = [dataclasses.replace(one, statistic=0.015) if one.calibration == "empirical" else one for one in both.tests]
    assert conclude(dataclasses.replace(both, tests=tuple(low))).rung == "no-evidence"


@pytest.mark.parametrize("name", ["attention-std-correlation/v1", "layer-alignment/v1", "anything/v1"])
def test_no_other_test_reaches_the_rung_whatever_a_comparison_says_of_it(name: str) -> None:
    assert conclude(panel_says(0.99, greatest=0.01, name=name)).rung == "no-evidence"


def test_an_empirical_test_without_a_rank_says_nothing() -> None:
    assert conclude(dataclasses.replace(panel_says(0.9, greatest=0.01), panel=None)).rung == "no-evidence"


def test_ranks_in_a_panel_that_the_policy_does_not_name_carry_nothing_and_a_sentence_says_so() -> None:
    held = panel_says(0.9, greatest=0.01)
    assert held.panel is not None
    named = conclude(held, dataclasses.replace(DEFAULT_POLICY, panels=("f" * 64, held.panel.sha256)))
    assert named.rung == "matched-above-panel"
    for statistic in (0.9, 0.02):
        held = panel_says(statistic, greatest=0.01)
        other = conclude(held, dataclasses.replace(DEFAULT_POLICY, panels=("f" * 64,)))
        assert other.rung == "no-evidence"
        assert "none of those that the policy names" in other.cautions[-1]
    assert "policy names" not in " ".join(conclude(held).cautions)


def test_an_exact_test_stands_above_the_panel() -> None:
    held = panel_says(0.9, greatest=0.01)
    assert conclude(dataclasses.replace(held, tests=(exact(40.0, 0.0001), *held.tests))).rung == "exact-rejected"
