"""Vectors that are kept as they are: what ``norm-gain/v1`` and ``qkv-bias/v1`` share."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model, PlacedTensor
from attest.checkpoint import Tensor
from attest.fingerprint.fingerprint import Makers, Results
from attest.fingerprint.part import collect_part, collected
from attest.sweep import Accumulator, ValuesAccumulator

__all__ = ["can_be_kept", "collect_values", "kept_vectors"]

_MAX_LENGTH = 1_000_000


def collect_values(placed: PlacedTensor, roles: Collection[str]) -> Makers:
    """The values of a vector, or of the parts of one, that have one of these roles, where they can be kept."""
    makers: dict[str, Callable[[], Accumulator]] = {}
    for part in placed.parts:
        if part.role in roles and can_be_kept(placed.tensor):
            makers |= collect_part("values", part, partial(ValuesAccumulator, placed.tensor.dtype))
    return makers


def can_be_kept(tensor: Tensor) -> bool:
    """Whether a tensor is a vector whose dtype and length allow to keep it."""
    return tensor.dtype in ValuesAccumulator.DTYPES and len(tensor.shape) == 1 and tensor.size <= _MAX_LENGTH


def kept_vectors(model: Model, results: Results, roles: tuple[str, ...]) -> dict[str, NDArray[np.float32]]:
    """Vectors of these roles, named ``layers.<layer>.<role>`` or ``<role>`` outside the layers, float32."""
    vectors: dict[str, NDArray[Any]] = {}
    for (role, layer), part in model.index.items():
        values = collected("values", part, results)
        if role in roles and values is not None:
            vectors[role if layer is None else f"layers.{layer}.{role}"] = values
    return vectors
