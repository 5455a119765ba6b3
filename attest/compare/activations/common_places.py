"""The inputs that two networks were both run on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints

__all__ = ["common_places", "other_inputs"]


def other_inputs(a: Fingerprints, b: Fingerprints) -> str:
    """Why what two networks did cannot be compared at all; empty where it can."""
    mine, theirs = a.activations, b.activations
    if mine is None or theirs is None:
        return "not both networks were run (attest measure --activations)"
    if mine.prompt_set_sha256 != theirs.prompt_set_sha256:
        return f"the two were run on different prompts ({mine.prompt_set} and {theirs.prompt_set})"
    return ""


def common_places(
    a: Fingerprints, b: Fingerprints, fingerprint: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], str]:
    """Places of the prompts that both have, as rows of the arrays of each; or why there are none.

    Notes
    -----
    Places of texts are ends of words, so different tokenizers have most of them in common. Random token ids are
    different inputs where the vocabularies are of different size.
    """
    nothing = np.zeros(0, np.int64)
    reason = other_inputs(a, b)
    if reason or a.activations is None or b.activations is None:
        return nothing, nothing, reason
    mine, theirs = (one.arrays.get(fingerprint, {}).get("positions") for one in (a, b))
    if mine is None or theirs is None:
        return nothing, nothing, "one of the two has none"
    random = a.activations.prompt_set == "random-tokens"
    if random and a.activations.token_ids_sha256 != b.activations.token_ids_sha256:
        return nothing, nothing, "the vocabularies differ in size, so the random token ids are different inputs"
    rows = {place: row for row, place in enumerate(map(tuple, theirs.tolist()))}
    pairs = [(row, rows[place]) for row, place in enumerate(map(tuple, mine.tolist())) if place in rows]
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return both[:, 0], both[:, 1], ""
