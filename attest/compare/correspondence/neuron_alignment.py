"""``neuron-alignment/v1``: does neuron i of A correspond to neuron i of B? The headline of a comparison."""

from __future__ import annotations

import numpy as np

from attest.compare.correspondence.exact_outcome import exact_outcome
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run, shared_layers, unlike_widths

__all__ = ["NEURON_TEST", "neuron_alignment"]

NEURON_TEST = "neuron-alignment/v1"
_SKETCH = "neuron-sketch/v1"


def neuron_alignment(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test on neuron sketches, each layer permuted by itself.

    Notes
    -----
    Survives fine-tuning, continued training, pruning, quantization, merging, casting. A permutation of the hidden
    neurons or a rotation of the residual stream defeats it: then z is near 0, and that shows nothing.
    """
    mine, theirs = a.arrays.get(_SKETCH, {}), b.arrays.get(_SKETCH, {})
    if not mine or not theirs:
        return not_run("not both have a neuron sketch", NEURON_TEST)
    if unlike := unlike_widths(a, b):
        return not_run(unlike, NEURON_TEST)
    layers, reasons = shared_layers(a, b)
    names = [(layer, f"layers.{layer}") for layer in layers]
    shapes = {layer: (mine[name].shape, theirs[name].shape) for layer, name in names if name in mine and name in theirs}
    unequal = [layer for layer, (left, right) in shapes.items() if left != right]
    if unequal:
        reasons += (f"layers {_span(unequal)}: the numbers of neurons or of their parts differ",)
    pairings = [
        Pairing(layer=layer, x=mine[name].astype(np.float64), y=theirs[name].astype(np.float64))
        for layer, name in names
        if layer in shapes and layer not in unequal
    ]
    return exact_outcome(
        NEURON_TEST,
        a,
        b,
        pairings,
        method="the neurons of every layer, each layer by itself",
        note="z of the inner products of neuron sketches, index by index; near 0 for networks trained apart, and also"
        " after a permutation of hidden neurons or a rotation of the residual stream",
        reasons=reasons,
        directions=True,
    )


def _span(layers: list[int]) -> str:
    return f"{layers[0]}" if len(layers) == 1 else f"{layers[0]} to {layers[-1]}"
