"""What one test on a pair gives: results, and the parts that could not be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from attest.architecture import Model
from attest.compare.fingerprints import Fingerprints
from attest.comparison import Control, Found, NotCompared, Test

__all__ = ["Outcome", "PairTest", "WeightTest", "left_out", "not_run", "shared_layers", "unlike_widths"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """Results of one test, its controls, what it found where, and what was left out of it."""

    tests: tuple[Test, ...] = ()
    controls: tuple[Control, ...] = ()
    found: tuple[Found, ...] = ()
    not_compared: tuple[NotCompared, ...] = ()


PairTest: TypeAlias = Callable[[Fingerprints, Fingerprints], Outcome]
WeightTest: TypeAlias = Callable[[Fingerprints, Fingerprints, tuple[Model, Model]], Outcome]


def not_run(reason: str, *test_ids: str) -> Outcome:
    """Of tests that cannot be run, one reason."""
    return Outcome(not_compared=tuple(NotCompared(id=name, reason=reason) for name in test_ids))


def left_out(test_id: str, *reasons: str) -> tuple[NotCompared, ...]:
    """Entries for what a test left out."""
    return tuple(NotCompared(id=test_id, reason=reason) for reason in reasons)


def shared_layers(a: Fingerprints, b: Fingerprints) -> tuple[range, tuple[str, ...]]:
    """Layers that both have, paired by index, and what that leaves out."""
    shared = min(a.side.layers, b.side.layers)
    if a.side.layers == b.side.layers:
        return range(shared), ()
    reason = f"layers from {shared} on: one has {a.side.layers} layers, the other {b.side.layers}; paired by index"
    return range(shared), (reason,)


def unlike_widths(a: Fingerprints, b: Fingerprints) -> str | None:
    """Why sketches on axes of the residual stream cannot be compared; None where the streams are as wide as each other."""
    if a.architecture.d_model == b.architecture.d_model:
        return None
    return f"hidden sizes differ ({a.architecture.d_model} and {b.architecture.d_model}): sketches have no common axes"
