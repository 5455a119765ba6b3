"""``matched-agreement/v1``, ``layer-alignment/v1``, ``width-alignment/v1``: neurons found by what they are.

A permutation of the hidden neurons, moved, inserted, dropped layers, and a widened MLP defeat every test by index. These
three do not use the index. They are descriptive: networks trained apart may hold some of the same neurons, and only a
reference panel of such pairs can tell how many; until there is one, controls stand beside the number.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2 (two matchings of one
layer, whose agreement is the statistic).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.agreement_tests import aligned_outcome
from attest.compare.matching.layer_agreement import LayerAgreement, LayerPair, agreement_of_sides, unlike_gates
from attest.compare.matching.rank_correlation import matched_rank_correlation
from attest.compare.matching.sketches import sketched_layers
from attest.compare.outcome import Outcome, left_out, not_run, unlike_widths
from attest.comparison import Test
from attest.fingerprint.unit_sums import N_BUCKETS

__all__ = ["neuron_matching"]

_AGREEMENT = "matched-agreement/v1"
_LAYERS = "layer-alignment/v1"
_WIDTH = "width-alignment/v1"
_SKETCH = "neuron-sketch/v1"


def neuron_matching(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Match the neurons of every layer of a with those of every layer of b.

    Notes
    -----
    Survives what ``neuron-alignment/v1`` survives, and besides a permutation of the hidden neurons, their rescaling,
    and layers or neurons that were added or left out. A rotation or permutation of the residual stream defeats it. It
    does not show descent by itself: no p-value can be given without a panel of unrelated pairs.
    """
    if unlike := unlike_widths(a, b):
        return _nothing(unlike)
    mine, theirs = sketched_layers(a, _SKETCH, N_BUCKETS), sketched_layers(b, _SKETCH, N_BUCKETS)
    if not mine or not theirs:
        return _nothing("not both have a neuron sketch")
    if unlike := unlike_gates(mine, theirs):
        return _nothing(unlike)
    agreement = agreement_of_sides(_AGREEMENT, a, b, mine, theirs)
    outcome, deep = aligned_outcome(_AGREEMENT, _LAYERS, "by gate and by the rest", agreement), agreement.deep
    tests = [*outcome.tests]
    missing = [*outcome.not_compared]
    if width := _width(deep, agreement):
        tests.append(width)
    else:
        missing += left_out(_WIDTH, "layers that belong together are equally wide")
    if deep:
        tests.append(matched_rank_correlation(deep, mine, theirs, (a.side.tree_digest, b.side.tree_digest)))
    return replace(outcome, tests=tuple(tests), not_compared=tuple(missing))


def _nothing(reason: str) -> Outcome:
    return not_run(reason, _AGREEMENT, _LAYERS, _WIDTH)


def _width(deep: Sequence[LayerPair], agreement: LayerAgreement) -> Test | None:
    """Share of the narrower layers' neurons that are found in the wider ones."""
    sizes = [(agreement.first_widths[one.first], agreement.second_widths[one.second], one) for one in deep]
    unequal = [(first, second, one) for first, second, one in sizes if first != second]
    if not unequal:
        return None
    widths = sorted({f"{first} in a and {second} in b" for first, second, _ in unequal})
    return descriptive(
        _WIDTH,
        sum(one.share for *_, one in unequal) / len(unequal),
        sum(one.sampled for *_, one in unequal),
        f"mean share of the neurons of the narrower layer that are found in the wider one, over {len(unequal)} layers"
        f" that agree most ({', '.join(widths[:4])} neurons), layer 0 apart",
    )
