"""Collecting from packed weights: the values that codes stand for, made once for all that want to see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed import Packed, Read, open_packed
from attest.errors import CheckpointError
from attest.fingerprint.beside import Beside
from attest.fingerprint.fingerprint import Makers, Results
from attest.sweep import Accumulator, row_shape

__all__ = ["OfValues", "Unpacked", "UnpackingAccumulator", "can_be_unpacked", "make_accumulators", "unpacked"]

_NAME = "unpacked"
_AT_ONCE = 1 << 18
"""Values that are made at once, if a unit of the codes does not make more: a megabyte stays in a core's cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OfValues:
    """The maker of an accumulator that sees values, float32, in place of codes."""

    packed: Packed
    make: Callable[[], Accumulator]

    def __call__(self) -> Accumulator:
        """The accumulator itself."""
        return self.make()


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpacked:
    """What was collected from values.

    Parameters
    ----------
    collected : mapping of str to object
        By name.
    companions : mapping of str to str
        Digests of the tensors beside the codes as they were read for it, by name of the tensor.
    """

    collected: Mapping[str, Any]
    companions: Mapping[str, str]


class UnpackingAccumulator:
    """Makes the values of a packed weight and shows them to others, one matrix of a stack after the other.

    Parameters
    ----------
    packed : Packed
    read : callable
        Gives the bits of the tensors beside the codes; those of the first matrix are read at once.
    inner : mapping of str to Accumulator
    """

    def __init__(self, packed: Packed, read: Read, inner: Mapping[str, Accumulator]) -> None:
        self._packed = packed
        self._beside = {one.name: Beside(one, packed.stacked, read) for one in packed.companions.values()}
        self._inner = inner
        self._matrix = self._made = 0
        self._stored_rows = math.prod(packed.tensor.shape[:-1]) // (packed.stacked or 1)
        self._waiting: list[NDArray[Any]] = []
        self._open()

    def _open(self) -> None:
        """Take up the next matrix."""
        bits = {name: one.of(self._matrix) for name, one in self._beside.items()}
        self._unpacker = open_packed(self._packed.matrix(self._matrix), lambda tensor: bits[tensor.name])
        self._rest, self._next = self._stored_rows, 0

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - blocks come in order
        """See a block of codes; those that make no whole row wait for the next block."""
        while len(rows):
            if not self._rest:
                self._matrix += 1
                self._open()
            own, rows = rows[: self._rest], rows[self._rest :]
            self._rest -= len(own)
            self._unpack(own)

    def _unpack(self, rows: NDArray[Any]) -> None:
        if self._waiting:
            rows = np.concatenate([*self._waiting, rows])
        unpacker = self._unpacker
        usable = len(rows) - len(rows) % unpacker.stored
        step = max(1, _AT_ONCE // max(1, unpacker.made * self._packed.unpacked.shape[1])) * unpacker.stored
        for first in range(0, usable, step):
            values = unpacker.unpack(rows[first : min(first + step, usable)], self._next)
            for one in self._inner.values():
                one.update(values, self._made)
            self._next += len(values)
            self._made += len(values)
        self._waiting = [rows[usable:].copy()] if usable < len(rows) else []

    def result(self) -> Unpacked:
        """What the others collected."""
        return Unpacked(
            collected={name: one.result() for name, one in self._inner.items()},
            companions={name: one.digest() for name, one in self._beside.items()},
        )


def can_be_unpacked(packed: Packed) -> bool:
    """Whether a sweep shows the rows of codes as they are stored."""
    n_rows = math.prod(packed.tensor.shape[:-1])
    return row_shape(packed.tensor)[0] == n_rows and row_shape(packed.unpacked) == packed.unpacked.shape


def make_accumulators(makers: Makers, read: Read) -> dict[str, Accumulator]:
    """Accumulators of one tensor, by name; those that want values share one unpacking."""
    plain = {name: make() for name, make in makers.items() if not isinstance(make, OfValues)}
    of_values = {name: make for name, make in makers.items() if isinstance(make, OfValues)}
    if of_values:
        packed = next(iter(of_values.values())).packed
        plain[_NAME] = UnpackingAccumulator(packed, read, {name: make() for name, make in of_values.items()})
    return plain


def unpacked(packed: Packed, results: Results) -> Mapping[str, Any]:
    """What was collected from the values of a packed weight, by name.

    Raises
    ------
    CheckpointError
        What lies beside the codes was read ahead, and is not what was measured.
    """
    found = results[packed.tensor.name].collected.get(_NAME)
    if not isinstance(found, Unpacked):
        return {}
    for tensor in packed.companions.values():
        if results[tensor.name].digest != found.companions[tensor.name]:
            raise CheckpointError(
                "file-changed",
                "changed while it was read",
                fix="measure again when nothing writes to it",
                where=tensor.file,
            )
    return found.collected
