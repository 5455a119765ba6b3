"""Collecting from packed weights: the values that codes stand for, made once for all that want to see them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed import Packed, Read, open_packed
from attest.errors import CheckpointError
from attest.finding import Finding
from attest.fingerprint.beside import Beside
from attest.fingerprint.fingerprint import Makers, Results
from attest.sweep import Accumulator, row_shape

__all__ = [
    "OfValues",
    "Unpacked",
    "UnpackingAccumulator",
    "can_be_unpacked",
    "describe_not_finite",
    "make_accumulators",
    "unpacked",
]

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
    not_finite : int
        Values that are no numbers.
    """

    collected: Mapping[str, Any]
    companions: Mapping[str, str]
    not_finite: int = 0


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
        self._matrix = self._made = self._not_finite = 0
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
            self._not_finite += _count_not_finite(values)
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
            not_finite=self._not_finite,
        )


def _count_not_finite(values: NDArray[np.float32]) -> int:
    """How many values are no numbers: none where their sum is one."""
    with np.errstate(over="ignore", invalid="ignore"):
        total = values.sum()
    return 0 if np.isfinite(total) else int(values.size - np.count_nonzero(np.isfinite(values)))


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


def describe_not_finite(packed: Iterable[Packed], results: Results) -> Iterator[Finding]:
    """A finding where codes stand for values that are no numbers: scales that are none, groups that are not there."""
    found = {one.name: results[one.tensor.name].collected.get(_NAME) for one in packed}
    counts = {name: one.not_finite for name, one in found.items() if isinstance(one, Unpacked) and one.not_finite}
    if counts:
        text = (
            f"{len(counts)} packed weights have {sum(counts.values())} values that are no numbers, as scales that are none"
            f" or groups that are not there make them; the first is {next(iter(counts))}"
        )
        yield Finding(code="values-not-finite", path=".", line=None, text=text[:500])


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
