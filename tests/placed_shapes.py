"""Places of tensors of which only names and shapes are known."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

from attest.architecture import FamilyFile, Model, place_tensors
from attest.checkpoint import Checkpoint, Tensor

__all__ = ["placed"]


def placed(
    shapes: Mapping[str, tuple[int, ...]], config: Mapping[str, Any] | None = None, given: FamilyFile | None = None
) -> Model:
    """Model of tensors with these names and shapes; no file holds them."""
    tensors = tuple(
        Tensor(name=name, dtype="F32", shape=tuple(shapes[name]), file="model.safetensors", begin=0, end=0)
        for name in sorted(shapes)
    )
    return place_tensors(
        cast(
            "Checkpoint",
            SimpleNamespace(tensors=tensors, config=config or {}, packed={}, codes=frozenset(), turned={}, names={}),
        ),
        given=given,
    )
