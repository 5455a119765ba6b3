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
    """Sums over all tokens, of squares and of magnitudes by dimension, for every layer."""

    def __init__(self, plan: Plan) -> None:
        self._tokens = plan.tokens
        self._squares: dict[int, float] = {}
        self._magnitudes: dict[int, NDArray[np.float64]] = {}

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
        self._squares[seen.layer] = self._squares.get(seen.layer, 0.0) + squares
        magnitudes = np.abs(values, out=values).sum(axis=0)
        self._magnitudes[seen.layer] = self._magnitudes.get(seen.layer, np.zeros_like(magnitudes)) + magnitudes

    def result(self) -> Observed:
        layers = sorted(self._squares)
        magnitudes = np.array([self._magnitudes[layer] for layer in layers])
        count = self._tokens * magnitudes.shape[1]
        squares = np.array([self._squares[layer] for layer in layers])
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
