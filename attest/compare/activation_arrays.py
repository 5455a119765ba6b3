"""Arrays of activation fingerprints as the tests take them, checked: evidence may be hostile."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.activation import PROFILE_ID
from attest.checkpoint.arrays import unpack_arrays
from attest.errors import DocumentError
from attest.evidence import ActivationSummary

__all__ = ["EMBEDDING", "activation_arrays"]

EMBEDDING = "embedding.mean_abs"
"""Name under which comparisons know the profile of the embedding output."""

_MOST_PLACES = 4096
_MOST_LAYERS = 1024


def activation_arrays(summary: ActivationSummary, details: Mapping[str, bytes]) -> dict[str, dict[str, NDArray[Any]]]:
    """Arrays of the activation fingerprints by id and name; those of the profile one vector a layer.

    Raises
    ------
    DocumentError, CheckpointError
        A detail file is malformed.
    """
    found = {
        one.id: _checked(one.id, unpack_arrays(details[one.detail], where=one.detail))
        for one in summary.fingerprints
        if one.detail is not None and one.detail in details
    }
    if summary.id == PROFILE_ID and summary.detail in details:
        values = unpack_arrays(details[summary.detail], where=summary.detail).get("mean_abs")
        if values is None or values.ndim != 2 or values.dtype != np.float32:
            raise _malformed(PROFILE_ID, "holds no mean_abs of two dimensions")
        names = [EMBEDDING, *(f"layers.{layer}.mean_abs" for layer in range(len(values) - 1))]
        found[PROFILE_ID] = dict(zip(names, values, strict=False))
    return found


def _checked(fingerprint: str, arrays: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Arrays whose places are what they should be, as many as the other arrays have, and whose numbers are finite."""
    places = arrays.get("positions", np.zeros((0, 2), np.int64))
    if places.dtype != np.int64 or places.shape != (len(places), 2) or len(places) > _MOST_PLACES:
        raise _malformed(fingerprint, "holds places that are no pairs of integers")
    for name, axis, ndim in (("sketch", 1, 3), ("scale", 1, 2), ("log_probability", 0, 2),
                             ("token_ids", 0, 2), ("token_digests", 0, 2)):  # fmt: skip
        array = arrays.get(name)
        if array is None:
            continue
        if array.ndim != ndim or array.shape[axis] != len(places) or array.shape[0] > max(_MOST_LAYERS, len(places)):
            raise _malformed(fingerprint, f"holds {name} of another shape than its places")
        if not np.isfinite(array).all():
            raise _malformed(fingerprint, f"holds {name} that is not finite")
    return arrays


def _malformed(where: str, problem: str) -> DocumentError:
    return DocumentError("bad-activations", problem, fix="ask for an intact copy", where=where)
