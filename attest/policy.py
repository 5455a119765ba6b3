"""From numbers to words: a ladder that a reader's policy climbs, never a single number for everything.

The rungs, from the top: identical bytes; an exact test rejected, in both halves of the layers; matched agreement above
a whole reference panel; inconclusive; no evidence. "No evidence" is not evidence of independence.

To be above a panel is not enough. Of 20 pairs trained apart one is the highest, so a panel of 19 alone would accuse one
in twenty wrongly; its pairs share networks, so they count for fewer; and nobody can draw a panel from all networks there
are. So the policy asks for a distance besides: a multiple of the highest, and some way above it. What is above the panel
and nearer is inconclusive, and so is what is that far above a panel of too few pairs for the number of ranked tests.

References
----------
ENFSI, "Guideline for Evaluative Reporting in Forensic Science", 2015. Holm, "A Simple Sequentially Rejective Multiple
Test Procedure", 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from attest.comparison import EMPIRICAL, NO_EXPERTS, SIGN_TESTS, Comparison, PanelRanks, Rank, Test
from attest.document import decimal, record
from attest.policy_file import DEFAULT_POLICY, Policy
from attest.reading import Reading, exact_tests, found_elsewhere, holm, read_tests
from attest.witness import unwitnessed

__all__ = ["PROPOSITIONS", "Conclusion", "Propositions", "Rung", "conclude"]

Rung = Literal["identical", "exact-rejected", "matched-above-panel", "inconclusive", "no-evidence"]

_IDENTITY = "tensor-identity/v1"
_PLACES = "tensor-places/v1"

_UNEXPECTED = "networks trained apart from random numbers of their own (H2) are expected to give none"
_FINDINGS = {
    _IDENTITY: f"Telling tensors that are the same byte for byte: {{n}}; {_UNEXPECTED}.",
    "exact-replay/v1": f"Telling tensors of one that were made again out of the other, bit for bit: {{n}}; {_UNEXPECTED}.",
    "multiset-identity/v1": f"Telling tensors that hold the same values, in some order: {{n}}; {_UNEXPECTED}.",
    "row-containment/v1": (
        f"Matrices with rows that stand in the other, by digests of 64 bits: {{n}} or more; {_UNEXPECTED}. Rows that"
        " share such a digest can be made on purpose; exact-replay/v1 (attest compare --weights) compares their values."
    ),
}
"""Tests that find the same values again: their ``n`` counts what only copying explains, and there is no p-value."""


_COMPONENT = "component-identity/v1"
_SHARED_COMPONENT = (
    "Beside the main stack of layers, {n} telling tensors hold the same values in both: such a part, as an encoder of images,"
    " speech or text, is often taken from a third party by both, and it says nothing of the main stack."
)
_UNTOLD = (
    "By {test}, {share} of all values lie in tensors that were found again in the other, and none of these tells descent: they may be"
    " tables of tokens or of a formula, a part that both took from a third party, or a copy whose names tell no roles."
)
_LEAST_SHARE = 0.1
"""Smallest share of values in equal tensors without a role that is worth a sentence."""

_OTHER_PANEL = (
    "Ranks in the reference panel {panel} carry nothing: it is none of those that the policy names. Compare again with one"
    " of these (attest compare --panel)."
)
_OTHER_REASONS = (
    "Units have something in common; this does not say what. They agree so, too, in networks that were trained apart but began"
    " with one initialization, as a formula or a default seed gives it to equal shapes, or took other random numbers from one"
    " seed (a frozen projection, noise), or were taught the inner values of one teacher unit by unit."
)
_ARRANGED = (
    "Whoever has both networks can put the units of one beside those of the other that are most alike, and choose their signs so;"
    " then strangers agree by index and in sign, too. Matching, which that does not bring about, {matching}: so it matters which of the"
    " two was out first, unchanged."
)
_UNMATCHED = "does not reach here what the policy asks of it"
_UNRANKED = "was not held against enough comparable networks trained apart"
_NOT_ARRANGED = (
    "That somebody arranged the units of one after those of the other is no reason here: no order and no choice of signs makes networks"
    " trained apart match so far above the panel."
)
_ON_EXPERTS = frozenset({"expert-alignment/v1", "matched-signs/v1", "recovered-signs/v1"})
_ONE_DENSE = (
    "Neurons of experts agree so, too, where one dense network, which may be a public one, was made into experts by both: no"
    " other test on units rejects H2, so nothing says that one of the two was made of the other."
)
_LESS = "That is less than the policy asks of a rejection."
_ALL_THE_SAME = "Every tensor of each is in the other, byte for byte, one to one and in the same place."
_NOT_ONE_TO_ONE = (
    "Every tensor of each is found in the other, byte for byte, but not one to one in the same place: some are repeated,"
    " or moved to another layer or role."
)


@record
class Propositions:
    """The two accounts that a finding is weighed between. Nothing here says how probable either is."""

    h1: str
    h2: str


PROPOSITIONS = Propositions(
    h1="One of the two derives from the weights of the other, or both derive from those of a third, a common"
    " initialization included.",
    h2="The two were trained independently of each other, from initializations drawn apart, with a similar recipe.",
)


@record
class Conclusion:
    """The rung that a policy reaches, the sentences that carry it there, and how the policy reads every exact test.

    ``cautions`` are the sentences that bound what the rung says: other reasons for it, what could not have been seen, what
    was left out.
    """

    propositions: Propositions
    rung: Rung
    policy: Policy
    because: tuple[str, ...]
    cautions: tuple[str, ...]
    readings: tuple[Reading, ...]


def conclude(comparison: Comparison, policy: Policy = DEFAULT_POLICY) -> Conclusion:
    """Rung that a comparison reaches under a policy.

    Notes
    -----
    A test whose controls failed carries nothing up the ladder. ``matched-above-panel`` is reached by
    ``EMPIRICAL`` tests alone, by their ranks in the comparison's panel, whatever a comparison states of other tests.
    """
    readings = read_tests(comparison, policy)
    rung, because, cautions = _climb(comparison, policy, readings)
    left_out = [f"{one.test} is left out: {one.left_out}." for one in readings if one.left_out]
    if comparison.panel is not None and not _accepts(policy, comparison.panel):
        left_out.append(_OTHER_PANEL.format(panel=comparison.panel.sha256[:16]))
    return Conclusion(
        propositions=PROPOSITIONS,
        rung=rung,
        policy=policy,
        because=tuple(because),
        cautions=(*cautions, *left_out),
        readings=readings,
    )


def _climb(comparison: Comparison, policy: Policy, readings: Sequence[Reading]) -> tuple[Rung, list[str], list[str]]:
    """The rung, the sentences on the tests that carry it, and those that bound what it says."""
    shares = {test.id: test.statistic for test in comparison.tests if test.id in {_IDENTITY, _PLACES} and test.n}
    if shares.get(_IDENTITY) == shares.get(_PLACES) == 1.0:
        return "identical", [_ALL_THE_SAME], []
    exact = [
        (test, one.pvalue) for test, one in zip(exact_tests(comparison), readings, strict=True) if one.left_out is None
    ]
    rejecting = [(test, level) for test, level in exact if level <= policy.alpha and _is_strong(test, policy)]
    rejected = [_describe(test, level) for test, level in rejecting]
    alone = unwitnessed(comparison, policy, readings, {test.id for test, _ in rejecting})
    doubts = list(dict.fromkeys(alone.values()))
    carried = any(test.id not in alone for test, _ in rejecting)
    found, few = _findings(comparison, policy)
    shared = _shared_components(comparison)
    above, near = _above_panel(comparison, policy)
    if shares.get(_IDENTITY) == 1.0:
        found.insert(0, _NOT_ONE_TO_ONE)
    if found or carried:
        only_experts = NO_EXPERTS not in comparison.not_compared and {test.id for test, _ in rejecting} <= _ON_EXPERTS
        arranged = _NOT_ARRANGED if above else _arranged(comparison, policy)
        reasons = [] if found else [_OTHER_REASONS, arranged, *doubts, *([_ONE_DENSE] if only_experts else [])]
        return "exact-rejected", found + rejected + above, reasons + shared
    if above:
        return "matched-above-panel", above + rejected, doubts + shared
    few += near + shared
    if not exact and not few:
        none = "No exact test could be run on this pair and stood its controls."
        return "inconclusive", [none], _untold(comparison)
    weak = few + [_describe(test, level) for test, level in exact if level <= policy.inconclusive_alpha]
    if weak:
        return "inconclusive", weak, doubts or [_LESS]
    return "no-evidence", *_describe_nothing([test for test, _ in exact], policy, readings)


def _arranged(comparison: Comparison, policy: Policy) -> str:
    """Sentence on an order that somebody chose, where matching does not speak against it."""
    return _ARRANGED.format(matching=_UNMATCHED if _ranked(comparison, policy) else _UNRANKED)


def _describe_nothing(
    exact: Sequence[Test], policy: Policy, readings: Sequence[Reading]
) -> tuple[list[str], list[str]]:
    largest = max(exact, key=lambda test: abs(test.z or 0.0))
    share, keenest = min((one.smallest_share, one.test) for one in readings if one.smallest_share is not None)
    copied, unseen = ("", "whose signs were changed") if keenest in SIGN_TESTS else (" in place", "in another order")
    power = (
        f"With about {decimal(100 * share, 2)} % of its units copied{copied} unaltered, {keenest} would have reached"
    )
    return [
        f"Exact tests on units that reject H2: none of {len(exact)}; the largest, {largest.id}, has z = {decimal(largest.z or 0.0, 4)}."
    ], [
        "The policy takes that for what networks trained apart give; it does not prove that they were.",
        f"{power} the z = {decimal(policy.minimum_z)} that the policy asks for. Units {unseen} it cannot see.",
    ]


def _findings(comparison: Comparison, policy: Policy) -> tuple[list[str], list[str]]:
    """Sentences on the values that were found again: those that reject, and those in too few tensors."""
    found, few = [], []
    counted = {test.id: test.n for test in comparison.tests if test.id in _FINDINGS}
    for name, sentence in _FINDINGS.items():
        n = counted.get(name, 0)
        if n >= (1 if name == _IDENTITY else policy.minimum_tensors):
            found.append(sentence.format(n=n))
        elif n:
            few.append(
                f"Telling tensors in which {name} found the same values again: {n}, fewer than the policy asks for."
            )
    return found, few


def _untold(comparison: Comparison) -> list[str]:
    """Sentence on the values that were found again in tensors of which none is telling; it accuses nobody."""
    again = [test for test in comparison.tests if test.id in _FINDINGS and test.statistic >= _LEAST_SHARE]
    most = max(again, key=lambda test: test.statistic, default=None)
    return [_UNTOLD.format(test=most.id, share=decimal(most.statistic, 6))] if most is not None else []


def _shared_components(comparison: Comparison) -> list[str]:
    """Sentence on parts beside the main stack that hold the same values; they accuse nobody."""
    counted = sum(test.n for test in comparison.tests if test.id == _COMPONENT)
    return [_SHARED_COMPONENT.format(n=counted)] if counted else []


def _above_panel(comparison: Comparison, policy: Policy) -> tuple[list[str], list[str]]:
    """Sentences on the statistics above the whole panel: those well above it and rare for that, and the others."""
    above: list[str] = []
    near: list[str] = []
    ranked = _ranked(comparison, policy)
    digest = comparison.panel.sha256 if comparison.panel else ""
    for (test, rank), level in zip(ranked, holm([rank.pvalue for _, rank in ranked]), strict=True):
        population, elsewhere = rank.independent, found_elsewhere(comparison, test.id)
        far = test.statistic - elsewhere >= max(
            policy.panel_ratio * population.greatest, population.greatest + policy.panel_distance
        )
        rare = level <= policy.panel_alpha
        if not population.at_least and (far or rare):
            sentences = above if far and rare else near
            sentences.append(_describe_rank(test, level, rank, digest, elsewhere))
    return above, near


def _ranked(comparison: Comparison, policy: Policy) -> list[tuple[Test, Rank]]:
    """Tests whose rank in the panel the policy hears."""
    if comparison.panel is None or not _accepts(policy, comparison.panel):
        return []
    ranks = {rank.id: rank for rank in comparison.panel.ranks if rank.independent.n >= policy.minimum_pairs}
    return [
        (test, ranks[test.id])
        for test in comparison.tests
        if test.calibration == "empirical" and test.id in EMPIRICAL & ranks.keys()
    ]


def _accepts(policy: Policy, panel: PanelRanks) -> bool:
    return policy.panels is None or panel.sha256 in policy.panels


def _is_strong(test: Test, policy: Policy) -> bool:
    """Whether z is large, and in the even and the odd layers alike.

    Layers that were permuted apart are combined by Stouffer's sum; layers that share an axis by their mean z.
    """
    if test.z is None or abs(test.z) < policy.minimum_z:
        return False
    apart = test.n == sum(layer.n for layer in test.layers)
    halves = [
        [layer.z or 0.0 for layer in test.layers if layer.layer >= 0 and layer.layer % 2 == half] for half in (0, 1)
    ]
    return all(
        abs(sum(half)) / (math.sqrt(len(half)) if apart else len(half)) >= policy.half_z for half in halves if half
    )


def _describe(test: Test, level: float) -> str:
    direction = "agree" if (test.z or 0.0) > 0 else "disagree"
    what = f"matched neurons {direction} in sign" if test.id in SIGN_TESTS else f"units {direction} by index"
    return (
        f"{test.id}: {what} at z = {decimal(test.z or 0.0, 4)}"
        f" (p = {decimal(level, 3)} after Holm; the least it could give is {decimal(test.smallest_pvalue or 0.0, 3)})."
    )


def _describe_rank(test: Test, level: float, rank: Rank, panel_sha256: str, elsewhere: float) -> str:
    besides = f" Layers that are not partners give {decimal(elsewhere, 3)}, which is taken off." if elsewhere else ""
    return (
        f"{test.id}: {decimal(test.statistic, 4)} is above all {rank.independent.n} comparable pairs trained apart of the"
        f" reference panel {panel_sha256[:16]}, which reach {decimal(rank.independent.greatest, 3)} (rank p ="
        f" {decimal(level, 3)} after Holm).{besides}"
    )
