"""What a policy reads off one exact test: whether its controls let it speak, how rare its result is, what it could see.

A test speaks only where it can say yes (a network against itself) and no (shuffled units, other layers).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from attest.comparison import Comparison, Control, Test
from attest.document import decimal, record
from attest.policy_file import Policy

__all__ = ["Reading", "exact_tests", "found_elsewhere", "holm", "read_tests", "strays"]


@record
class Reading:
    """One exact test as a policy reads it.

    Parameters
    ----------
    test : str
        Id of the test.
    pvalue : float
        Its p-value after Holm's correction over the exact tests that ran.
    words : str
        The policy's words for how often H2 gives such a result: about the measurement, never about a deed.
    smallest_share : float or None
        Share of the units, copied in place and unaltered, at which z reaches what the policy asks for, at the mean;
        None where the test was left out.
    left_out : str or None
        Why the policy concludes nothing from this test, where it does not: a control that failed.
    """

    test: str
    pvalue: float
    words: str
    smallest_share: float | None
    left_out: str | None


def holm(pvalues: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's step-down procedure, in the given order, at most 1."""
    order = sorted(range(len(pvalues)), key=lambda position: pvalues[position])
    adjusted = [0.0] * len(pvalues)
    highest = 0.0
    for rank, position in enumerate(order):
        highest = max(highest, min(1.0, (len(pvalues) - rank) * pvalues[position]))
        adjusted[position] = highest
    return adjusted


def exact_tests(comparison: Comparison) -> list[Test]:
    """Tests with a p-value that follows from the hypothesis alone."""
    return [test for test in comparison.tests if test.calibration == "exact" and test.pvalue is not None]


def read_tests(comparison: Comparison, policy: Policy) -> tuple[Reading, ...]:
    """Reading of every exact test, in their order.

    Notes
    -----
    Tests that are left out still count in Holm's correction. With a share s of the units copied in place and unaltered,
    and the others as if trained apart, the mean of the statistic is s times that of the network against itself; so is
    z, as long as the units vary alike. Hence the smallest share: the z asked for, over z against itself.
    """
    tests = exact_tests(comparison)
    readings = []
    for test, level in zip(tests, holm([test.pvalue or 0.0 for test in tests]), strict=True):
        controls = [one for one in comparison.controls if one.test == test.id]
        left_out = _failed(controls, policy)
        itself = min((one.statistic for one in controls if one.kind == "itself"), default=0.0)
        readings.append(
            Reading(
                test=test.id,
                pvalue=level,
                words=policy.scale.words(level),
                smallest_share=None if left_out else float(decimal(policy.minimum_z / itself, 3)),
                left_out=left_out,
            )
        )
    return tuple(readings)


def _failed(controls: Sequence[Control], policy: Policy) -> str | None:
    """The first control that keeps a test from speaking, in words; None where none does."""
    return _sees_too_little(controls, policy) or strays(controls, policy)


def _sees_too_little(controls: Sequence[Control], policy: Policy) -> str | None:
    """Why a test cannot reach what the policy asks for on these networks, in words; None where it can."""
    alone = {one.of: one for one in controls if one.kind == "itself"}
    for side in ("a", "b"):
        if side not in alone:
            return f"the comparison holds no controls of it on {side}"
        if alone[side].statistic < policy.minimum_z:
            asked = (
                f"gives z = {decimal(alone[side].statistic, 4)}, and the policy asks for {decimal(policy.minimum_z)}"
            )
            return f"it has too few units: {side} against itself {asked}"
    return None


def strays(controls: Sequence[Control], policy: Policy) -> str | None:
    """Why a test finds something where nothing is to be found, in words; None where it does not."""
    alone = {one.of: one for one in controls if one.kind == "shuffled"}
    for side in ("a", "b"):
        if side not in alone:
            return f"the comparison holds no controls of it on {side}"
        if abs(alone[side].statistic) > policy.control_z:
            return f"{side} against itself in a random order gives z = {decimal(alone[side].statistic, 4)}, which must be near 0"
    layers = [one for one in controls if one.kind == "other-layers"]
    if {one.of for one in layers} == {"a", "b", "a-b"} and all(_is_typical(one, policy) for one in layers):
        return "layers agree with the next ones in both, so something in both singles units out"
    return None


def found_elsewhere(comparison: Comparison, test: str) -> float:
    """Share of neurons that are found in layers that are not partners: the median over these, 0 where there are none.

    Notes
    -----
    Neurons that began by one formula in all layers are found in every layer of every network that began so.
    """
    controls = (one for one in comparison.controls if (one.test, one.kind, one.of) == (test, "other-layers", "a-b"))
    return max((one.median for one in controls), default=0.0)


def _is_typical(control: Control, policy: Policy) -> bool:
    """Whether not only a few pairs of layers agree, as where layers were copied, but half of them."""
    return abs(control.median) * math.sqrt(control.n) > policy.control_z
