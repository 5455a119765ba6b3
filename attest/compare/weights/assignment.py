"""Linear sum assignment: every row to a column of its own, so that the sum of similarities is the greatest.

References
----------
Jonker and Volgenant, "A Shortest Augmenting Path Algorithm for Dense and Sparse Linear Assignment Problems", Computing
38, 1987 (augmenting row reduction, then shortest augmenting paths).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["MOST_ROWS", "assign"]

MOST_ROWS = 16_384
"""Rows and columns that are assigned: similarities of as many take a gigabyte."""

_MOST_LOOKS = 200


def assign(similarity: NDArray[np.float32], *, most_looks: int = _MOST_LOOKS) -> NDArray[np.int64] | None:
    """Column of each row in an assignment of the greatest sum.

    Parameters
    ----------
    similarity : ndarray of shape (n_rows, n_columns), float32
        Finite; no more rows than columns, at most ``MOST_ROWS`` of either. Nothing is copied.
    most_looks : int
        How often each similarity is looked at, at the mean, before the search for exchanges is given up.

    Returns
    -------
    ndarray of shape (n_rows,), int64, or None
        All different. Of several assignments with the greatest sum any one, always the same. None where it was
        given up: rows that are much alike can ask for as many looks as there are rows.

    Raises
    ------
    ValueError
        The shape or a value is not as said.

    Notes
    -----
    Where most rows have a nearest column of their own, as in a network and its descendant, one look at every similarity
    suffices; networks trained apart took about 40.
    """
    n_rows, n_columns = similarity.shape
    if n_rows > n_columns or n_columns > MOST_ROWS:
        raise ValueError("more rows than columns, or too many of them")
    if not np.isfinite(similarity).all():
        raise ValueError("a similarity that is not finite has no place in a sum")
    prices = np.zeros(n_columns)
    owner = np.full(n_columns, -1, np.int64)
    column = np.full(n_rows, -1, np.int64)
    sizes = np.array([n_rows, n_columns, most_looks * n_rows * n_columns], np.int64)
    lengths, before, open_ = np.empty(n_columns), np.empty(n_columns, np.int64), np.empty(n_columns, np.int64)
    gains = np.ascontiguousarray(similarity, dtype=np.float32)
    if n_rows:
        _BID(gains, sizes, prices, owner, column)
        _AUGMENT(gains, sizes, prices, owner, column, lengths, before, open_)
    return column if (column >= 0).all() else None


def _bid(similarity: Any, sizes: Any, prices: Any, owner: Any, column: Any) -> None:
    """Give each row its best column at current prices, and raise the price to where the second best is as good.

    Whoever is outbid by a raise bids again, a bounded number of times. Prices of columns without an owner stay 0.
    """
    n_rows, n_columns = sizes[0], sizes[1]
    bids = 0
    for start in range(n_rows):
        row = start
        while row >= 0 and bids < 8 * n_rows:
            bids += 1
            best, second, at = -np.inf, -np.inf, 0
            for j in range(n_columns):
                worth = similarity[row * n_columns + j] - prices[j]
                if worth > best:
                    best, second, at = worth, best, j
                elif worth > second:
                    second = worth
            outbid = owner[at]
            if outbid >= 0 and best <= second:
                break
            prices[at] += best - second
            owner[at], column[row] = row, at
            if outbid >= 0:
                column[outbid] = -1
            row = outbid


def _augment(  # noqa: C901 - one search for a path, on arrays that the caller owns
    similarity: Any, sizes: Any, prices: Any, owner: Any, column: Any, lengths: Any, before: Any, open_: Any
) -> None:
    """Assign each row that is left along the shortest path of exchanges that ends at a free column, while looks last."""
    n_rows, n_columns, looks = sizes[0], sizes[1], sizes[2]
    for start in range(n_rows):
        if column[start] >= 0 or looks <= 0:
            continue
        for j in range(n_columns):
            lengths[j], before[j], open_[j] = np.inf, start, j
        n_open, row, shortest, end = n_columns, start, 0.0, -1
        offset = 0.0
        while end < 0:
            best, at = np.inf, -1
            looks -= n_open
            for place in range(n_open):
                j = open_[place]
                length = shortest + offset + prices[j] - similarity[row * n_columns + j]
                if length < lengths[j]:
                    lengths[j], before[j] = length, row
                if lengths[j] < best or (lengths[j] == best and owner[j] < 0):
                    best, at = lengths[j], place
            j, shortest = open_[at], best
            n_open -= 1
            open_[at], open_[n_open] = open_[n_open], j
            if owner[j] < 0:
                end = j
            else:
                row = owner[j]
                offset = similarity[row * n_columns + j] - prices[j]
        for place in range(n_open, n_columns):
            j = open_[place]
            if j != end:
                prices[j] += shortest - lengths[j]
        j = end
        while j >= 0:
            row = before[j]
            owner[j] = row
            following = column[row]
            column[row] = j
            j = following if row != start else -1


_BID = Kernel(_bid, "float32*", "int64*", "float64*", "int64*", "int64*")
_AUGMENT = Kernel(_augment, "float32*", "int64*", "float64*", "int64*", "int64*", "float64*", "int64*", "int64*")
