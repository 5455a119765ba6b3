"""What a run had got to, kept in a file now and then: a run that was killed goes on from there, to the same bits.

Nothing in the file is executed: it is a digest and arrays. Whoever can write to it can put numbers in it, so its folder
must be the user's own, and evidence says that a run was resumed. Verifying and reproducing never read one.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.activation.observer import Arrays
from attest.checkpoint.sealed import read_sealed, write_sealed

__all__ = ["Snapshot", "Snapshots"]

_MOST_BYTES = 8 * 1024**3
_STEPS = "steps"
_STATE = "state"
_SEPARATOR = " "


@dataclass(frozen=True, kw_only=True, slots=True)
class Snapshot:
    """What a run had got to.

    Parameters
    ----------
    steps : int
        Sequences that were run, or of a streamed run blocks.
    held : mapping of str to mapping
        What the observer of each fingerprint holds, by its id.
    states : sequence of ndarray of shape (n_tokens, d_model), float32
        Of a streamed run the residual stream of every sequence after the last block.
    """

    steps: int
    held: Mapping[str, Arrays]
    states: Sequence[NDArray[np.float32]] = ()


class Snapshots:
    """The file of a run's last snapshot.

    Parameters
    ----------
    path : Path or None
        None keeps nothing.
    bound_to : str
        Digest of all that the numbers follow from; a snapshot of anything else is not seen.
    seconds : float
        Least time between two, so that keeping costs little.
    """

    def __init__(self, path: Path | None, bound_to: str, seconds: float) -> None:
        self._path = path
        self._bound_to = bound_to
        self._seconds = seconds
        self._kept_at = time.monotonic()

    def last(self) -> Snapshot | None:
        """The last one; None where there is none, or it is damaged or of another run."""
        if self._path is None:
            return None
        arrays = read_sealed(self._path, max_bytes=_MOST_BYTES) or {}
        steps = arrays.pop(f"{_STEPS}{_SEPARATOR}{self._bound_to}", None)
        if steps is None:
            return None
        held: dict[str, dict[str, NDArray[Any]]] = {}
        for name, array in arrays.items():
            owner, _, own = name.partition(_SEPARATOR)
            held.setdefault(owner, {})[own] = array
        states = held.pop(_STATE, {})
        return Snapshot(steps=int(steps[0]), held=held, states=[states[str(one)] for one in range(len(states))])

    def keep(self, make: Callable[[], Snapshot]) -> None:
        """Write a snapshot, whole or not at all, where it is time."""
        if self._path is None or time.monotonic() - self._kept_at < self._seconds:
            return
        one = make()
        arrays = {f"{_STEPS}{_SEPARATOR}{self._bound_to}": np.array([one.steps], dtype="<i8")}
        for owner, held in (*one.held.items(), (_STATE, {str(place): state for place, state in enumerate(one.states)})):
            arrays |= {f"{owner}{_SEPARATOR}{own}": np.ascontiguousarray(array) for own, array in held.items()}
        write_sealed(self._path, arrays, max_bytes=_MOST_BYTES)
        self._kept_at = time.monotonic()
