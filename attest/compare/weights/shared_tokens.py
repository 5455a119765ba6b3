"""Tokens that two networks have in common, by their text, and the embeddings of these: what tells directions apart."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.role_weights import RoleWeights
from attest.errors import DocumentError
from attest.fingerprint.anchors import read_tokens

__all__ = ["LEAST_TOKENS", "centered_embeddings", "shared_tokens", "whitened_embeddings"]

_RIDGE = 1e-3
LEAST_TOKENS = 64
"""Fewer say too little of a residual stream."""


def shared_tokens(first: RoleWeights, second: RoleWeights, most: int) -> NDArray[np.int64] | str:
    """Rows of the embeddings that stand for the same tokens, of shape (n, 2); or why there are too few.

    Notes
    -----
    Paired by text where both have a tokenizer, in order of text, else by row; of more than ``most`` pairs evenly spaced
    ones are taken.
    """
    shapes = [one.shape("embed", None) for one in (first, second)]
    if shapes[0] is None or shapes[1] is None:
        return "not both have an embedding of floating-point values that was recognized"
    if any(shape[1] != one.model.d_model for one, shape in zip((first, second), shapes, strict=True) if shape):
        return "the embeddings of one of the two are not as wide as its residual stream"
    sizes = (shapes[0][0], shapes[1][0])
    try:
        texts = [read_tokens(one.model.checkpoint)[0] for one in (first, second)]
    except DocumentError:
        texts = [{}, {}]
    if all(texts):
        pairs = [(texts[0][text], texts[1][text]) for text in sorted(texts[0].keys() & texts[1].keys())]
        rows = np.array([pair for pair in pairs if pair[0] < sizes[0] and pair[1] < sizes[1]], np.int64).reshape(-1, 2)
    else:
        rows = np.repeat(np.arange(min(sizes), dtype=np.int64)[:, None], 2, axis=1)
    if len(rows) < LEAST_TOKENS:
        return f"fewer than {LEAST_TOKENS} tokens are known to be the same"
    count = min(len(rows), most)
    return rows[np.arange(count, dtype=np.int64) * len(rows) // count]


def centered_embeddings(one: RoleWeights, rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Embeddings of some tokens less their mean, of shape (n, d_model)."""
    values = one.rows("embed", None, rows)
    if values is None:
        raise ValueError("has no embedding")
    centered: NDArray[np.float64] = values.astype(np.float64)
    centered -= centered.mean(axis=0)
    return centered


def whitened_embeddings(one: RoleWeights, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Embeddings of some tokens, made as different from each other as they can be, of shape (n, d_model).

    Notes
    -----
    (E E' + r I)^(-1/2) E, where E are the centered embeddings, each of unit length, and r is a thousandth of the greatest
    eigenvalue of E E'. Embeddings have a few directions in common, in which all that is measured against them would look
    alike.
    """
    embeddings = centered_embeddings(one, rows)
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = np.divide(embeddings, norms, out=np.zeros_like(embeddings), where=norms > 0)
    values, vectors = np.linalg.eigh(units @ units.T)
    scale = 1 / np.sqrt(np.maximum(values, 0.0) + _RIDGE * max(float(values[-1]), 1e-300))
    whitened: NDArray[np.float32] = ((vectors * scale) @ (vectors.T @ units)).astype(np.float32)
    return whitened
