"""``anchored-alignment/v1`` and ``anchored-agreement/v1``: neurons told by words, whatever axes the network has."""

from __future__ import annotations

import numpy as np

from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.agreement_tests import agreement_outcome, share_test
from attest.compare.matching.layer_agreement import agreement_of_sides, sketched_layers
from attest.compare.outcome import Outcome, exact_outcome, left_out
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID, WIDTH

__all__ = ["ALIGNMENT_TEST", "NO_ANCHORED_SKETCH", "anchored_agreement", "anchored_alignment"]

ALIGNMENT_TEST = "anchored-alignment/v1"
_AGREEMENT = "anchored-agreement/v1"
NO_ANCHORED_SKETCH = "one of the two has no anchored sketch; attest measure --deep makes one where there is a tokenizer"


def anchored_alignment(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test on anchored sketches, each layer permuted by itself.

    Notes
    -----
    Survives what ``neuron-alignment/v1`` survives, and besides a rotation, permutation and sign changes of the residual
    stream, with gains folded or not; hidden sizes may differ. It stays exact although the axes are made of the two
    networks' embeddings: those say nothing about the order of hidden neurons. A permutation of the hidden neurons
    defeats it, and so do embeddings made anew: then z is near 0, and that shows nothing.
    """
    mine, theirs = a.arrays.get(ANCHORED_SKETCH_ID, {}), b.arrays.get(ANCHORED_SKETCH_ID, {})
    if not mine or not theirs:
        return Outcome(not_compared=left_out(ALIGNMENT_TEST, NO_ANCHORED_SKETCH))
    layers = sorted(
        sketched_layers(a, ANCHORED_SKETCH_ID, WIDTH).keys() & sketched_layers(b, ANCHORED_SKETCH_ID, WIDTH)
    )
    both = {layer: (mine[f"layers.{layer}"], theirs[f"layers.{layer}"]) for layer in layers}
    pairings = [
        Pairing(layer=layer, x=x.astype(np.float64), y=y.astype(np.float64))
        for layer, (x, y) in both.items()
        if x.shape == y.shape
    ]
    if not pairings:
        reason = "no layer was sketched in both with as many neurons and parts"
        return Outcome(not_compared=left_out(ALIGNMENT_TEST, reason))
    unequal = ", ".join(str(layer) for layer, (x, y) in both.items() if x.shape != y.shape)
    return exact_outcome(
        ALIGNMENT_TEST,
        a,
        b,
        pairings,
        method="the neurons of every layer, each layer by itself",
        note="z of the inner products of neuron sketches on axes of common words, index by index; near 0 for networks"
        " trained apart, and also after a permutation of hidden neurons",
        reasons=(f"layers {unequal}: the numbers of neurons or of their parts differ",) if unequal else (),
        directions=True,
    )


def anchored_agreement(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of neurons whose partner by gate and by the rest is the same, on anchored sketches.

    Notes
    -----
    Survives what ``matched-agreement/v1`` survives, and besides all that ``anchored-alignment/v1`` does. Descriptive, as
    all that is found by matching.
    """
    mine, theirs = (sketched_layers(one, ANCHORED_SKETCH_ID, WIDTH) for one in (a, b))
    if not mine or not theirs:
        return Outcome(not_compared=left_out(_AGREEMENT, NO_ANCHORED_SKETCH))
    if len({neurons.gated for neurons in (*mine.values(), *theirs.values())}) > 1:
        return Outcome(not_compared=left_out(_AGREEMENT, "only one of the two has gates, or only some layers have"))
    agreement = agreement_of_sides(_AGREEMENT, a, b, mine, theirs)
    note = (
        "mean share of neurons whose partner by gate and by the rest is the same, on axes of common words, each layer"
        " with the sketched layer that agrees most, layer 0 apart; see the controls"
    )
    return agreement_outcome(_AGREEMENT, agreement, lambda: share_test(_AGREEMENT, note, agreement))
