"""``matched-signs/v1`` and ``anchored-signs/v1``: exact, and blind to the order of neurons and of experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.partners import Neurons
from attest.compare.matching.sketches import NO_ANCHORED_SKETCH, sketched_experts, sketched_layers
from attest.compare.outcome import Outcome, not_run, unlike_widths
from attest.compare.signs.gated_neurons import GatedNeurons
from attest.compare.signs.sign_matching import signs_outcome
from attest.fingerprint.anchored_sketch import ANCHORED_SKETCH_ID, WIDTH
from attest.fingerprint.unit_sums import N_BUCKETS

__all__ = ["anchored_signs", "matched_signs"]

_MATCHED = "matched-signs/v1"
_ANCHORED = "anchored-signs/v1"
_SKETCH = "neuron-sketch/v1"
_NO_GATES = "a neuron's sign is free only where it has a gate, and not all have one"


def matched_signs(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test of the signs of matched neurons, on neuron sketches and those of experts.

    Notes
    -----
    Survives what ``neuron-alignment/v1`` survives, and besides a permutation of the hidden neurons, their rescaling, and
    layers that were moved, added or left out; of experts another order, too, and that a dense layer was made into them.
    Where sketches keep a part of each expert's neurons, a permutation leaves few that both have. A rotation of the
    residual stream defeats it, and so do neurons whose signs were changed: then z is near 0, and that shows nothing.
    """
    if unlike := unlike_widths(a, b):
        return not_run(unlike, _MATCHED)
    return _on_sketches(_MATCHED, a, b, _SKETCH, N_BUCKETS, "not both have a sketch of their neurons")


def anchored_signs(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Exact test of the signs of matched neurons, on anchored sketches.

    Notes
    -----
    Survives what ``matched-signs/v1`` survives, and besides a rotation, permutation and sign changes of the residual
    stream; hidden sizes may differ. Embeddings made anew defeat it. The axes are made of the two networks' embeddings,
    which say nothing about the sign of a neuron.
    """
    return _on_sketches(_ANCHORED, a, b, ANCHORED_SKETCH_ID, WIDTH, NO_ANCHORED_SKETCH)


def _on_sketches(test_id: str, a: Fingerprints, b: Fingerprints, sketch: str, width: int, missing: str) -> Outcome:
    sides = [_pooled(one, sketch, width) for one in (a, b)]
    if not all(sides):
        return not_run(missing, test_id)
    if not all(neurons.gated for side in sides for pool in side.values() for neurons in pool):
        return not_run(_NO_GATES, test_id)
    mine, theirs = ({layer: _together(pool, width) for layer, pool in side.items()} for side in sides)
    note = (
        "z of the products of what matched neurons write, whose signs are fair coins in networks trained apart; near 0 also"
        " after the signs of neurons were changed"
        + ("" if sketch == ANCHORED_SKETCH_ID else " or the residual stream turned")
    )
    return signs_outcome(test_id, a, b, mine, theirs, note=note)


def _pooled(one: Fingerprints, sketch: str, width: int) -> Mapping[int, Sequence[Neurons]]:
    """Neurons of every layer: of its dense MLP or its shared experts, and of each expert where the axes are a sketch's."""
    pools: dict[int, list[Neurons]] = {layer: [found] for layer, found in sketched_layers(one, sketch, width).items()}
    for layer, experts in sketched_experts(one).items() if sketch == _SKETCH else ():
        found = (Neurons.of(array, width=width) for _, array in sorted(experts.items()))
        pools.setdefault(layer, []).extend(neurons for neurons in found if neurons is not None)
    return {layer: pool for layer, pool in pools.items() if pool}


def _together(pool: Sequence[Neurons], width: int) -> GatedNeurons:
    second = np.concatenate([one.second for one in pool])
    return GatedNeurons(
        gate=np.concatenate([one.first for one in pool]),
        up=second[:, :width],
        down=second[:, width:],
        pooled=len(pool) > 1,
    )
