"""``spectrum-correlation/v1``: leading singular values of every projection; published, for comparison only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.document import decimal
from attest.fingerprint.anchored_sketch import sketched_layer_numbers

__all__ = ["leading_singular_values", "projection_spectra"]

_ID = "spectrum-correlation/v1"
_ROLES = ("q", "k", "v", "o", "gate", "up", "down")
_KEPT = 16
_SKETCH = 48
"""Directions that a large matrix is projected to, and the shorter side up to which it is not."""


def projection_spectra(_a: Fingerprints, _b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Mean correlation of the logarithms of leading singular values, role by role.

    Notes
    -----
    Of each of q, k, v, o, gate, up and down in at most 8 layers of the shallower network, paired by relative depth, the 16
    largest singular values over the root of the sum of all squares. A rotation or permutation on either side of a matrix
    changes none; rescaled neurons do. Descriptive: a spectrum follows the recipe and the depth, so networks trained apart
    reach high values.

    References
    ----------
    "GhostSpec", arXiv:2511.06390; "SELF", arXiv:2512.03620 (spectra of products of projections, as fingerprints). Halko,
    Martinsson and Tropp, "Finding Structure with Randomness", SIAM Review 53, 2011 (algorithm 4.4, one iteration).
    """
    first, second = in_both(weights)
    fewest, most = sorted((first.layers, second.layers))
    places = [(layer, round(layer * (most - 1) / max(1, fewest - 1))) for layer in sketched_layer_numbers(fewest)]
    pairs = places if first.layers == fewest else [(j, i) for i, j in places]
    found = {role: _correlate(first, second, role, pairs) for role in _ROLES}
    values = {role: value for role, value in found.items() if value is not None}
    if not values:
        return not_run("no projection has its matrices in two layers of both", _ID)
    each = ", ".join(f"{role} {decimal(value, 3)}" for role, value in values.items())
    test = descriptive(
        _ID,
        float(decimal(sum(values.values()) / len(values), 4)),
        len(pairs),
        f"mean correlation of the logarithms of leading singular values ({each}); spectra follow recipe and depth, so"
        " networks trained apart reach high values, and it is no evidence by itself",
    )
    return Outcome(tests=(test,))


def _correlate(first: RoleWeights, second: RoleWeights, role: str, pairs: Sequence[tuple[int, int]]) -> float | None:
    """Correlation over layers and ranks; None where fewer than two layers have the matrix in both."""
    spectra = []
    for i, j in pairs:
        x, y = first.matrix(role, i), second.matrix(role, j)
        if x is None or y is None:
            continue
        left, right = leading_singular_values(x, _KEPT), leading_singular_values(y, _KEPT)
        both = min(left.size, right.size)
        if both and min(left[both - 1], right[both - 1]) > 0:
            spectra.append((np.log(left[:both]), np.log(right[:both])))
    if len(spectra) < 2:
        return None
    u, v = (np.concatenate([pair[side] for pair in spectra]) for side in (0, 1))
    u, v = u - u.mean(), v - v.mean()
    scale = float(np.sqrt(np.sum(u * u) * np.sum(v * v)))
    return float(np.sum(u * v)) / scale if scale > 0 else None


def leading_singular_values(matrix: NDArray[np.float32], count: int) -> NDArray[np.floating]:
    """The greatest singular values over the root of the sum of all squares, descending; approximate for large matrices.

    Returns
    -------
    ndarray of shape (at most count,), in (0, 1]
        Empty where the matrix is zero.
    """
    total = float(np.sqrt(np.sum(matrix.astype(np.float64) ** 2)))
    if not total > 0:
        return np.empty(0)
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    if wide.shape[0] > 4 * _SKETCH:
        signs = np.random.Generator(np.random.Philox(key=0)).choice([-1.0, 1.0], (wide.shape[1], _SKETCH))
        basis, _ = np.linalg.qr(wide @ signs.astype(np.float32))
        basis, _ = np.linalg.qr(wide @ (wide.T @ basis))
        wide = basis.T @ wide
    product = wide.astype(np.float64) @ wide.astype(np.float64).T
    squares = np.linalg.eigvalsh(product)[::-1][:count]
    values: NDArray[np.floating] = np.sqrt(squares[squares > 0]) / total
    return values
