"""Experts as units of their own, whether each has tensors of its own or one tensor holds all of a layer.

A stack has the experts in its first dimension, or, as in DBRX, one after the other in its rows. How each matrix of it
lies, as outputs by inputs or the other way round, its shape says wherever outputs and inputs differ in number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from attest.architecture.family import Family
from attest.architecture.layout import FUSED, split
from attest.architecture.placed import Experts, Part, PlacedTensor, whole_part

__all__ = ["count_experts", "with_experts"]

_ROLES = frozenset({"gate", "up", "down", "gate_up"})
_STACKED = {f"experts.{role}": role for role in _ROLES}
_MOST = 4096
"""Experts of a layer in one tensor; the largest networks have some hundred."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Stack:
    """A tensor of all experts of a layer.

    Parameters
    ----------
    name : str
    count : int
    matrix : Part
        The first of them, as the table says that it lies.
    ways : tuple of bool
        Whether it can be inputs by outputs, as its shape allows; both where it is square.
    """

    name: str
    count: int
    matrix: Part
    ways: tuple[bool, ...]


def with_experts(main: Sequence[PlacedTensor], family: Family, d_model: int | None) -> list[PlacedTensor]:
    """Tensors of the main stack, with the experts that they hold.

    Notes
    -----
    Where a matrix is square, so that its shape does not tell how it lies, it lies as the table says, or the other way
    round where all other stacks of the layer do. Where a layer has two stacks with one role, the one with more experts
    counts; the others are shared ones.
    """
    routers = {one.layer: one.tensor.shape[0] for one in main if one.role == "router" and len(one.tensor.shape) == 2}
    stacks = [found for one in main if (found := _read(one, routers.get(one.layer), family, d_model))]
    against: dict[int | None, set[bool]] = defaultdict(set)
    for stack in stacks:
        told = stack.matrix.packed is None or stack.matrix.packed.as_stored
        if told and len(stack.ways) == 1:
            against[stack.matrix.layer].add(stack.ways[0] != stack.matrix.transposed)
    alone = {
        one.tensor.name: (one.layer, single)
        for one in main
        if one.expert is not None and one.layer is not None and one.role in _ROLES
        if (single := _experts(whole_part(one, family), one.expert, 1, family))
    }
    together = {}
    for stack in stacks:
        turned = stack.matrix.transposed ^ (against[stack.matrix.layer] == {True})
        matrix = replace(stack.matrix, transposed=stack.ways[0] if len(stack.ways) == 1 else turned)
        if several := _experts(matrix, 0, stack.count, family):
            together[stack.name] = (stack.matrix.layer, several)
    experts = {name: one for name, (_, one) in alone.items()} | _largest(
        together, {layer for layer, _ in alone.values()}
    )
    return [replace(one, experts=experts.get(one.tensor.name)) for one in main]


def _largest(stacks: Mapping[str, tuple[int | None, Experts]], apart: set[int | None]) -> dict[str, Experts]:
    """Stacks that hold more experts than any other of their layer with a part of the same role; none in some layers."""
    counts: dict[tuple[int | None, str], list[int]] = defaultdict(list)
    for layer, found in stacks.values():
        for part in found.parts:
            counts[layer, part.role].append(found.count)

    def is_largest(layer: int | None, found: Experts) -> bool:
        rivals = [count for part in found.parts for count in counts[layer, part.role] if count >= found.count]
        return len(rivals) == len(found.parts)

    return {name: found for name, (layer, found) in stacks.items() if layer not in apart and is_largest(layer, found)}


def count_experts(main: Iterable[PlacedTensor]) -> int:
    """Experts of all layers that have an up matrix."""
    found = [one.experts for one in main if one.experts is not None]
    return sum(one.count for one in found if any(part.role == "up" for part in one.parts))


def _read(one: PlacedTensor, routed: int | None, family: Family, d_model: int | None) -> _Stack | None:
    """The stack that a tensor is; None for other tensors, and where its shape does not fit its role."""
    shape = one.tensor.shape
    if one.role not in _STACKED or one.layer is None or one.expert is not None or not one.tensor.size:
        return None
    if len(shape) == 2 and routed and shape[0] % routed == 0:
        shape = (routed, shape[0] // routed, shape[1])
    if len(shape) != 3 or shape[0] > _MOST:
        return None
    role, (count, *size) = _STACKED[one.role], shape
    ways = tuple(_ways(role, size[0], size[1], d_model))
    if one.packed is not None and not one.packed.as_stored:
        ways, size = _unpacked_ways(ways, size, turned=one.packed.turned)
    tensor = replace(one.packed.unpacked if one.packed else one.tensor, shape=tuple(size))
    turned = role in family.stacked_transposed
    matrix = Part(tensor=tensor, role=role, layer=one.layer, transposed=turned, packed=one.packed)
    return _Stack(name=one.tensor.name, count=count, matrix=matrix, ways=ways) if ways else None


def _unpacked_ways(ways: tuple[bool, ...], size: list[int], *, turned: bool) -> tuple[tuple[bool, ...], list[int]]:
    """How matrices of outputs by inputs come out of codes, where it is the packing that says so, and in what shape."""
    if False not in ways:
        return (), size
    return (turned,), size[::-1] if turned else size


def _ways(role: str, n_rows: int, n_columns: int, d_model: int | None) -> Iterator[bool]:
    """Outputs by inputs (False), inputs by outputs (True), or both, with the residual stream on the side of the role."""
    if d_model == (n_rows if role == "down" else n_columns):
        yield False
    if d_model == (n_columns if role == "down" else n_rows):
        yield True


def _experts(whole: Part, first: int, count: int, family: Family) -> Experts | None:
    """Experts of which each has this matrix; None where it cannot be split into its parts."""
    if whole.role not in FUSED:
        return Experts(first=first, count=count, parts=(whole,))
    layout, n_rows = family.layouts.get(whole.role, "joined"), whole.tensor.shape[whole.axis]
    found = split(whole.role, layout, n_rows, d_q=None, n_kv_heads=None)
    parts = tuple(replace(whole, role=role, rows=rows) for role, rows in found.items())
    return Experts(first=first, count=count, parts=parts) if parts else None
