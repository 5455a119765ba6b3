"""Experts as units of their own, whether each has tensors of its own or one tensor holds all of a layer.

A stack has the experts in its first dimension, or, as in DBRX, one after the other in its rows. How each matrix of it
lies, as outputs by inputs or the other way round, its shape says wherever outputs and inputs differ in number.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from attest.architecture.family import Family
from attest.architecture.layout import FUSED, split
from attest.architecture.placed import Experts, Part, PlacedTensor, whole_part

__all__ = ["count_experts", "with_experts"]

_ROLES = frozenset({"gate", "up", "down", "gate_up"})
_STACKED = {f"experts.{role}": role for role in _ROLES}


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
    round where all other stacks of the layer do.
    """
    routers = {one.layer: one.tensor.shape[0] for one in main if one.role == "router" and len(one.tensor.shape) == 2}
    stacks = [found for one in main if (found := _read(one, routers.get(one.layer), family, d_model))]
    against: dict[int | None, set[bool]] = defaultdict(set)
    for stack in stacks:
        if len(stack.ways) == 1:
            against[stack.matrix.layer].add(stack.ways[0] != stack.matrix.transposed)
    experts: dict[str, Experts | None] = {
        one.tensor.name: _experts(whole_part(one, family), one.expert or 0, 1, family)
        for one in main
        if one.expert is not None and one.layer is not None and one.role in _ROLES
    }
    for stack in stacks:
        turned = stack.matrix.transposed ^ (against[stack.matrix.layer] == {True})
        matrix = replace(stack.matrix, transposed=stack.ways[0] if len(stack.ways) == 1 else turned)
        experts[stack.name] = _experts(matrix, 0, stack.count, family)
    return [replace(one, experts=experts.get(one.tensor.name)) for one in main]


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
    if len(shape) != 3 or (one.packed is not None and one.packed.turned):
        return None
    role, (count, n_rows, n_columns) = _STACKED[one.role], shape
    ways = tuple(_ways(role, n_rows, n_columns, d_model))
    if one.packed is not None:
        ways = (False,) if False in ways else ()
    tensor = replace(one.packed.unpacked if one.packed else one.tensor, shape=(n_rows, n_columns))
    turned = role in family.stacked_transposed
    matrix = Part(tensor=tensor, role=role, layer=one.layer, transposed=turned, packed=one.packed)
    return _Stack(name=one.tensor.name, count=count, matrix=matrix, ways=ways) if ways else None


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
