"""``awm/v1``: the alignment of weight matrices by Zeng et al.; published, for comparison only."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.assignment import MOST_ROWS, assign
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.compare.weights.shared_tokens import shared_tokens
from attest.comparison import LayerStatistic
from attest.document import decimal

__all__ = ["matrix_alignment"]

_ID = "awm/v1"
_TOKENS = 8192
_DIMENSIONS = 512
_MAX_LAYERS = 256
_ROLES = ("q", "k")

Floats = NDArray[np.float32]


def matrix_alignment(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Mean unbiased CKA of query and key matrices, once the residual dimensions were assigned by the embeddings.

    Notes
    -----
    Dimensions of the narrower network are assigned to those of the wider by the absolute cosines of their embeddings of at
    most 8,192 common tokens, and take their signs. Then unbiased linear CKA between the columns of W_q of both, and of
    W_k; where depths differ, layers are assigned as well. Of more than 512 dimensions evenly spaced ones are taken, which
    its authors do not. A rotation of the residual stream defeats it, and so do new embeddings. Descriptive: its authors
    took the spread of independent networks from 90 pairs; none is assumed here.

    References
    ----------
    Zeng et al., "AWM: a training-free fingerprint for LLMs via the alignment of weight matrices", ICLR 2026. Song et al.,
    "Feature Selection via Dependence Maximization", JMLR 13, 2012 (the unbiased estimator).
    """
    first, second = in_both(weights)
    rows = shared_tokens(first, second, _TOKENS)
    if isinstance(rows, str):
        return not_run(rows, _ID)
    widths = [one.model.d_model or 0 for one in (first, second)]
    swapped = (widths[0], a.side.tree_digest) > (widths[1], b.side.tree_digest)
    narrow, wide = (second, first) if swapped else (first, second)
    if max(widths) > MOST_ROWS // 2 or max(first.layers, second.layers) > _MAX_LAYERS:
        reason = f"a residual stream is wider than {MOST_ROWS // 2}, or there are more than {_MAX_LAYERS} layers"
        return not_run(reason, _ID)
    assigned = _dimensions(narrow, wide, rows[:, ::-1] if swapped else rows)
    if assigned is None:
        return not_run("residual dimensions are too much alike to be assigned", _ID)
    order, signs = assigned
    kept = np.arange(min(order.size, _DIMENSIONS), dtype=np.int64) * order.size // min(order.size, _DIMENSIONS)
    here = _grams(narrow, kept, np.ones(kept.size, np.float32))
    there = _grams(wide, order[kept], signs[kept])
    pairs = _layers(here, there)
    if not pairs:
        return not_run("no layer has queries and keys whose values are read in both", _ID)
    layers = sorted((wide_layer if swapped else layer, value) for layer, wide_layer, value in pairs)
    test = descriptive(
        _ID,
        float(decimal(sum(value for _, value in layers) / len(layers), 4)),
        len(layers),
        "mean CKA of query and key matrices after residual dimensions were assigned by embeddings; small networks trained"
        " apart with one recipe reached 0.45 when this was written, so it is no evidence by itself",
        layers=tuple(
            LayerStatistic(layer=layer, n=kept.size, statistic=signed_digits(float(decimal(value, 4))), z=None)
            for layer, value in layers
        ),
    )
    return Outcome(tests=(test,))


def _dimensions(
    narrow: RoleWeights, wide: RoleWeights, rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], Floats] | None:
    """For each residual dimension of the narrower network the one of the wider, and the sign of their cosine."""
    columns = []
    for side, one in enumerate((narrow, wide)):
        values = one.rows("embed", None, rows[:, side])
        if values is None:
            raise ValueError("has no embedding")
        norms = np.linalg.norm(values, axis=0)
        columns.append(np.divide(values, norms, out=np.zeros_like(values), where=norms > 0))
    cosines = columns[0].T @ columns[1]
    order = assign(np.abs(cosines))
    if order is None:
        return None
    return order, np.where(cosines[np.arange(order.size), order] < 0, np.float32(-1), np.float32(1))


def _grams(one: RoleWeights, dimensions: NDArray[np.int64], signs: Floats) -> dict[int, list[Floats]]:
    """Centered inner products of the matrices' columns, by layer: of queries and of keys."""
    found = {}
    for layer in range(one.layers):
        matrices = [one.matrix(role, layer) for role in _ROLES]
        known = [matrix for matrix in matrices if matrix is not None and matrix.shape[1] == one.model.d_model]
        if len(known) == len(_ROLES):
            found[layer] = [_centered(matrix[:, dimensions].T * signs[:, None]) for matrix in known]
    return found


def _centered(features: Floats) -> Floats:
    """Gram matrix of the rows, centered without bias, of norm 1: inner products of two are unbiased linear CKA."""
    gram = (features @ features.T).astype(np.float64)
    n = len(gram)
    if n < 4:
        return np.zeros((n, n), np.float32)
    np.fill_diagonal(gram, 0.0)
    means = gram.sum(axis=0) / (n - 2)
    means -= means.sum() / (2 * (n - 1))
    gram -= means[:, None] + means
    np.fill_diagonal(gram, 0.0)
    norm = float(np.sqrt(np.sum(gram * gram)))
    unit: Floats = (gram / norm if norm > 0 else gram).astype(np.float32)
    return unit


def _layers(here: dict[int, list[Floats]], there: dict[int, list[Floats]]) -> list[tuple[int, int, float]]:
    """Layers that are compared, with the mean of their CKA: by number, or assigned where the numbers of layers differ."""

    def mean(i: int, j: int) -> float:
        return sum(float(np.vdot(x, y)) for x, y in zip(here[i], there[j], strict=True)) / len(_ROLES)

    if len(here) == len(there):
        return [(layer, layer, mean(layer, layer)) for layer in here if layer in there]
    rows, columns = list(here), list(there)
    values = np.array([[mean(i, j) for j in columns] for i in rows], np.float32).reshape(len(rows), len(columns))
    turned = values if len(rows) <= len(columns) else values.T
    chosen = assign(np.ascontiguousarray(turned))
    if chosen is None:
        return []
    places = [(i, j) if turned is values else (j, i) for i, j in enumerate(chosen.tolist())]
    return [(rows[i], columns[j], float(values[i, j])) for i, j in places]
