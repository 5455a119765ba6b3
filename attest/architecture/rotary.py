"""Rotary positions: the order of rows inside a head of queries and keys, which differs between containers.

A rotary embedding turns pairs of rows of a head. Hugging Face's decoders pair row i with row i + d/2 (``halves``), Meta's
and GGUF's Llama row 2i with row 2i + 1 (``in-turn``); converters permute rows, and so nothing but their order differs.
Norms and standard deviations of heads do not depend on it; digests and inner products do.

References
----------
Su et al., "RoFormer: Enhanced Transformer with Rotary Position Embedding", 2021, equation 34 (pairs in turn).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["halves_from_in_turn"]


def halves_from_in_turn(n_heads: int, d_head: int, *, d_rotary: int | None = None) -> NDArray[np.int64]:
    """Order in which rows ``in-turn`` are to be taken, so that they are ``halves``.

    Parameters
    ----------
    n_heads, d_head : int
        Heads of this matrix, and rows of each.
    d_rotary : int, optional
        Rows of each head that are turned, the first ones; all by default. Even.

    Returns
    -------
    ndarray of shape (n_heads * d_head,), int64
        ``halves = in_turn[order]``, for the rows of a matrix or the entries of a bias; its ``argsort`` goes the other way.
    """
    turned = d_head if d_rotary is None else d_rotary
    if turned % 2 or not 0 <= turned <= d_head:
        raise ValueError(f"{turned} rows of {d_head} cannot be paired")
    head = np.concatenate([np.arange(0, turned, 2), np.arange(1, turned, 2), np.arange(turned, d_head)])
    order: NDArray[np.int64] = (np.arange(n_heads)[:, None] * d_head + head).ravel()
    return order
