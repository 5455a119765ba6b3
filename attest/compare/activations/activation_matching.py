"""``activation-matching/v1`` and ``activation-layer-alignment/v1``: neurons found by what they do.

A neuron's activations on the same words do not change with a basis of the residual stream, with the order or the scale
of the neurons, or with how weights are written down. So neurons are found again behind every change of weights that
leaves the function as it was. Networks without gates are looked at on two halves of the prompts instead, which sees
less: their statistic is ``activation-matching-halves/v1``, and the two are never ranked in one panel.

References
----------
Zhu, Ahmed, Kuditipudi, Liang, "Independence Tests for Language Models", ICML 2025, section 3.2 (matching by gate and by
up activations). Gurnee et al., "Universal Neurons in GPT2 Language Models", 2024 (networks trained apart share some).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.activations.common_places import common_places
from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.agreement_tests import aligned_outcome
from attest.compare.matching.layer_agreement import agreement_of_sides, unlike_gates
from attest.compare.matching.partners import Neurons
from attest.compare.outcome import Outcome, left_out, not_run

__all__ = ["activation_matching"]

_GATED = "activation-matching/v1"
_HALVES = "activation-matching-halves/v1"
_LAYERS = "activation-layer-alignment/v1"
_NEURONS = "neuron-activations/v1"
_WIDTH = 32
_LOOKS = (("gate", "up"), ("even", "odd"))
_WORDS = {_GATED: "by gate and by up activations", _HALVES: "on the even and on the odd prompts"}


def activation_matching(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Match the neurons of every layer of a with those of every layer of b by their activations on the same words.

    Notes
    -----
    Descriptive: networks trained apart hold some of the same neurons, and only a reference panel of such pairs can tell
    how many; controls stand beside the number. Where tokenizers differ, the places must still be the same.
    """
    mine, theirs, reason = common_places(a, b, _NEURONS)
    if not reason and not mine.size == theirs.size == _places(a) == _places(b):
        reason = "the two tokenizers end words at other places, and a sketch over these cannot be taken apart"
    sides = [_neurons(one.arrays.get(_NEURONS, {})) for one in (a, b)]
    if not reason and not all(sides):
        reason = "no layer's neurons are known in one of the two"
    if unlike := reason or unlike_gates(*sides):
        return not_run(unlike, _GATED, _HALVES, _LAYERS)
    return _outcome(a, b, *sides)


def _places(one: Fingerprints) -> int:
    return len(one.arrays.get(_NEURONS, {}).get("positions", ()))


def _neurons(arrays: Mapping[str, NDArray[Any]]) -> dict[int, Neurons]:
    """Neurons of every layer that has both looks, of the form that they should have."""
    found = {}
    for first_look, second_look in _LOOKS:
        for name, first in arrays.items():
            layer = name.removeprefix("layers.").removesuffix(f".{first_look}")
            second = arrays.get(f"layers.{layer}.{second_look}")
            if layer.isdecimal() and len(layer) <= 3 and second is not None and _are_looks(first, second):
                found[int(layer)] = Neurons(first=first, second=second, gated=first_look == "gate")
    return found


def _are_looks(first: NDArray[Any], second: NDArray[Any]) -> bool:
    return first.dtype == second.dtype == np.int8 and first.shape == second.shape == (len(first), _WIDTH)


def _outcome(a: Fingerprints, b: Fingerprints, mine: dict[int, Neurons], theirs: dict[int, Neurons]) -> Outcome:
    test_id, other = (_GATED, _HALVES) if next(iter(mine.values())).gated else (_HALVES, _GATED)
    missing = left_out(other, "both have gates" if test_id == _GATED else "the two have no gates")
    agreement = agreement_of_sides(test_id, a, b, mine, theirs)
    outcome = aligned_outcome(test_id, _LAYERS, _WORDS[test_id], agreement)
    return replace(outcome, not_compared=(*missing, *outcome.not_compared))
