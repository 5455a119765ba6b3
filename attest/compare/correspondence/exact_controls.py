"""Controls of a permutation test, in closed form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.controls import Side, combined_control
from attest.compare.correspondence.permutation import Centered, Pairing
from attest.compare.resampling import public_order
from attest.comparison import Control

__all__ = ["exact_controls"]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Units:
    """Units of one network in one layer, or in layers that are exchanged together; ``kept`` masks those not left out."""

    layer: int
    kept: NDArray[np.bool_]
    centered: Centered

    def shuffled_z(self, seed: str) -> float | None:
        """Z of the pairing with the same units in a public random order."""
        values = self.centered.values
        order = public_order(len(values), f"{seed} {self.layer}")
        return self.centered.z(Centered(values=np.take(values, order, axis=0), products=self.centered.products))

    def faces(self, other: _Units) -> bool:
        """Whether unit i of one stands beside unit i of the other, with as many features."""
        alike = self.centered.values.shape == other.centered.values.shape
        return alike and np.array_equal(self.kept, other.kept)


def exact_controls(
    test_id: str, pairings: Sequence[Pairing], masks: Sequence[NDArray[np.bool_]], *, tree_digests: Mapping[Side, str]
) -> tuple[Control, ...]:
    """Controls of a permutation test in closed form; nothing is resampled.

    Parameters
    ----------
    test_id : str
    pairings : sequence of Pairing
        As they are tested: ``x`` of a, ``y`` of b.
    masks : sequence of ndarray of bool
        Which units of its layer each pairing has.
    tree_digests : mapping of side to str
        Fix the orders of the shuffled sides.

    Notes
    -----
    Against itself, n units with m features have a z from sqrt(n - 1) to sqrt((n - 1) m) in every layer, whatever the
    network is: nothing but few units keeps a test from seeing. An axis that all layers share has no other layer.
    """
    tested = [(one, mask) for one, mask in zip(pairings, masks, strict=True) if one.x.shape[0] > 1]
    sides: dict[Side, list[_Units]] = {
        "a": [_Units(layer=one.layer, kept=mask, centered=one.centered[0]) for one, mask in tested],
        "b": [_Units(layer=one.layer, kept=mask, centered=one.centered[1]) for one, mask in tested],
    }
    found = []
    for side, units in sides.items():
        found.append(combined_control(test_id, "itself", side, (one.centered.z(one.centered) for one in units)))
    for side, units in sides.items():
        seed = f"{test_id} {tree_digests[side]} shuffled"
        found.append(combined_control(test_id, "shuffled", side, (one.shuffled_z(seed) for one in units)))
    found += [combined_control(test_id, "other-layers", side, _next(units, units)) for side, units in sides.items()]
    across = (*_next(sides["a"], sides["b"]), *_next(sides["b"], sides["a"]))
    found.append(combined_control(test_id, "other-layers", "a-b", across))
    return tuple(one for one in found if one is not None)


def _next(these: Sequence[_Units], others: Sequence[_Units]) -> list[float | None]:
    """Each layer of one network beside the next layer of the same or the other, where they are equally wide."""
    pairs = zip(these[:-1], others[1:], strict=True)
    return [one.centered.z(other.centered) for one, other in pairs if one.faces(other)]
