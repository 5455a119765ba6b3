"""``huref-invariants/v1``: the invariant terms of HuRef between common tokens; published, for comparison only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.compare.weights.shared_tokens import shared_tokens
from attest.document import decimal

__all__ = ["invariant_terms"]

_ID = "huref-invariants/v1"
_TOKENS = 512
_LAYERS = 2
_ROLES = ("q", "k", "v", "o", "up", "down")

Floats = NDArray[np.float32]


def invariant_terms(_a: Fingerprints, _b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Mean correlation of X Wq' Wk X', X Wv' Wo' X' and X Wu' Wd' X' of the last two layers, X the embeddings.

    Notes
    -----
    X are the embeddings of at most 512 common tokens as they are, evenly spaced in order of text; its authors take the
    4,096 rarest of a corpus, which is not at hand. Where queries share keys, keys and values are repeated. Neither a
    permutation or rotation of the residual stream nor one of the hidden neurons changes a term; new embeddings and
    rescaled or heavily retrained ones do. Descriptive: terms of networks trained apart may correlate, through frequent
    words above all.

    References
    ----------
    Zeng et al., "HuRef: HUman-REadable Fingerprint for Large Language Models", NeurIPS 2024, section 4 (terms, and their
    cosine after standardization, ICS).
    """
    first, second = in_both(weights)
    rows = shared_tokens(first, second, _TOKENS)
    if isinstance(rows, str):
        return not_run(rows, _ID)
    values = [
        _correlate(x, y)
        for x, y in zip(_terms(first, rows[:, 0]), _terms(second, rows[:, 1]), strict=True)
        if x is not None and y is not None
    ]
    if not values:
        return not_run("no term has its matrices in both", _ID)
    test = descriptive(
        _ID,
        float(decimal(sum(values) / len(values), 4)),
        len(values),
        f"mean correlation of {len(values)} products of weights between {len(rows)} common tokens, of the last"
        f" {_LAYERS} layers; networks trained apart may reach high values, so it is no evidence by itself",
    )
    return Outcome(tests=(test,))


def _terms(one: RoleWeights, rows: NDArray[np.int64]) -> Iterator[Floats | None]:
    """Three terms of each layer, the last layer first."""
    tokens = one.rows("embed", None, rows)
    n_heads, groups = one.model.n_heads or 1, one.model.n_kv_heads or 1
    for layer in range(one.layers - 1, one.layers - 1 - _LAYERS, -1):
        sides = {role: _on_tokens(one.matrix(role, layer), tokens, written=role in {"o", "down"}) for role in _ROLES}
        for role in ("k", "v"):
            sides[role] = _repeated(sides[role], groups, n_heads // groups)
        for left, right in (("q", "k"), ("v", "o"), ("up", "down")):
            x, y = sides[left], sides[right]
            yield None if x is None or y is None or x.shape[1] != y.shape[1] else x @ y.T


def _on_tokens(matrix: Floats | None, tokens: Floats | None, *, written: bool) -> Floats | None:
    """What a matrix reads of each token, or has to do with writing it, of shape (n_tokens, n_units)."""
    if matrix is None or tokens is None:
        return None
    units = matrix.T if written else matrix
    return tokens @ units.T if units.shape[1] == tokens.shape[1] else None


def _repeated(side: Floats | None, groups: int, times: int) -> Floats | None:
    """Keys or values once for each query head that uses them."""
    if side is None or side.shape[1] % groups:
        return side
    return np.repeat(side.reshape(len(side), groups, -1), times, axis=1).reshape(len(side), -1)


def _correlate(x: Floats, y: Floats) -> float:
    u, v = (one.astype(np.float64) - float(one.mean(dtype=np.float64)) for one in (x, y))
    scale = float(np.sqrt(np.sum(u * u) * np.sum(v * v)))
    return float(np.sum(u * v)) / scale if scale > 0 else 0.0
