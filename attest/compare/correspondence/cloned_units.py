"""Units that were grown out of fewer: copies of one unit, at places that follow from its own.

Who grows a network out of a small one of his own (Net2Net, HyperCloning) repeats its units, one behind the other or all
of them over again. In two such networks, trained apart, every accident of correspondence counts once a copy. Exchanging
the copies of a unit together keeps the test exact, since a small network that was relabeled before it was grown is as
likely as before.

References
----------
Chen, Goodfellow and Shlens, "Net2Net: Accelerating Learning via Knowledge Transfer", ICLR 2016. Samragh et al., "Scaling
Smart: Accelerating Large Language Model Pre-training with Small Model Initialization", 2024 (HyperCloning).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.permutation import Pairing

__all__ = ["Copies", "find_copies"]

Value = TypeVar("Value", np.float32, np.float64)

_MOST_COPIES = 16
_LEAST_UNITS = 20
"""Of fewer units nothing can be said: k copies raise the variance k times at most, and chance allows for as much."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Copies:
    """How units were repeated: ``count`` times, ``adjacent`` to each other or all of them over again."""

    count: int
    adjacent: bool

    def joined(self, one: Pairing) -> Pairing:
        """The pairing whose units are the copies of a unit together."""
        n_units = one.x.shape[0] // self.count
        x, y = (self._apart(side).reshape(n_units, -1) for side in (one.x, one.y))
        return Pairing(layer=one.layer, x=x, y=y)

    def _apart(self, values: NDArray[Value]) -> NDArray[Value]:
        """Values of shape (n_units, n_copies, n_features)."""
        if self.adjacent:
            return values.reshape(-1, self.count, values.shape[1])
        return values.reshape(self.count, -1, values.shape[1]).transpose(1, 0, 2)

    def correlations(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Inner products of the copies, over all units, shape (n_copies, n_copies)."""
        rows = np.ascontiguousarray(self._apart(values).transpose(1, 0, 2)).reshape(self.count, -1)
        products: NDArray[np.float32] = rows @ rows.T
        return products


def find_copies(one: Pairing) -> Copies | None:
    """How both networks repeat their units, if both do.

    Notes
    -----
    Let r_cd be the inner product of the features of copies c and d, over all units, and z the statistic of the pairing.
    If copies are exchanged together, the variance of z is about the sum of both networks' r_cd, over the sum of their r_cc.
    The way that raises it most counts, where it does so by more than a tenth and what chance does, (6 k + 2 k²) / n for k
    copies: of two networks that are related, chance is the same in both, and raises it by k² / n. Where only one
    network repeats its units the other's are exchangeable, and nothing is raised.
    """
    n = one.x.shape[0]
    if n < _LEAST_UNITS:
        return None
    sides = [centered.values.astype(np.float32) for centered in one.centered]
    best, most = None, 1.1
    for count in (count for count in range(2, _MOST_COPIES + 1) if n % count == 0):
        for adjacent in (False, True):
            way = Copies(count=count, adjacent=adjacent)
            mine, theirs = (way.correlations(side).astype(np.float64) for side in sides)
            apart = float(np.sum(np.diag(mine) * np.diag(theirs)))
            raised = float(np.sum(mine * theirs)) / apart if apart > 0 else 1.0
            if raised > 1.05 * most and raised > 1.1 + (6 * count + 2 * count**2) / n:
                best, most = way, raised
    return best
