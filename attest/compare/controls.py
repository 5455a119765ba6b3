"""Controls: every test once more where the answer is known, so that a reader sees that it can say yes and no.

A network against itself must correspond: how far it does is the most that the test could have seen. A network against
itself with its units in a random order must not, and neither must a layer against the next one, whose units have
nothing to do with its own. Where the next layer corresponds in both networks, something singles units out by index,
such as one criterion by which both were sorted, and the test proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from attest.compare.correspondence.permutation import Centered, Pairing, signed_digits
from attest.compare.matching.partners import public_order
from attest.comparison import Control, ControlKind

__all__ = ["combined_control", "exact_controls", "share_controls"]

Side = Literal["a", "b"]


def share_controls(test_id: str, shares: Mapping[ControlKind, Sequence[float]]) -> tuple[Control, ...]:
    """Controls of a test that gives shares: the mean over pairs of layers, of both networks together."""
    return tuple(
        _control(test_id, kind, "a-b", sum(found) / len(found), found) for kind, found in shares.items() if found
    )


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


def combined_control(
    test_id: str, kind: ControlKind, of: Literal["a", "b", "a-b"], found: Iterable[float | None]
) -> Control | None:
    """Stouffer's z over the pairings that vary; None where none does."""
    zs = [z for z in found if z is not None]
    return _control(test_id, kind, of, sum(zs) / math.sqrt(len(zs)), zs) if zs else None


def _control(
    test_id: str, kind: ControlKind, of: Literal["a", "b", "a-b"], statistic: float, found: Sequence[float]
) -> Control:
    return Control(
        test=test_id,
        kind=kind,
        of=of,
        n=len(found),
        statistic=signed_digits(statistic),
        median=signed_digits(median(found)),
        greatest=signed_digits(max(found, key=abs)),
    )
