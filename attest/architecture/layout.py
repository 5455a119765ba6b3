"""Fused matrices: which rows of one matrix are the query, the key, the value, or gate and up.

Every layout in use is periodic: of every ``period`` rows, a part has those from ``begin`` on, ``length`` of them. Rows
are the outputs of a matrix; where it is stored as inputs by outputs, the same holds for its columns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["FUSED", "Layout", "Rows", "Stacked", "split"]

Layout: TypeAlias = Literal["joined", "by-group", "four-blocks", "in-turn"]
"""``joined``: one part after the other. ``by-group``: for every key head its queries, the key, the value.
``four-blocks``: four blocks, each with query, value, key, in that order. ``in-turn``: row by row."""

Stacked: TypeAlias = Literal["gate", "up", "down", "gate_up"]
"""Roles of matrices that all experts of a layer may have in one tensor."""

FUSED: Mapping[str, tuple[str, ...]] = {
    "qkv": ("q", "k", "v"), "kv": ("k", "v"), "gate_up": ("gate", "up"), "branch_up": ("branch", "up"),
}  # fmt: skip
"""Roles of fused matrices, and of their parts. A ``branch`` is not measured: what it is multiplied with, ``up``, is for both."""

_BLOCKS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Rows:
    """Some rows of a matrix, in order: of every ``period`` those from ``begin`` to ``begin + length - 1``.

    Parameters
    ----------
    begin, length, period : int
        ``begin + length <= period``.
    count : int
        How many rows that makes in the whole matrix, a multiple of ``length``.
    """

    begin: int
    length: int
    period: int
    count: int

    def before(self, row: int) -> int:
        """How many rows of the part come before a row of the matrix."""
        periods, rest = divmod(row, self.period)
        return periods * self.length + min(max(rest - self.begin, 0), self.length)

    def positions(self, first: int, stop: int) -> NDArray[np.int64]:
        """Which rows from ``first`` to ``stop - 1`` of the matrix are of the part, counted from ``first``."""
        rows = np.arange(first, stop, dtype=np.int64) % self.period
        return np.flatnonzero((rows >= self.begin) & (rows < self.begin + self.length))


def split(role: str, layout: Layout, n_rows: int, *, d_q: int | None, n_kv_heads: int | None) -> dict[str, Rows]:
    """Rows of each part of a fused matrix.

    Parameters
    ----------
    role : {"qkv", "kv", "gate_up", "branch_up"}
    layout : Layout
    n_rows : int
        Outputs of the matrix.
    d_q, n_kv_heads : int or None
        Rows of all queries together, as many as the output projection has inputs; groups of the layout ``by-group``.

    Returns
    -------
    dict of role to Rows
        Empty where the numbers do not fit together, or are not known: a ``qkv`` matrix is never split ``in-turn``.

    References
    ----------
    Layouts as the modeling files of transformers 5.23 read them: ``gpt_neox``, ``bloom``, ``falcon`` (by-group),
    ``gpt2``, ``phi3`` (joined), ``codegen`` (four-blocks), ``gpt_oss`` (in-turn).
    """
    parts = FUSED[role]
    if role == "qkv":
        groups = {"joined": 1, "by-group": n_kv_heads, "four-blocks": _BLOCKS, "in-turn": None}[layout]
        sizes = None if d_q is None else {"q": d_q, "k": (n_rows - d_q) // 2, "v": (n_rows - d_q) // 2}
        order = ("q", "v", "k") if layout == "four-blocks" else parts
    else:
        groups = n_rows // len(parts) if layout == "in-turn" else 1
        sizes, order = dict.fromkeys(parts, n_rows // len(parts)), parts
    if not groups or not sizes or sum(sizes.values()) != n_rows:
        return {}
    if any(size <= 0 or size % groups for size in sizes.values()):
        return {}
    found, begin = {}, 0
    for part in order:
        length = sizes[part] // groups
        found[part] = Rows(begin=begin, length=length, period=n_rows // groups, count=sizes[part])
        begin += length
    return found
