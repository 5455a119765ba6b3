"""``expert-alignment/v1``: neuron i of A's experts beside neuron i of B's experts, or of B's dense layer.

The features of neuron i of a layer are the sums, over all its experts, of what ``expert-sketch/v1`` has of neuron i. So the
order of the experts does not matter, and a dense layer of which experts were made stands on the same axes as they do.

Experts that were made of one dense layer share its order, in both networks where both were made so; one order is therefore
exchanged in all experts of a layer together. A network whose neurons were relabeled in all experts alike is as likely
as before.

References
----------
Komatsuzaki et al., "Sparse Upcycling", ICLR 2023 (experts that begin as copies of a dense layer, neuron by neuron).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.exact_outcome import exact_outcome
from attest.compare.correspondence.permutation import Pairing
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.sketches import sketched_experts
from attest.compare.outcome import Outcome, not_run, shared_layers, unlike_widths
from attest.comparison import NO_EXPERTS

__all__ = ["expert_alignment"]

_ID = "expert-alignment/v1"
_DENSE = "neuron-sketch/v1"

Sums = Mapping[int, NDArray[np.float64]]


def expert_alignment(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test on the experts' neurons, each layer permuted by itself.

    Notes
    -----
    Survives what ``neuron-alignment/v1`` survives, and besides another order of the experts, and turning a dense layer into
    experts that keep the order of its neurons (Drop-Upcycling included). Another order of the neurons in each expert
    defeats it: then z is near 0, and that shows nothing.
    """
    mine, theirs = _sums(a), _sums(b)
    if not mine and not theirs:
        return Outcome(not_compared=(NO_EXPERTS,))
    if unlike := unlike_widths(a, b):
        return not_run(unlike, _ID)
    layers, reasons = shared_layers(a, b)
    pairings = [found for layer in layers if (found := _pair(layer, a, b, mine, theirs))]
    if not pairings:
        return not_run("in no layer have the experts as many neurons, or parts, as the other's MLP", _ID)
    return exact_outcome(
        _ID,
        a,
        b,
        pairings,
        method="the neurons of every layer's experts, all experts of a layer in one order, each layer by itself",
        note="z of the inner products of neuron sketches, summed over the experts of a layer, index by index; near 0 for"
        " networks trained apart, and also after a permutation of each expert's neurons or a rotation of the residual"
        " stream",
        reasons=reasons,
        directions=True,
    )


def _sums(one: Fingerprints) -> Sums:
    """Sketches of a layer's experts, added up neuron by neuron; of those of the commonest shape."""
    sums = {}
    for layer, experts in sketched_experts(one).items():
        arrays = [experts[number] for number in sorted(experts)]
        shape = Counter(array.shape for array in arrays).most_common(1)[0][0]
        alike = [array for array in arrays if array.shape == shape]
        sums[layer] = np.stack(alike).sum(axis=0, dtype=np.float64)
    return sums


def _pair(layer: int, a: Fingerprints, b: Fingerprints, mine: Sums, theirs: Sums) -> Pairing | None:
    """Experts beside experts, or beside the dense layer of the other; None where they have other sizes."""
    if layer not in mine and layer not in theirs:
        return None
    x = mine[layer] if layer in mine else _dense(a, layer, len(theirs[layer]))
    y = theirs[layer] if layer in theirs else _dense(b, layer, len(mine[layer]))
    if x is None or y is None or x.shape != y.shape:
        return None
    return Pairing(layer=layer, x=x, y=y)


def _dense(one: Fingerprints, layer: int, kept: int) -> NDArray[np.float64] | None:
    """Sketch of a dense layer, of the neurons that are kept of an expert that has as many."""
    array = one.arrays.get(_DENSE, {}).get(f"layers.{layer}")
    if array is None or len(array) < kept:
        return None
    return array[np.arange(kept) * len(array) // kept].astype(np.float64)
