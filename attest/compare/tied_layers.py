"""Layers of a network that list their units in one order: shared, repeated, or grown out of each other.

Weight sharing (ALBERT), depth up-scaling and training by stacking leave a network whose layers are alike, unit by unit.
In two such networks, trained apart, what two layers say by index is then not independent: chance counts several times.
Exchanging the units of such layers together keeps the test exact, since a network that was relabeled in all of them at
once is as likely as before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.permutation import Pairing

__all__ = ["tied_layers"]

_MAX_UNITS = 4096
"""Units of a layer that the correlation is taken of, evenly spaced."""


def tied_layers(pairings: Sequence[Pairing]) -> list[list[int]]:
    """Positions of pairings, in groups whose units must be exchanged together; most often each is a group.

    Notes
    -----
    If one random order were taken for all layers, the statistics of layers l and m would have the covariance
    tr((X_l'X_m)(Y_m'Y_l)) / (n - 1), which is large only where the two are alike in both networks. Layers of one shape
    are tied where these covariances would raise the variance of the sum of z by more than a tenth and what chance does, 6 / n.
    """
    shapes: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for place, one in enumerate(pairings):
        shapes.setdefault((one.x.shape, one.y.shape), []).append(place)
    groups = []
    for places in shapes.values():
        members = [pairings[place] for place in places]
        n = members[0].x.shape[0]
        tied = len(members) > 1 and n > 1 and _raised(members) > 1.1 + 6 / n
        groups += [places] if tied else [[place] for place in places]
    return sorted(groups)


def _raised(pairings: Sequence[Pairing]) -> float:
    """Variance of the layers' summed z under one order for all of them, in that under an order for each."""
    products = _products([one.x for one in pairings]) * _products([one.y for one in pairings])
    n, width = len(pairings), pairings[0].x.shape[1]
    covariance = products.reshape(n, width, n, width).sum(axis=(1, 3), dtype=np.float64)
    spread = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    varied = spread > 0
    if not varied.any():
        return 1.0
    correlation = covariance[varied][:, varied] / np.outer(spread[varied], spread[varied])
    return float(correlation.sum() / np.count_nonzero(varied))


def _products(layers: Sequence[NDArray[np.float64]]) -> NDArray[np.float32]:
    """Inner products of all layers' features, shape (n_layers * n_features,) twice."""
    step = -(-layers[0].shape[0] // _MAX_UNITS)
    units = np.hstack([layer[::step] for layer in layers])
    units -= units.mean(axis=0)
    narrow = (units / (float(np.abs(units).max()) or 1.0)).astype(np.float32)
    products: NDArray[np.float32] = narrow.T @ narrow
    return products
