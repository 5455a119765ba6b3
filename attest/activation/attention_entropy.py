"""``attention-entropy/v1``: over how many tokens each attention head spreads, as entropy in nats.

For each head the mean over all query tokens of - sum p ln p, where p are the probabilities of the keys. It does not
show where weights come from: heads of one depth in unrelated networks have similar entropies.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import ActivationFingerprint, Arrays, Observed, Plan, Seen
from attest.document import decimal
from attest.evidence import Table

__all__ = ["ATTENTION_ENTROPY"]

_TINY = np.float32(1e-37)
"""Stands for 0, whose logarithm is multiplied with 0."""


class _Entropy:
    def __init__(self, plan: Plan) -> None:
        self._tokens = plan.tokens
        self._sums: dict[int, NDArray[np.float64]] = {}

    def watch(self, seen: Seen) -> None:
        logarithms = np.maximum(seen.values, _TINY)
        np.log(logarithms, out=logarithms)
        entropy = -np.einsum("hqk,hqk->hq", seen.values, logarithms).sum(axis=1, dtype=np.float64)
        self._sums[seen.layer] = self._sums.get(seen.layer, np.zeros_like(entropy)) + entropy

    def held(self) -> Arrays:
        return {str(layer): sums for layer, sums in self._sums.items()}

    def take_up(self, held: Arrays) -> None:
        self._sums = {int(layer): sums for layer, sums in held.items()}

    def result(self) -> Observed:
        if not self._sums or len({one.size for one in self._sums.values()}) > 1:
            return Observed(
                arrays={}, not_measured="the network gives no attention probabilities of one number of heads"
            )
        entropy = np.array([self._sums[layer] for layer in sorted(self._sums)]) / self._tokens
        if not np.isfinite(entropy).all():
            return Observed(arrays={}, not_measured="attention probabilities of the network are not finite numbers")
        return Observed(arrays={"entropy": entropy.astype(np.float32)})


def _table(arrays: Arrays) -> Table | None:
    if "entropy" not in arrays:
        return None
    rows = tuple(
        (str(layer), *(decimal(float(value)) for value in (row.mean(), row.min(), row.max())))
        for layer, row in enumerate(arrays["entropy"].astype(np.float64))
    )
    return Table(columns=("layer", "mean", "least", "greatest"), rows=rows)


ATTENTION_ENTROPY = ActivationFingerprint(
    id="attention-entropy/v1", kinds=frozenset({"attention"}), observe=_Entropy, table=_table
)
