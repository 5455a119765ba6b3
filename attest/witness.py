"""Rejections that carry nothing by themselves, since more than weights in common makes units agree as they do.

What networks are taught to give along the residual stream singles out its dimensions, what each head is taught to look at
singles out heads, and one mask or frozen projection gives the neurons of any network its lengths. A network that was made from another agrees in more than that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from attest.comparison import SIGN_TESTS, Comparison
from attest.policy_file import Policy
from attest.reading import Reading, found_elsewhere, strays

__all__ = ["unwitnessed"]

_ON_THE_RESIDUAL_AXIS = frozenset(
    {"residual-norm-correspondence/v1", "norm-gain-correspondence/v1", "residual-activation-correspondence/v1"}
)
_TAUGHT = _ON_THE_RESIDUAL_AXIS | {"head-norm-correspondence/v1"}
"""Tests of what a teacher may be imitated in, unit by unit: hidden states, and what each head looks at."""

_LENGTHS = "neuron-norm-correspondence/v1"
_BY_AXIS = frozenset({"neuron-alignment/v1", "expert-alignment/v1"})
_BY_WORDS = frozenset({"anchored-alignment/v1", "recovered-alignment/v1"})

_MATCHED = frozenset({"matched-agreement/v1", "anchored-agreement/v1"})
_SHARED_UNITS = 0.05
"""Share of the units that a witness must speak for: of the neurons that are matched, or of z against itself."""

_BY_LUCK = 3
"""Matched neurons a layer that may be luck, a few times what strangers give; of the share, the validity run's reach 0.016."""

_ONE_TEACHER = (
    "As far as the policy asks, only residual dimensions or sizes of heads agree by index. So they do in networks without a"
    " layer's weight in common that were each taught the hidden states or the attention of one teacher (distillation), or began"
    " with one table of tokens. The policy asks for a witness besides: a twentieth of the neurons or biases that agree by index or in"
    " sign, or are matched."
)
_LENGTHS_ALONE = (
    "Lengths of neurons agree by index, and what the neurons are does not, though it could be compared. So it is in networks"
    " of which each was given one mask, one frozen projection or one order; neurons of one origin agree in both."
)


def unwitnessed(
    comparison: Comparison, policy: Policy, readings: Sequence[Reading], rejecting: Collection[str]
) -> Mapping[str, str]:
    """Of the tests that reject, those that carry nothing by themselves, and why.

    Parameters
    ----------
    comparison : Comparison
    policy : Policy
    readings : sequence of Reading
        Of every exact test.
    rejecting : collection of str
        Ids of the tests that reject.

    Notes
    -----
    A p-value is exact however few units it is of, so a test that has too few to reject may be a witness; one that finds
    something where nothing is to be found may not, nor one that finds less than a twentieth of what it would in copies. Matched neurons are a witness too, wherever they stand.

    Lengths of neurons are doubted, as witnesses too, only where the neurons themselves were compared in a basis that fits: told by words or in
    a recovered basis, or as they are where residual dimensions agree, if only as far as a witness does. A rotated residual stream hides them otherwise.
    """
    if _neurons_match(comparison):
        return {}
    heard = {one.test for one in readings if one.left_out is None}
    witnesses = {one.test for one in readings if _is_witness(comparison, policy, one)}
    alone = {}
    fits = heard & _BY_WORDS or (heard & _BY_AXIS and _ON_THE_RESIDUAL_AXIS & (witnesses | set(rejecting)))
    if fits and not witnesses & (_BY_AXIS | _BY_WORDS | SIGN_TESTS):
        alone[_LENGTHS] = _LENGTHS_ALONE
    if not witnesses - _TAUGHT - alone.keys():
        alone |= dict.fromkeys(_TAUGHT, _ONE_TEACHER)
    return {test: why for test, why in alone.items() if test in rejecting}


def _neurons_match(comparison: Comparison) -> bool:
    """Whether neurons were matched that no luck matches, nor one formula in all layers: by luck about one in a layer is."""
    tests = (test for test in comparison.tests if test.id in _MATCHED and test.n)
    return any(
        test.statistic - found_elsewhere(comparison, test.id)
        >= max(_SHARED_UNITS, _BY_LUCK * len(test.layers) / test.n)
        for test in tests
    )


def _is_witness(comparison: Comparison, policy: Policy, reading: Reading) -> bool:
    controls = [one for one in comparison.controls if one.test == reading.test]
    itself = min((one.statistic for one in controls if one.kind == "itself"), default=0.0)
    z = next(abs(test.z or 0.0) for test in comparison.tests if test.id == reading.test)
    return reading.pvalue <= policy.alpha and z >= _SHARED_UNITS * itself and strays(controls, policy) is None
