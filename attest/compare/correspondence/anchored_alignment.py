"""``anchored-alignment/v1``: neurons told by words, whatever axes the network has."""

from __future__ import annotations

import numpy as np

from attest.compare.correspondence.exact_outcome import exact_outcome
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.sketches import NO_ANCHORED_SKETCH, sketched_layers
from attest.compare.outcome import Outcome, not_run
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID, WIDTH

__all__ = ["ALIGNMENT_TEST", "anchored_alignment"]

ALIGNMENT_TEST = "anchored-alignment/v1"


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
        return not_run(NO_ANCHORED_SKETCH, ALIGNMENT_TEST)
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
        return not_run(reason, ALIGNMENT_TEST)
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
