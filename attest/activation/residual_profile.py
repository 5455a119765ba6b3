"""``activation-profile/v1``: how large the residual stream is, layer by layer and dimension by dimension.

For the hidden state h of layer l over all T tokens of all sequences: rms = sqrt(mean of h**2), mean_abs = mean of |h|,
accumulated in float64. It does not show where weights come from: profiles of unrelated networks look alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import ActivationFingerprint, Arrays, Observed, Plan, Seen
from attest.document import decimal
from attest.errors import CheckpointError
from attest.evidence import Table

__all__ = ["ACTIVATION_PROFILE"]


class _Profile:
    """Sums over all tokens for every layer: of squares, and behind it of magnitudes by dimension."""

    def __init__(self, plan: Plan) -> None:
        self._tokens = plan.tokens
        self._sums: dict[int, NDArray[np.float64]] = {}

    def watch(self, seen: Seen) -> None:
        values = seen.values.astype(np.float64)
        squares = float(np.vdot(values, values))
        if not np.isfinite(squares):
            raise CheckpointError(
                "not-finite",
                f"activations of layer {seen.layer} are not finite numbers, so there is nothing to compare",
                fix="leave --activations out",
                where="config.json",
            )
        sums = np.append(squares, np.abs(values, out=values).sum(axis=0))
        self._sums[seen.layer] = self._sums.get(seen.layer, 0.0) + sums

    def held(self) -> Arrays:
        return {str(layer): sums for layer, sums in self._sums.items()}

    def take_up(self, held: Arrays) -> None:
        self._sums = {int(layer): sums for layer, sums in held.items()}

    def result(self) -> Observed:
        sums = np.array([self._sums[layer] for layer in sorted(self._sums)])
        squares, magnitudes = sums[:, 0], np.ascontiguousarray(sums[:, 1:])
        count = self._tokens * magnitudes.shape[1]
        return Observed(
            arrays={
                "mean_abs": (magnitudes / self._tokens).astype(np.float32),
                "layer_rms": np.sqrt(squares / count),
                "layer_mean_abs": magnitudes.sum(axis=1) / count,
            }
        )


def _table(arrays: Arrays) -> Table:
    pairs = zip(arrays["layer_rms"].tolist(), arrays["layer_mean_abs"].tolist(), strict=True)
    rows = tuple((str(layer), decimal(rms, 9), decimal(mean_abs, 9)) for layer, (rms, mean_abs) in enumerate(pairs))
    return Table(columns=("layer", "rms", "mean_abs"), rows=rows)


ACTIVATION_PROFILE = ActivationFingerprint(
    id="activation-profile/v1", kinds=frozenset({"state"}), observe=_Profile, table=_table
)
