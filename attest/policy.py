"""From numbers to words: a ladder that a reader's policy climbs, never a single number for everything.

The rungs, from the top: identical bytes; an exact test rejected, in both halves of the layers; matched agreement above
a whole reference panel; inconclusive; no evidence. "No evidence" is not evidence of independence.

References
----------
ENFSI, "Guideline for Evaluative Reporting in Forensic Science", 2015. Holm, "A Simple Sequentially Rejective Multiple
Test Procedure", 1979.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from attest.comparison import Comparison, Test
from attest.document import decimal, record

__all__ = ["DEFAULT_POLICY", "Conclusion", "Policy", "Rung", "conclude", "holm"]

Rung = Literal["identical", "exact-rejected", "matched-above-panel", "inconclusive", "no-evidence"]

_IDENTITY = "tensor-identity/v1"

_FINDINGS = {
    _IDENTITY: "{n} telling tensors are the same byte for byte; trained apart, none would be.",
    "exact-replay/v1": "{n} telling tensors of one were made again out of the other, bit for bit; trained apart, none could be.",
    "multiset-identity/v1": "{n} telling tensors hold the same values, in some order; trained apart, none would.",
    "row-containment/v1": (
        "Rows of {n} matrices or more stand in the other, by digests of 64 bits; trained apart, none would. Rows that"
        " share such a digest can be made on purpose: with both weights, attest compare --weights compares them."
    ),
}
"""Tests that find the same values again: their ``n`` counts what only copying explains, and there is no p-value."""


_COMPONENT = "component-identity/v1"
_SHARED_COMPONENT = (
    "Beside the main stack of layers, {n} telling tensors hold the same values in both: such a part, as an encoder of images"
    " or speech, is often taken from a third party by both, and it says nothing of the main stack."
)


@record
class Policy:
    """How numbers become a rung.

    Parameters
    ----------
    id : str
        Name and version of the policy.
    alpha : float
        Level at which an exact test counts as rejected, after Holm's correction over the exact tests that ran.
    minimum_z : float
        Standard deviations that the test must reach besides, since resampled p-values end at 1 / (n + 1).
    half_z : float
        Standard deviations that the even and the odd layers must each reach.
    inconclusive_alpha : float
        Level below which a result is too small to be called no evidence.
    minimum_tensors : int
        Telling tensors or matrices in which the same values must be found again for a rejection; fewer are
        inconclusive. Tensors that are the same byte for byte count from one.
    """

    id: str
    alpha: float
    minimum_z: float
    half_z: float
    inconclusive_alpha: float
    minimum_tensors: int


DEFAULT_POLICY = Policy(
    id="attest-default/v1", alpha=0.005, minimum_z=6.0, half_z=4.0, inconclusive_alpha=0.01, minimum_tensors=2
)


@record
class Conclusion:
    """The rung that a policy reaches, and the sentences that carry it there."""

    rung: Rung
    policy: Policy
    because: tuple[str, ...]


def holm(pvalues: Sequence[float]) -> list[float]:
    """P-values adjusted by Holm's step-down procedure, in the given order, at most 1."""
    order = sorted(range(len(pvalues)), key=lambda position: pvalues[position])
    adjusted = [0.0] * len(pvalues)
    highest = 0.0
    for rank, position in enumerate(order):
        highest = max(highest, min(1.0, (len(pvalues) - rank) * pvalues[position]))
        adjusted[position] = highest
    return adjusted


def conclude(comparison: Comparison, policy: Policy = DEFAULT_POLICY) -> Conclusion:
    """Rung that a comparison reaches under a policy.

    Notes
    -----
    ``matched-above-panel`` needs a reference panel; without empirical tests in the comparison it is never reached.
    """
    identity = next((test for test in comparison.tests if test.id == _IDENTITY), None)
    if identity is not None and identity.statistic == 1.0 and identity.n:
        return _conclusion("identical", policy, "Every tensor of each is found in the other, byte for byte.")
    exact = [test for test in comparison.tests if test.calibration == "exact" and test.pvalue is not None]
    adjusted = holm([test.pvalue or 0.0 for test in exact])
    rejected = [
        _describe(test, level)
        for test, level in zip(exact, adjusted, strict=True)
        if level <= policy.alpha and _is_strong(test, policy)
    ]
    found, few = _findings(comparison, policy)
    if found or rejected:
        return _conclusion("exact-rejected", policy, *found, *rejected, *_shared_components(comparison))
    if not exact and not few:
        return _conclusion(
            "inconclusive", policy, "No exact test could be run on this pair.", *_shared_components(comparison)
        )
    weak = (
        few
        + _shared_components(comparison)
        + [
            _describe(test, level)
            for test, level in zip(exact, adjusted, strict=True)
            if level <= policy.inconclusive_alpha
        ]
    )
    if weak:
        return _conclusion("inconclusive", policy, *weak, "That is less than the policy asks of a rejection.")
    largest = max(exact, key=lambda test: abs(test.z or 0.0))
    return _conclusion(
        "no-evidence",
        policy,
        f"None of {len(exact)} exact tests was rejected; the largest, {largest.id}, has z = {decimal(largest.z or 0.0, 4)}.",
        "That is what networks trained apart give; it does not prove that they were.",
    )


def _conclusion(rung: Rung, policy: Policy, *because: str) -> Conclusion:
    return Conclusion(rung=rung, policy=policy, because=because)


def _findings(comparison: Comparison, policy: Policy) -> tuple[list[str], list[str]]:
    """Sentences on the values that were found again: those that reject, and those in too few tensors."""
    found, few = [], []
    counted = {test.id: test.n for test in comparison.tests if test.id in _FINDINGS}
    for name, sentence in _FINDINGS.items():
        n = counted.get(name, 0)
        if n >= (1 if name == _IDENTITY else policy.minimum_tensors):
            found.append(sentence.format(n=n))
        elif n:
            few.append(f"{name}: the same values were found again in {n} telling tensor only.")
    return found, few


def _shared_components(comparison: Comparison) -> list[str]:
    """Sentence on parts beside the main stack that hold the same values; they accuse nobody."""
    counted = sum(test.n for test in comparison.tests if test.id == _COMPONENT)
    return [_SHARED_COMPONENT.format(n=counted)] if counted else []


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
    return (
        f"{test.id}: units {direction} by index at z = {decimal(test.z or 0.0, 4)}"
        f" (p = {decimal(level, 3)} after Holm; the least it could give is {decimal(test.smallest_pvalue or 0.0, 3)})."
    )
