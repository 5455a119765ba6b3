"""``prediction-agreement/v1``: how often two language models expect the same next token after the same words.

It needs no weights and no common architecture, and shows least: whoever knows the language agrees on much of what comes
next, and a model may be trained to predict as another does.

References
----------
Nikolic, Baader, Vechev et al., "Model Provenance Testing for Large Language Models", 2025 (agreement on next tokens,
against baselines).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.activations.common_places import common_places
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.strangers import strangers_gave
from attest.document import decimal

__all__ = ["prediction_agreement"]

_ID = "prediction-agreement/v1"
_PREDICTIONS = "predictions/v1"
_NAMES = ("token_digests", "token_ids")
_LEAST_PLACES = 16


def prediction_agreement(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of common places where both hold the same token most likely, tokens being told by their text."""
    mine, theirs, reason = common_places(a, b, _PREDICTIONS)
    if not reason and mine.size < _LEAST_PLACES:
        reason = f"only {mine.size} words end at the same places of the prompts; {_LEAST_PLACES} are needed"
    x, y = (_tokens(one.arrays.get(_PREDICTIONS, {})) for one in (a, b))
    if not reason and (x is None or y is None or x.dtype != y.dtype or x.shape[1] != y.shape[1]):
        reason = "the two name their tokens in different ways"
    if reason or x is None or y is None:
        return not_run(reason, _ID)
    first, second = x[mine], y[theirs]
    same = float(np.mean(first[:, 0] == second[:, 0]))
    among = float(np.mean([np.isin(row, other).mean() for row, other in zip(first, second, strict=True)]))
    by_chance = float(np.mean(first[:, :1] == second[None, :, 0]))
    note = (
        f"share of {mine.size} words after which both expect the same token; of the {x.shape[1]} most likely"
        f" {decimal(among, 3)} are common; words taken at random agree on {decimal(by_chance, 3)}; models of one language"
        f" agree on much, whoever made them{strangers_gave(_ID)}"
    )
    return Outcome(tests=(descriptive(_ID, same, int(mine.size), note),))


def _tokens(arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any] | None:
    return next((arrays[name] for name in _NAMES if name in arrays and arrays[name].shape[1]), None)
