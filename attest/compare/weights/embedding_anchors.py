"""``embedding-anchors-correlation/v1``: how alike two networks think words are; published, for comparison only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.role_weights import in_both
from attest.compare.weights.shared_tokens import centered_embeddings, shared_tokens
from attest.document import decimal

__all__ = ["embedding_anchors"]

_ID = "embedding-anchors-correlation/v1"
_TOKENS = 256


def embedding_anchors(_a: Fingerprints, _b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Correlation of the cosines between the embeddings of common tokens, in one network and in the other.

    Notes
    -----
    At most 256 tokens, paired by text, and all pairs of them. Neither a rotation nor another hidden size changes it.
    Descriptive: words that are used alike get embeddings that are alike in any network, so networks trained apart on one
    language agree: of 46 small pairs half had more than 0.5, and the
    greatest 0.97, which is more than a network has with one that was trained on from it.

    References
    ----------
    Cisco, "Model Provenance Kit", 2026 (embedding anchor similarity, with 64 tokens by row, given as (r + 1) / 2).
    """
    first, second = in_both(weights)
    rows = shared_tokens(first, second, _TOKENS)
    if isinstance(rows, str):
        return not_run(rows, _ID)
    x, y = (_cosines(centered_embeddings(one, rows[:, side])) for side, one in enumerate((first, second)))
    x, y = x - x.mean(), y - y.mean()
    scale = float(np.sqrt(np.sum(x * x) * np.sum(y * y)))
    if not scale > 0:
        return not_run("the embeddings do not vary", _ID)
    test = descriptive(
        _ID,
        float(decimal(float(np.sum(x * y)) / scale, 4)),
        len(rows),
        f"correlation of the cosines between the embeddings of {len(rows)} common tokens; words are alike in any network"
        " of one language, so strangers reach high values, and it is no evidence by itself",
    )
    return Outcome(tests=(test,))


def _cosines(embeddings: NDArray[np.float64]) -> NDArray[np.float64]:
    """Cosines of all pairs of rows, each pair once."""
    norms = np.linalg.norm(embeddings, axis=1, keepdims=True)
    units = np.divide(embeddings, norms, out=np.zeros_like(embeddings), where=norms > 0)
    cosines: NDArray[np.float64] = (units @ units.T)[np.triu_indices(len(units), 1)]
    return cosines
