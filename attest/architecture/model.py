"""A checkpoint whose tensors have their places: which layer, which role, and are the shapes what the role needs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from attest.architecture.family import FAMILIES, Family
from attest.checkpoint import Checkpoint, Tensor

__all__ = ["Model", "PlacedTensor", "Positions", "place_tensors"]

Positions: TypeAlias = Literal["learned", "rotary", "unknown"]

_MATRICES = frozenset({"q", "k", "v", "o", "gate", "up", "down"})


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedTensor:
    """A tensor and its place; ``role`` is None for a tensor that no table knows or whose shape contradicts it."""

    tensor: Tensor
    layer: int | None
    expert: int | None
    role: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Places of all tensors, and the sizes that follow from them.

    Parameters
    ----------
    checkpoint : Checkpoint
    family : str or None
    tensors : tuple of PlacedTensor
        In order of name.
    index : mapping of (role, layer) to PlacedTensor
        The dense tensors that have a role.
    n_layers : int
    d_model, d_ff, n_heads, n_kv_heads, d_head : int or None
        None where the shapes do not tell, or the configuration contradicts them.
    positions : {"learned", "rotary", "unknown"}
        ``learned`` where a table of positions is among the tensors, ``rotary`` for gated decoders whose
        configuration claims nothing else.
    """

    checkpoint: Checkpoint
    family: str | None
    tensors: tuple[PlacedTensor, ...]
    index: Mapping[tuple[str, int | None], PlacedTensor]
    n_layers: int
    d_model: int | None
    d_ff: int | None
    n_heads: int | None
    n_kv_heads: int | None
    d_head: int | None
    positions: Positions


def place_tensors(checkpoint: Checkpoint) -> Model:
    """Places of a checkpoint's tensors.

    Notes
    -----
    A name is only a claim: a matrix keeps its role where its shape agrees with the sizes that most layers have,
    else it is left without one and reported as unmapped. Two tensors with one place both lose it.
    """
    names = [tensor.name for tensor in checkpoint.tensors]
    family = _family(names)
    placed = [_place(tensor, family) for tensor in checkpoint.tensors]
    counts = Counter((one.role, one.layer, one.expert) for one in placed)
    placed = [
        _without_role(one) if counts[one.role, one.layer, one.expert] > 1 and one.role != "buffer" else one
        for one in placed
    ]
    d_model = _most_common(one.tensor.shape[1] for one in placed if one.role in {"q", "up"})
    d_ff = _most_common(one.tensor.shape[0] for one in placed if one.role == "up" and one.expert is None)
    d_q = _most_common(one.tensor.shape[0] for one in placed if one.role == "q")
    d_kv = _most_common(one.tensor.shape[0] for one in placed if one.role == "k")
    placed = [one if _shape_agrees(one, d_model, d_ff, d_q, d_kv) else _without_role(one) for one in placed]
    n_heads, n_kv_heads, d_head = _heads(checkpoint.config, d_q, d_kv)
    return Model(
        checkpoint=checkpoint,
        family=family.id if family else None,
        tensors=tuple(placed),
        index={(one.role, one.layer): one for one in placed if one.role and one.expert is None},
        n_layers=1 + max((one.layer for one in placed if one.layer is not None and one.role), default=-1),
        d_model=d_model,
        d_ff=d_ff,
        n_heads=n_heads,
        n_kv_heads=n_kv_heads,
        d_head=d_head,
        positions=_positions(checkpoint.config, {one.role for one in placed}),
    )


def _family(names: Sequence[str]) -> Family | None:
    """The family of most layers, so that a few odd tensors change nothing; None where no layer is of any."""
    counts = [family.count_layers(names) for family in FAMILIES]
    return FAMILIES[counts.index(max(counts))] if any(counts) else None


def _place(tensor: Tensor, family: Family | None) -> PlacedTensor:
    layer, expert, role = family.place(tensor.name) if family else (None, None, None)
    if role in _MATRICES and len(tensor.shape) != 2:
        role = None
    return PlacedTensor(tensor=tensor, layer=layer, expert=expert, role=role)


def _without_role(one: PlacedTensor) -> PlacedTensor:
    return PlacedTensor(tensor=one.tensor, layer=one.layer, expert=one.expert, role=None)


def _most_common(sizes: Iterator[int]) -> int | None:
    counted = Counter(sizes).most_common(1)
    return counted[0][0] if counted else None


def _shape_agrees(one: PlacedTensor, d_model: int | None, d_ff: int | None, d_q: int | None, d_kv: int | None) -> bool:
    """Whether a matrix or a residual norm has the shape of its role; experts may have any d_ff."""
    rows, columns = (*one.tensor.shape, None, None)[:2]
    if one.expert is not None and one.role in {"gate", "up", "down"}:
        return d_model == (rows if one.role == "down" else columns)
    expected: dict[str, tuple[int | None, int | None]] = {
        "q": (d_q, d_model),
        "k": (d_kv, d_model),
        "v": (d_kv, d_model),
        "o": (d_model, d_q),
        "gate": (d_ff, d_model),
        "up": (d_ff, d_model),
        "down": (d_model, d_ff),
        "attention_norm": (d_model, None),
        "mlp_norm": (d_model, None),
        "output_norm": (d_model, None),
        "attention_output_norm": (d_model, None),
        "final_norm": (d_model, None),
        "embed_norm": (d_model, None),
        "q.bias": (d_q, None),
        "k.bias": (d_kv, None),
        "v.bias": (d_kv, None),
    }
    return one.role not in expected or expected[one.role] == (rows, columns)


def _positions(config: Mapping[str, Any], roles: set[str | None]) -> Positions:
    claims = json.dumps([config.get("alibi"), config.get("use_alibi"), config.get("position_embedding_type")])
    if "true" in claims or "alibi" in claims or "sinusoidal" in claims:
        return "unknown"
    if "positions" in roles:
        return "learned"
    return "rotary" if "gate" in roles else "unknown"


def _heads(config: Mapping[str, Any], d_q: int | None, d_kv: int | None) -> tuple[int | None, int | None, int | None]:
    """Head counts as the configuration claims them, where the shapes allow them."""
    heads = config.get("num_attention_heads")
    kv_heads = config.get("num_key_value_heads", heads)
    if type(heads) is not int or type(kv_heads) is not int or heads < 1 or kv_heads < 1 or not d_q or not d_kv:
        return None, None, None
    if d_q % heads or heads % kv_heads or d_kv != kv_heads * (d_q // heads):
        return None, None, None
    return heads, kv_heads, d_q // heads
