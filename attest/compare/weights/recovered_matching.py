"""``recovered-signs/v1`` and ``recovered-agreement/v1``: neurons matched on axes that are recovered from the neurons.

The first is exact and is defeated by signs of neurons that were changed. The second looks at no sign: it finds the neurons
again after everything that leaves what a network computes, and after new embeddings besides. It is descriptive, as all
that is found by matching, and a reference panel may calibrate it.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from attest.architecture import Model
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.agreement_tests import agreement_outcome, matched_test
from attest.compare.matching.layer_agreement import agreement_of_sides
from attest.compare.matching.partners import Neurons
from attest.compare.outcome import Outcome, not_run
from attest.compare.resampling import public_seed
from attest.compare.signs.gated_neurons import GatedNeurons
from attest.compare.signs.sign_matching import signs_outcome
from attest.compare.weights.recovered_neurons import RecoveredLayer, RecoveredNeurons, recover_neurons
from attest.compare.weights.role_weights import in_both
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table

__all__ = ["recovered_matching"]

_SIGNS = "recovered-signs/v1"
_AGREEMENT = "recovered-agreement/v1"
_NO_GATES = "a neuron's sign is free only where it has a gate, and none has one"
_NO_DENSE = "not both have dense layers, and experts may be copies of each other"
_NOTE = (
    "z of the products of what matched neurons write, whose signs are fair coins in networks trained apart, in a basis that is"
    " recovered from the neurons' second moments alone, up to its sign; near 0 also after the signs of neurons were changed"
)

Layers = Mapping[int, RecoveredLayer]


def recovered_matching(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Exact test of the signs of matched neurons, and the share of neurons that are found again, in the recovered basis.

    Notes
    -----
    At most 8 layers evenly spaced, of as many neurons as can be read; experts are tested for signs alone, since copies of
    a neuron have several partners. Both survive what ``anchored-signs/v1`` and ``anchored-agreement/v1`` survive, and
    besides embeddings made anew. They need the weights of both and an eigendecomposition of d_model by d_model; the
    axes are recovered once for both. Signs of neurons that were changed on purpose defeat the first: then z is near 0,
    and that shows nothing. Layers put in before a rotation and then trained for long, or a mixture with a stranger, may
    leave no axes in common.
    """
    swapped = b.side.tree_digest < a.side.tree_digest
    found = recover_neurons(*in_both(weights[::-1] if swapped else weights), public_seed(_SIGNS, a, b))
    if isinstance(found, str):
        return not_run(found, _SIGNS, _AGREEMENT)
    mine, theirs = (found.second, found.first) if swapped else (found.first, found.second)
    signs = _signs(found, a, b, mine, theirs)
    agreement = _agreement(found, a, b, mine, theirs)
    return Outcome(
        tests=(*signs.tests, *agreement.tests),
        controls=(*signs.controls, *agreement.controls),
        found=(_fit(found),),
        not_compared=(*signs.not_compared, *agreement.not_compared),
    )


def _signs(found: RecoveredNeurons, a: Fingerprints, b: Fingerprints, mine: Layers, theirs: Layers) -> Outcome:
    if not found.gated:
        return not_run(_NO_GATES, _SIGNS)

    def gated(layer: RecoveredLayer) -> GatedNeurons:
        gate, up, down = np.split(layer.neurons, 3, axis=1)
        return GatedNeurons(gate=gate, up=up, down=down, pooled=layer.pooled)

    x, y = ({number: gated(layer) for number, layer in side.items()} for side in (mine, theirs))
    return signs_outcome(_SIGNS, a, b, x, y, note=_NOTE, unsigned=True)


def _agreement(found: RecoveredNeurons, a: Fingerprints, b: Fingerprints, mine: Layers, theirs: Layers) -> Outcome:
    def unsigned(layers: Layers) -> dict[int, Neurons]:
        dense = {number: layer.neurons[: layer.n_alone] for number, layer in layers.items()}
        looks = {number: Neurons.of(rows, width=found.n_axes, signed=False) for number, rows in dense.items()}
        return {number: neurons for number, neurons in looks.items() if neurons is not None}

    sides = unsigned(mine), unsigned(theirs)
    if not all(sides):
        return not_run(_NO_DENSE, _AGREEMENT)
    agreement = agreement_of_sides(_AGREEMENT, a, b, *sides)
    looks = f"by {'gate' if found.gated else 'what it reads'} and by the rest, whatever their signs, on recovered axes"
    return agreement_outcome(_AGREEMENT, agreement, lambda: matched_test(_AGREEMENT, looks, agreement))


def _fit(found: RecoveredNeurons) -> Found:
    title = f"How well the neurons' second moments fit on {found.n_axes} axes, as a cosine; strangers reach 0.5 to 0.97"
    rows = (("turned", decimal(found.fit, 4)),)
    return Found(id=_SIGNS, title=title, table=Table(columns=("second moments", "fit"), rows=rows))
