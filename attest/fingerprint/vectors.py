"""Vectors that are kept as they are: what ``norm-gain/v1`` and ``qkv-bias/v1`` share."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.fingerprint.fingerprint import Makers, Results
from attest.sweep import ValuesAccumulator

__all__ = ["collect_values", "kept_vectors"]

_MAX_LENGTH = 1_000_000


def collect_values(placed: PlacedTensor) -> Makers:
    """The values of a vector, where dtype and length allow to keep them."""
    tensor = placed.tensor
    if tensor.dtype not in ValuesAccumulator.DTYPES or len(tensor.shape) != 1 or tensor.size > _MAX_LENGTH:
        return {}
    return {"values": partial(ValuesAccumulator, tensor.dtype)}


def kept_vectors(model: Model, results: Results, roles: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Vectors of these roles, named ``layers.<layer>.<role>`` or ``<role>`` outside the layers, float32."""
    vectors: dict[str, NDArray[Any]] = {}
    for (role, layer), placed in model.index.items():
        values = results[placed.tensor.name].collected.get("values")
        if role in roles and values is not None:
            vectors[role if layer is None else f"layers.{layer}.{role}"] = values
    return vectors
