"""Controls: every test once more where the answer is known, so that a reader sees that it can say yes and no.

A network against itself must correspond: how far it does is the most that the test could have seen. A network against
itself with its units in a random order must not, and neither must a layer against the next one, whose units have
nothing to do with its own. Where the next layer corresponds in both networks, something singles units out by index,
such as one criterion by which both were sorted, and the test proves nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import Literal

from attest.compare.digits import signed_digits
from attest.comparison import Control, ControlKind

__all__ = ["Side", "combined_control", "share_controls"]

Side = Literal["a", "b"]


def share_controls(test_id: str, shares: Mapping[ControlKind, Sequence[float]]) -> tuple[Control, ...]:
    """Controls of a test that gives shares: the mean over pairs of layers, of both networks together."""
    return tuple(
        _control(test_id, kind, "a-b", sum(found) / len(found), found) for kind, found in shares.items() if found
    )


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
