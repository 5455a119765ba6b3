"""``residual-sketch/v1``: the residual stream at fixed places of the prompts, on public random directions.

For the state h of a layer at a place, the 128 numbers y = h S, where S has public signs, a row for each dimension; kept
as integers of 8 bits with the scale of each place. Inner products of sketches estimate those of states, which is what
linear CKA is made of. It does not show where weights come from: unrelated networks reach high CKA.

References
----------
Kornblith, Norouzi, Lee, Hinton, "Similarity of Neural Network Representations Revisited", ICML 2019 (linear CKA).
Johnson and Lindenstrauss, 1984 (inner products under random projection).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import ActivationFingerprint, Arrays, Observed, Plan, Seen, public_signs
from attest.activation.places import table_of_places

__all__ = ["LEAST_PLACES", "RESIDUAL_SKETCH", "SKETCH_WIDTH"]

SKETCH_WIDTH = 128
LEAST_PLACES = 16
_STEPS = 127


class _Sketch:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._positions = table_of_places(plan.places)
        self._signs: NDArray[np.float64] | None = None
        self._seen: dict[int, list[NDArray[np.float64]]] = {}

    def watch(self, seen: Seen) -> None:
        if self._signs is None:
            self._signs = public_signs(RESIDUAL_SKETCH.id, (seen.values.shape[1], SKETCH_WIDTH))
        tokens = list(self._plan.places[seen.sequence].tokens)
        sketch = seen.values[tokens].astype(np.float64) @ self._signs
        self._seen.setdefault(seen.layer, []).append(sketch)

    def held(self) -> Arrays:
        return {str(layer): np.concatenate(sketches) for layer, sketches in self._seen.items()}

    def take_up(self, held: Arrays) -> None:
        self._seen = {int(layer): [sketches] for layer, sketches in held.items()}

    def result(self) -> Observed:
        if len(self._positions) < LEAST_PLACES:
            return Observed(arrays={}, not_measured=f"the prompts have fewer than {LEAST_PLACES} places to look at")
        sketch = np.array([np.concatenate(self._seen[layer]) for layer in sorted(self._seen)])
        scale = np.abs(sketch).max(axis=2) / _STEPS
        steps = np.rint(sketch / np.where(scale > 0, scale, 1.0)[:, :, None])
        return Observed(
            arrays={
                "positions": self._positions,
                "scale": scale.astype(np.float32),
                "sketch": steps.astype(np.int8),
            }
        )


RESIDUAL_SKETCH = ActivationFingerprint(id="residual-sketch/v1", kinds=frozenset({"state"}), observe=_Sketch)
