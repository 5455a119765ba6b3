"""Tables of tokens and positions that two networks have in common: they single out residual dimensions by index.

Networks may be built on one public table of embeddings, or on sinusoids that are stored like learned positions. Whoever
trains layers on such a table, each with random numbers of his own, gets dimensions that agree by index: what a dimension
is used for follows from the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.digested_rows import ROW_DIGESTS
from attest.compare.fingerprints import Fingerprints

__all__ = ["common_table"]

_TABLES = ("embed", "lm_head", "positions", "position_table")
_LEAST_ROWS = 16
_MOST = 0.5

Digests = NDArray[np.uint64]


def common_table(a: Fingerprints, b: Fingerprints) -> str | None:
    """Role of a table of a that is one of b's byte for byte, or has most rows of the smaller of the two in common with it.

    Notes
    -----
    A row counts once, so padding counts for nothing. Rows that were left as they are say less: descendants keep the rows
    of tokens that they never saw, and so they do not count until they are more than half.

    It does not see a common table that both trained further; that is a common initialization, which H1 names.
    """
    held = {row.digest for row in b.tensors if row.role in _TABLES}
    mine, theirs = a.arrays.get(ROW_DIGESTS, {}), b.arrays.get(ROW_DIGESTS, {})
    others = [np.unique(theirs[role]) for role in _TABLES if role in theirs]
    for role in _TABLES:
        if any(row.role == role and row.digest in held for row in a.tensors):
            return role
        if role in mine and _share_most(np.unique(mine[role]), others):
            return role
    return None


def _share_most(some: Digests, others: Sequence[Digests]) -> bool:
    """Whether most rows of the smaller table are in both, for any of the others."""
    return any(_is_most(*_thinned(some, other)) for other in others)


def _is_most(some: Digests, other: Digests) -> bool:
    shared = np.intersect1d(some, other, assume_unique=True).size
    return shared >= _LEAST_ROWS and shared > _MOST * min(some.size, other.size)


def _thinned(some: Digests, other: Digests) -> tuple[Digests, Digests]:
    """Both reduced to the smaller sample: digests of which as many low bits are 0."""
    mask = np.uint64(max(_low_zeros(some), _low_zeros(other)) - 1)
    return some[some & mask == 0], other[other & mask == 0]


def _low_zeros(digests: Digests) -> int:
    """The greatest power of two that divides all digests, as far as samples go; 1 for those of all rows."""
    together = int(np.bitwise_or.reduce(digests)) if digests.size else 0
    return together & -together or 1
