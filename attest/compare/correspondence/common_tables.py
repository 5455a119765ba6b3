"""Tables of tokens and positions that two networks have in common: they single out residual dimensions by index.

Networks may be built on one public table of embeddings, or on sinusoids that are stored like learned positions. Whoever
trains layers on such a table, each with random numbers of his own, gets dimensions that agree by index: what a dimension
is used for follows from the table.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.digested_rows import ROW_DIGESTS
from attest.evidence import Moments

__all__ = ["common_table"]

_TABLES = ("embed", "lm_head", "positions", "position_table")
_OF_POSITIONS = frozenset({"positions", "position_table"})
_NEARLY = 0.01
_LEAST_ROWS = 16
_MOST = 0.5

Digests = NDArray[np.uint64]


def common_table(a: Fingerprints, b: Fingerprints) -> str | None:
    """Role of a table of a that is one of b's byte for byte, or has most rows of the smaller of the two in common with it.

    Notes
    -----
    Sinusoids for positions are one table whatever their scale and length, and are told by their moments: see
    ``_holds_sinusoids``.

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
    return "positions" if _holds_sinusoids(a) and _holds_sinusoids(b) else None


def _holds_sinusoids(one: Fingerprints) -> bool:
    """Whether a table of positions is made of sines and cosines in pairs, whatever it is called.

    The squares of such a pair sum to 1, so their mean is half the square of the largest value, which the first cosine has.
    Of normal values it is a tenth or less, of uniform ones a third, of signs all of it.
    """
    return any(row.role in _OF_POSITIONS and row.moments is not None and _is_half(row.moments) for row in one.tensors)


def _is_half(moments: Moments) -> bool:
    if moments.nans or moments.infinities:
        return False
    peak = max(abs(float(value or 0)) for value in (moments.minimum, moments.maximum))
    return abs(float(moments.mean) ** 2 + float(moments.std) ** 2 - peak**2 / 2) < _NEARLY * peak**2


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
