"""Layers of a network that list their units in one order: shared, repeated, or grown out of each other.

Weight sharing (ALBERT), depth up-scaling and training by stacking leave a network whose layers are alike, unit by unit.
In two such networks, trained apart, what two layers say by index is then not independent: chance counts several times.
Exchanging the units of such layers together keeps the test exact, since a network that was relabeled in all of them at
once is as likely as before.

Layers are alike, too, where one formula stands in all of them, as identity matrices with noise do that networks may begin
with. Then two networks agree in the formula, whoever trained them, and no next layer is left that could show it. So what
tied layers have in common is taken out of them, and only what each has of its own is compared.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.permutation import Pairing

__all__ = ["of_their_own", "tied_layers"]

_NOTHING = 1e-6
"""Share of a layer's norm below which what it has of its own is rounding."""


def tied_layers(pairings: Sequence[Pairing]) -> list[list[int]]:
    """Positions of pairings, in groups whose units must be exchanged together; most often each is a group.

    Notes
    -----
    Let r_lm be the correlation of the features of layers l and m of one network, unit by unit. If one random order were
    taken for all layers, the statistics of l and m would be correlated by about the product of both networks' r_lm.
    Layers of one shape are tied where that would raise the variance of the sum of z by more than a tenth and what chance
    does, 6 / n.
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


def of_their_own(pairings: Sequence[Pairing], tied: Sequence[Sequence[int]]) -> list[Pairing]:
    """The pairings, those of tied layers without what these have in common.

    Notes
    -----
    Of each feature of a layer its regression on the mean of the tied layers is taken off, so a formula may stand in them at
    any scale. That looks at one network at a time and goes with every order of its units, so the test stays exact. Where in
    one of the two nothing is left, as in layers that are one and the same, the pairings stay as they are.
    """
    own = list(pairings)
    for places in tied:
        if len(places) > 1:
            mine, theirs = (_without_common([pairings[at].centered[side].values for at in places]) for side in (0, 1))
            if mine is not None and theirs is not None:
                for at, x, y in zip(places, mine, theirs, strict=True):
                    own[at] = Pairing(layer=pairings[at].layer, x=x, y=y)
    return own


def _without_common(layers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64] | None:
    """Centered features, shape (n_layers, n_units, n_features), less what follows their mean; None where nothing is left."""
    features = np.stack(layers)
    common = features.mean(axis=0)
    squares = np.sum(common**2, axis=0)
    scales = np.einsum("lij,ij->lj", features, common) / np.where(squares > 0, squares, 1.0)
    own: NDArray[np.float64] = features - scales[:, None, :] * common
    return own if np.linalg.norm(own) > _NOTHING * np.linalg.norm(features) else None


def _raised(pairings: Sequence[Pairing]) -> float:
    """Variance of the layers' summed z under one order for all of them, in that under an order for each."""
    mine, theirs = (_correlations([one.centered[side].values for one in pairings]) for side in (0, 1))
    return float(np.sum(mine * theirs)) / len(pairings)


def _correlations(layers: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """Correlation of every centered layer with every other, unit by unit, shape (n_layers, n_layers)."""
    rows = np.stack([_unit(layer) for layer in layers])
    correlations: NDArray[np.float64] = (rows @ rows.T).astype(np.float64)
    return correlations


def _unit(features: NDArray[np.float64]) -> NDArray[np.float32]:
    """All features in a row of length 1, or zeros."""
    norm = float(np.linalg.norm(features))
    return (features.ravel() / (norm or 1.0)).astype(np.float32)
