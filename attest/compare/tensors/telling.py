"""Which tensors and rows tell one network from another: what two networks trained apart share only by copying.

All bytes in their order tell most: many values suffice (``tells_by_bytes``). The same values in some order may follow
from a formula or a grid, so they must be varied besides (``may_tell_by_values``), and single rows long
(``may_tell_by_rows``). These two ask nothing of tensors whose names tell no role: of those that were found again, one on either
side must stand in the main stack (``in_main_stack``).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from attest.architecture import STACK_LABELS
from attest.evidence import TensorRow

__all__ = [
    "LEAST_COLUMNS", "LEAST_DISTINCT", "LEAST_VALUES", "TRAINED", "beside_main_stack", "count_telling", "has_many_values",
    "has_varied_values", "in_main_stack", "is_trained", "may_tell_by_rows", "may_tell_by_values", "tells_by_bytes",
]  # fmt: skip

_MATRICES = (
    "q", "k", "v", "o", "qkv", "kv", "gate", "up", "down", "gate_up", "q_a", "q_b", "kv_a", "kv_b", "k_b", "v_b",
)  # fmt: skip
_KINDS = ("experts", "cross", "linear", "first", "second")
TRAINED = frozenset(
    {*_MATRICES, *(f"{kind}.{role}" for kind in _KINDS for role in _MATRICES)}
    | {"branch_up", "embed", "lm_head", "linear.in", "ssm.in", "ssm.out"}
)
"""Roles of matrices that training fills: no constants, tables of positions or other buffers, nothing that begins by a formula."""

LEAST_COLUMNS = 64
"""Shorter rows hold so little that two networks of few distinct values could share some."""

LEAST_VALUES, LEAST_DISTINCT = 4096, 64
"""Fewer values, or fewer different ones, tell nothing."""

_LEAST_PEAK = 1.5
_LEAST_PEAK_OF_CODES = 1.8
_TOKENS = frozenset({"embed", "lm_head"})


def tells_by_bytes(row: TensorRow) -> bool:
    """Whether two networks trained apart could share this tensor, byte for byte, only by copying."""
    return in_main_stack(row) and has_many_values(row)


def may_tell_by_values(row: TensorRow) -> bool:
    """Whether a tensor has varied values, and no role that something else than training fills, such as positions."""
    return has_varied_values(row) and (row.role is None or is_trained(row))


def may_tell_by_rows(row: TensorRow) -> bool:
    """Whether a tensor may tell by its values, and its rows are long enough."""
    return may_tell_by_values(row) and row.shape[-1] >= LEAST_COLUMNS


def in_main_stack(row: TensorRow) -> bool:
    """Whether a tensor's role is one that training fills, in the stack of layers that a network mainly consists of.

    Other stacks are often taken from somebody else as they are: encoders of images and speech above all.
    """
    return row.role in TRAINED


def is_trained(row: TensorRow) -> bool:
    """Whether a tensor's role is one that training fills, in whatever stack."""
    return row.role is not None and beside_main_stack(row.role)[1] in TRAINED


def beside_main_stack(role: str) -> tuple[str, str]:
    """Label of the stack that a role is of, empty for the main one, and the role without it.

    Examples
    --------
    >>> beside_main_stack("vision.cross.q"), beside_main_stack("cross.q")
    (('vision', 'cross.q'), ('', 'cross.q'))
    """
    label, _, rest = role.partition(".")
    return (label, rest) if label in STACK_LABELS else ("", role)


def has_many_values(row: TensorRow) -> bool:
    """Whether a tensor is large, and holds more than a handful of distinct values where they were counted."""
    if math.prod(row.shape) < LEAST_VALUES or row.moments is None:
        return False
    distinct = row.moments.distinct
    return row.moments.std != "0" and (distinct is None or distinct >= LEAST_DISTINCT)


def has_varied_values(row: TensorRow) -> bool:
    """Whether a tensor is large and varied enough that its values can tell one network from another.

    Left out: fewer than 4,096 values; fewer than 64 distinct values where they were counted; more
    than three quarters zeros (identities, masks, one-hot tables); a standard deviation below the mean (ones with noise,
    few BF16 values apart); no value beyond 1.5 standard deviations (signs and Hadamard matrices; a uniform distribution
    ends at 1.73), of integers beyond 1.8 (codes that are ranks all occur as often, whatever they are ranks of); values
    that are not finite.
    """
    moments = row.moments
    if moments is None or math.prod(row.shape) < LEAST_VALUES:
        return False
    if moments.nans or moments.infinities or 4 * moments.zeros > 3 * moments.n:
        return False
    if moments.distinct is not None and moments.distinct < LEAST_DISTINCT:
        return False
    spread, peak = float(moments.std), max(-float(moments.minimum or 0), float(moments.maximum or 0))
    least = _LEAST_PEAK_OF_CODES if row.dtype.startswith(("I", "U")) else _LEAST_PEAK
    return spread > abs(float(moments.mean)) and peak > least * spread


def count_telling(found: Iterable[Sequence[TensorRow]]) -> int:
    """How many telling tensors were found, each given with its counterparts; those of one row a token are one.

    Rows of tokens that were never trained may share a random initialization in the embedding and the output, and
    several networks may be built on one public table of embeddings.
    """
    tokens = [any(row.role is not None and row.role.rpartition(".")[2] in _TOKENS for row in rows) for rows in found]
    return len(tokens) - max(0, sum(tokens) - 1)
