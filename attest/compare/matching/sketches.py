"""Sketches that evidence holds, as neurons by layer, and by layer and expert."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.compare.matching.partners import Neurons

__all__ = ["NO_ANCHORED_SKETCH", "sketched_experts", "sketched_layers"]

NO_ANCHORED_SKETCH = "not both have an anchored sketch; attest measure --deep makes one where there is a tokenizer"

_EXPERTS = "expert-sketch/v1"


def sketched_layers(one: Fingerprints, fingerprint: str, width: int) -> dict[int, Neurons]:
    """Neurons of every layer that a sketch has; ``width`` numbers a part."""
    found = {}
    for name, array in one.arrays.get(fingerprint, {}).items():
        neurons = Neurons.of(array, width=width)
        layer = name.removeprefix("layers.")
        if neurons is not None and layer.isdecimal() and len(layer) <= 3:
            found[int(layer)] = neurons
    return found


def sketched_experts(one: Fingerprints) -> Mapping[int, Mapping[int, NDArray[Any]]]:
    """Arrays of ``expert-sketch/v1``, by layer and expert; those with other names, or without neurons, are left out."""
    found: dict[int, dict[int, NDArray[Any]]] = defaultdict(dict)
    for name, array in one.arrays.get(_EXPERTS, {}).items():
        words = name.split(".")
        known = len(words) == 4 and words[1].isdecimal() and words[3].isdecimal() and max(map(len, words[1::2])) <= 5
        if known and (words[0], words[2]) == ("layers", "experts") and array.size:
            found[int(words[1])][int(words[3])] = array
    return found
