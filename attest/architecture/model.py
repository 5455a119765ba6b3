"""A checkpoint whose tensors have their places: which layer, which role, and are the shapes what the role needs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from attest.architecture.claim import claimed_count, claimed_heads, claimed_model_types, contradictions
from attest.architecture.experts import count_experts, with_experts
from attest.architecture.family import FAMILIES, Family, FamilyFile
from attest.architecture.latent import LatentHeads
from attest.architecture.layout import FUSED, split
from attest.architecture.placed import SPLIT, Part, PlacedTensor, part_of_heads, whole_part
from attest.architecture.roles import choose_family, place_stack
from attest.architecture.shape import Sizes, read_sizes
from attest.architecture.stack import Stack, read_stacks
from attest.checkpoint import Checkpoint, Tensor
from attest.checkpoint.packed import Packed
from attest.finding import Finding
from attest.terminal import visible

__all__ = ["Model", "Positions", "place_tensors"]

Positions: TypeAlias = Literal["learned", "rotary", "unknown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """Places of all tensors, and the sizes that follow from them.

    Parameters
    ----------
    checkpoint : Checkpoint
    family : Family or None
        Of the main stack.
    tensors : tuple of PlacedTensor
        In order of name.
    index : mapping of (role, layer) to Part
        The dense tensors of the main stack that have a role, and the parts of fused ones.
    n_layers : int
    n_experts : int
        Experts of all layers that have an up matrix.
    d_model, d_ff, n_heads, n_kv_heads, d_head : int or None
        None where the shapes do not tell, or the configuration contradicts them.
    latent_heads : LatentHeads or None
        Of latent attention, whose heads have no one size: then ``d_head`` is None.
    positions : {"learned", "rotary", "unknown"}
        ``learned`` where a table of positions is among the tensors, ``rotary`` for gated decoders and families that
        are known for it, where the configuration claims nothing else.
    findings : tuple of Finding
        Which file of families was given, and where the configuration contradicts names and shapes.
    """

    checkpoint: Checkpoint
    family: Family | None
    tensors: tuple[PlacedTensor, ...]
    index: Mapping[tuple[str, int | None], Part]
    n_layers: int
    n_experts: int
    d_model: int | None
    d_ff: int | None
    n_heads: int | None
    n_kv_heads: int | None
    d_head: int | None
    latent_heads: LatentHeads | None
    positions: Positions
    findings: tuple[Finding, ...]


def place_tensors(checkpoint: Checkpoint, *, given: FamilyFile | None = None) -> Model:
    """Places of a checkpoint's tensors.

    Parameters
    ----------
    checkpoint : Checkpoint
    given : FamilyFile, optional
        The user's own families, which come before those of attest.
    """
    own = given.families if given else ()
    families = (*own, *FAMILIES)
    model_types = claimed_model_types(checkpoint.config)
    weights, kept = _weights(checkpoint)
    stacks = read_stacks(weights)
    chosen = [choose_family(stack, families, model_types=model_types, given=len(own)) for stack in stacks]
    main = _place(stacks[0], chosen[0], kept) if stacks else []
    family = chosen[0] if chosen else None
    valued = [one for one in main if one.tensor.name not in checkpoint.codes]
    sizes = read_sizes(valued, transposed=family is not None and family.transposed)
    n_heads, n_kv_heads, d_head = claimed_heads(checkpoint.config, sizes)
    latent = LatentHeads.of(sizes, claimed=claimed_count(checkpoint.config)) if n_heads is None else None
    main = [
        one
        if one.tensor.name in checkpoint.codes
        else replace(one, parts=tuple(_parts(one, family, sizes, n_kv_heads)))
        for one in main
    ]
    main = with_experts(main, family, sizes.d_model) if family else main
    others = [one for stack, its in zip(stacks[1:], chosen[1:], strict=True) for one in _place(stack, its, kept)]
    placed = {one.tensor.name: one for weight in (*main, *others) for one in _stored(weight)}
    roles = {one.role for one in main if one.role is not None}
    return Model(
        checkpoint=checkpoint,
        family=family,
        tensors=tuple(placed.get(tensor.name) or PlacedTensor(tensor=tensor) for tensor in checkpoint.tensors),
        index=_index(main),
        n_layers=1 + max((one.layer for one in main if one.layer is not None and one.role), default=-1),
        n_experts=count_experts(main),
        d_model=sizes.d_model,
        d_ff=sizes.d_ff,
        n_heads=latent.count if latent else n_heads,
        n_kv_heads=latent.count if latent else n_kv_heads,
        d_head=d_head,
        latent_heads=latent,
        positions=_positions(checkpoint.config, roles, family),
        findings=(*_given(given), *contradictions(checkpoint.config, family, families, roles)),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Kept:
    """How a weight is kept that is not in the file as itself: as codes, turned round, or in another notation."""

    weight: Tensor
    packed: Packed | None = None
    turned: bool = False

    def place(self, one: PlacedTensor) -> PlacedTensor:
        """The place of the weight; of one that is turned round it keeps the shape of the weight."""
        if self.turned:
            return replace(one, stored=self.weight)
        return replace(one, tensor=self.weight, packed=self.packed)


def _weights(checkpoint: Checkpoint) -> tuple[list[Tensor], dict[str, _Kept]]:
    """Tensors as the weights that they stand for, in the usual notation, without what lies beside codes.

    With them those that are kept otherwise, by these names.
    """
    beside = {tensor.name for one in checkpoint.packed.values() for tensor in one.companions.values()}
    weights: list[Tensor] = []
    kept: dict[str, _Kept] = {}
    for tensor in checkpoint.tensors:
        if tensor.name in beside:
            continue
        packed = checkpoint.packed.get(tensor.name)
        weight = packed.weight if packed else tensor
        turned = checkpoint.turned.get(weight.name)
        name = turned or checkpoint.names.get(weight.name, weight.name)
        if packed or name != tensor.name:
            kept[name] = _Kept(weight=weight, packed=packed, turned=turned is not None)
            shape = weight.shape[::-1] if turned else weight.shape
            weight = replace(weight, name=name, shape=shape)
        weights.append(weight)
    return weights, kept


def _stored(one: PlacedTensor) -> Iterator[PlacedTensor]:
    """The tensor as it is in the file; of a packed one that of its codes, and those beside it with roles of their own."""
    if one.packed is None:
        yield one if one.stored is None else replace(one, tensor=one.stored)
        return
    yield replace(one, tensor=one.packed.tensor)
    for kind, tensor in one.packed.companions.items():
        role = f"{one.role}.{kind}" if one.role else None
        yield PlacedTensor(tensor=tensor, layer=one.layer, expert=one.expert, role=role)


def _given(file: FamilyFile | None) -> tuple[Finding, ...]:
    if file is None:
        return ()
    ids = ", ".join(family.id for family in file.families)
    text = f"sha256 {file.sha256}; families: {ids}"[:500]
    return (Finding(code="architecture-file", path=visible(file.name)[:200], line=None, text=text),)


def _place(stack: Stack, family: Family | None, kept: Mapping[str, _Kept]) -> list[PlacedTensor]:
    """Places of a stack, with its label in front of the roles."""
    if family is None:
        placed = [PlacedTensor(tensor=name.tensor) for name in stack.names]
    else:
        placed = place_stack(stack, family)
    if stack.label:
        placed = [replace(one, role=stack.label + one.role) if one.role else one for one in placed]
    return [kept[one.tensor.name].place(one) if one.tensor.name in kept else one for one in placed]


def _parts(one: PlacedTensor, family: Family | None, sizes: Sizes, n_kv_heads: int | None) -> Iterator[Part]:
    """Parts of a tensor of the main stack; a table of tokens or positions lies with a row for each, or has none."""
    if one.role is None or one.expert is not None or family is None or (one.stored and one.layer is None):
        return
    if one.role in SPLIT:
        yield from filter(None, [part_of_heads(one)])
        return
    whole = whole_part(one, family)
    fused, bias = one.role.removesuffix(".bias"), ".bias" if one.role.endswith(".bias") else ""
    if fused not in FUSED or not one.tensor.shape:
        yield whole
        return
    n_rows = whole.tensor.shape[whole.axis]
    layout = family.layouts.get(fused, "joined")
    for part, rows in split(fused, layout, n_rows, d_q=sizes.d_o, n_kv_heads=n_kv_heads).items():
        yield replace(whole, role=part + bias, rows=rows)


def _index(placed: Sequence[PlacedTensor]) -> Mapping[tuple[str, int | None], Part]:
    """Parts by role and layer; a whole tensor comes before a part of one."""
    parts = sorted((part for one in placed for part in one.parts), key=lambda part: part.rows is None)
    return {(part.role, part.layer): part for part in parts}


def _positions(config: Mapping[str, Any], roles: set[str], family: Family | None) -> Positions:
    claims = json.dumps([config.get("alibi"), config.get("use_alibi"), config.get("position_embedding_type")])
    if "true" in claims or "alibi" in claims or "sinusoidal" in claims or "relative_positions" in roles:
        return "unknown"
    if "positions" in roles:
        return "learned"
    if family is not None and family.rotary is not None:
        return "unknown" if family.rotary == "unknown" else "rotary"
    gated = not roles.isdisjoint({"gate", "gate_up", "experts.gate_up"})
    return "rotary" if gated else "unknown"
