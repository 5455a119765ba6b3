"""A tensor and its place, and the parts of a tensor that fingerprints are made of."""

from __future__ import annotations

from dataclasses import dataclass, replace

from attest.architecture.family import Family
from attest.architecture.layout import Rows
from attest.checkpoint import Tensor
from attest.checkpoint.packed import Packed

__all__ = ["SPLIT", "Experts", "Part", "PlacedTensor", "part_of_heads", "whole_part"]

SPLIT = frozenset({"k_b", "v_b"})
"""Roles of the halves of ``kv_b``, which hold a matrix for each head."""

_MOST = 1 << 22
"""Values of the largest matrix of one head that is turned."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """A matrix or vector with a role in a layer of the main stack: a whole tensor, or some rows of a fused one.

    Parameters
    ----------
    tensor : Tensor
    role : str
    layer : int or None
    rows : Rows or None
        Which outputs of the tensor; None for all.
    transposed : bool
        Whether the tensor is stored as inputs by outputs; then ``rows`` are its columns.
    packed : Packed or None
        Where the tensor is kept as codes; then ``tensor`` is the matrix as it comes out of them, under their name.
    turned : int or None
        Where several matrices are stored one after the other, each as inputs by outputs: the outputs of each. Then the
        shape of ``tensor`` is that of all of them as outputs by inputs.
    """

    tensor: Tensor
    role: str
    layer: int | None
    rows: Rows | None = None
    transposed: bool = False
    packed: Packed | None = None
    turned: int | None = None

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """Shape of the part as it is stored."""
        if self.rows is None:
            return self.tensor.shape
        axis = self.axis
        return (*self.tensor.shape[:axis], self.rows.count, *self.tensor.shape[axis + 1 :])

    @property
    def axis(self) -> int:
        """Axis of the outputs in the stored tensor."""
        return 1 if self.transposed and len(self.tensor.shape) == 2 else 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Experts:
    """Experts that a tensor holds, one slice of its rows after the other.

    Parameters
    ----------
    first : int
        Number of the first; the others follow.
    count : int
    parts : tuple of Part
        Of one slice, as if it were stored alone.
    """

    first: int
    count: int
    parts: tuple[Part, ...]

    @property
    def rows(self) -> int:
        """Stored rows of one slice."""
        return self.parts[0].tensor.shape[0]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlacedTensor:
    """A tensor and its place; ``role`` is None for a tensor that no table knows or whose shape contradicts it.

    ``parts`` are what fingerprints take from it: nothing from experts, from stacks beside the main one, and from
    tensors without a role; the parts of a fused matrix where the sizes of heads are known; else the tensor itself.
    ``experts`` are the experts of the main stack that it holds, one or all of a layer.
    ``packed`` says how its values are kept as codes, if they are. ``stored`` is the matrix of inputs by outputs that is in
    the file, where ``tensor`` is that weight under the name of its module.
    """

    tensor: Tensor
    layer: int | None = None
    expert: int | None = None
    role: str | None = None
    parts: tuple[Part, ...] = ()
    experts: Experts | None = None
    packed: Packed | None = None
    stored: Tensor | None = None

    def without_role(self) -> PlacedTensor:
        """The same tensor as one that has lost its role."""
        return replace(self, role=None)


def whole_part(one: PlacedTensor, family: Family) -> Part:
    """A tensor that has a role as a part; the values of its codes where it is a packed weight."""
    in_layer = one.layer is not None and len(one.tensor.shape) == 2
    if one.packed is not None:
        return Part(
            tensor=one.packed.unpacked,
            role=one.role or "",
            layer=one.layer,
            transposed=one.packed.turned,
            packed=one.packed,
        )
    if one.stored is not None:
        return Part(tensor=one.stored, role=one.role or "", layer=one.layer, transposed=True)
    return Part(tensor=one.tensor, role=one.role or "", layer=one.layer, transposed=family.transposed and in_layer)


def part_of_heads(one: PlacedTensor) -> Part | None:
    """Keys or values of all heads as one matrix, head by head; None for a tensor that does not hold one for each head.

    Keys are stored as inputs by outputs, since programs multiply queries with them first.
    """
    if len(one.tensor.shape) != 3 or not one.tensor.size:
        return None
    whole = one.packed.unpacked if one.packed else one.tensor
    count, n_rows, n_columns = one.tensor.shape
    part = Part(tensor=whole, role=one.role or "", layer=one.layer, packed=one.packed)
    if one.role == "v_b":
        return replace(part, tensor=replace(whole, shape=(count * n_rows, n_columns)))
    turned = replace(whole, shape=(count * n_columns, n_rows))
    return replace(part, tensor=turned, turned=n_columns) if n_rows * n_columns <= _MOST else None
