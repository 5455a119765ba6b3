"""``anchored-agreement/v1``: neurons told by words, found wherever they stand, whatever axes the network has."""

from __future__ import annotations

from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.agreement_tests import agreement_outcome, share_test
from attest.compare.matching.layer_agreement import agreement_of_sides, unlike_gates
from attest.compare.matching.sketches import NO_ANCHORED_SKETCH, sketched_layers
from attest.compare.outcome import Outcome, not_run
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID, WIDTH

__all__ = ["anchored_agreement"]

_AGREEMENT = "anchored-agreement/v1"


def anchored_agreement(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of neurons whose partner by gate and by the rest is the same, on anchored sketches.

    Notes
    -----
    Survives what ``matched-agreement/v1`` survives, and besides all that ``anchored-alignment/v1`` does. Descriptive, as
    all that is found by matching.
    """
    mine, theirs = (sketched_layers(one, ANCHORED_SKETCH_ID, WIDTH) for one in (a, b))
    if not mine or not theirs:
        return not_run(NO_ANCHORED_SKETCH, _AGREEMENT)
    if unlike := unlike_gates(mine, theirs):
        return not_run(unlike, _AGREEMENT)
    agreement = agreement_of_sides(_AGREEMENT, a, b, mine, theirs)
    note = (
        "mean share of neurons whose partner by gate and by the rest is the same, on axes of common words, each layer"
        " with the sketched layer that agrees most, layer 0 apart; see the controls"
    )
    return agreement_outcome(_AGREEMENT, agreement, lambda: share_test(_AGREEMENT, note, agreement))
