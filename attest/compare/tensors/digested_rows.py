"""The rows of all matrices of one checkpoint, as 64-bit digests, each with the tensor it stands in."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.whereabouts import MatrixRows
from attest.evidence import TensorRow
from attest.fingerprint import NUMBERS, sampling_shift
from attest.sweep import RowDigestAccumulator
from attest.sweep.kernels import digest_rows

__all__ = ["ROW_DIGESTS", "DigestedRows", "constant_digests", "digested_rows", "identity_digests", "is_among"]

ROW_DIGESTS = "row-digests/v2"
"""Fingerprint that the digests are of."""

_LEAST_DIGESTED = 16
_CODES = 1 << 16
_ONES = (0x3F80, 0xBF80)
"""Codes of 1 and -1 as BF16, in which rows that it can hold are digested."""
_LONGEST_IDENTITY = 1 << 14
_BATCH = 1 << 19

Digests = NDArray[np.uint64]


@dataclass(frozen=True, kw_only=True, slots=True)
class DigestedRows:
    """Digests of rows of all matrices, one matrix after the other: of all rows, or of a sample.

    Parameters
    ----------
    tensors : tuple of TensorRow
        The matrices.
    starts : ndarray of shape (n_tensors + 1,), int64
        Position of the first row of each, and the number of all rows that were kept.
    digests : ndarray of shape (n_rows,), uint64
    numbers : ndarray of shape (n_rows,), int64
        Which row of its matrix each is, ascending in each matrix.
    shift : int
        Low bits of a digest that are 0 in the sample: one row in 2**shift is kept.
    distinct : ndarray of shape (n_distinct,), uint64
        Digests that occur, ascending.
    positions : ndarray of shape (n_rows,), int64
        Position of each row's digest among these.
    """

    tensors: tuple[TensorRow, ...]
    starts: NDArray[np.int64]
    digests: Digests
    numbers: NDArray[np.int64]
    shift: int
    distinct: Digests
    positions: NDArray[np.int64]

    @classmethod
    def build(
        cls,
        tensors: tuple[TensorRow, ...],
        sizes: NDArray[np.int64],
        digests: Digests,
        numbers: NDArray[np.int64],
        shift: int,
    ) -> DigestedRows:
        """Rows of matrices of which so many are kept each."""
        once, positions = _distinct(digests)
        starts = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
        return cls(
            tensors=tensors, starts=starts, digests=digests, numbers=numbers, shift=shift, distinct=once, positions=positions
        )  # fmt: skip

    def thinned(self, shift: int) -> DigestedRows:
        """The smaller sample of the rows that such a shift leaves."""
        if shift == self.shift:
            return self
        kept = self.digests & np.uint64((1 << shift) - 1) == 0
        sizes = np.bincount(self.owners()[kept], minlength=len(self.tensors))
        return self.build(self.tensors, sizes, self.digests[kept], self.numbers[kept], shift)

    def of(self, tensor: int) -> MatrixRows:
        """Rows of one matrix."""
        here = slice(self.starts[tensor], self.starts[tensor + 1])
        return MatrixRows(digests=self.digests[here], numbers=self.numbers[here])

    def holding(self, some: Digests) -> NDArray[np.bool_]:
        """Which rows have one of these digests, which ascend."""
        return is_among(self.distinct, some)[self.positions]

    def those(self, rows: NDArray[np.bool_]) -> Digests:
        """Digests of the rows of a mask, ascending, each once."""
        occurs = np.zeros(self.distinct.size, bool)
        occurs[self.positions[rows]] = True
        return self.distinct[occurs]

    def owners(self) -> NDArray[np.int32]:
        """Number of the matrix that each row stands in, shape (n_rows,)."""
        return np.repeat(np.arange(len(self.tensors), dtype=np.int32), np.diff(self.starts))

    def values(self) -> int:
        """Values in the rows that were kept."""
        counts = np.diff(self.starts).tolist()
        return sum(count * tensor.shape[-1] for count, tensor in zip(counts, self.tensors, strict=True))


def digested_rows(one: Fingerprints) -> tuple[DigestedRows | None, str]:
    """Rows of a checkpoint, and what is wrong where there are none."""
    arrays = one.arrays.get(ROW_DIGESTS, {})
    if not arrays:
        return None, "not both have row digests"
    named = dict(_named(one.tensors))
    order = sorted((row.layer is not None, row.layer or 0, row.name, name) for name, row in named.items())
    tensors = [(named[name], name) for *_, name in order if name in arrays]
    shift = sampling_shift(sum(math.prod(row.shape[:-1]) for row, _ in tensors))
    numbers = [_numbers(row, arrays[name], arrays.get(NUMBERS + name), shift) for row, name in tensors]
    n_matrices = sum(not name.startswith(NUMBERS) for name in arrays)
    if len(tensors) != n_matrices or any(one is None for one in numbers):
        return None, "the row digests of one of the two do not go with its table of tensors"
    digests = [arrays[name] for _, name in tensors]
    return DigestedRows.build(
        tuple(row for row, _ in tensors),
        np.array([one.size for one in digests], np.int64),
        np.concatenate(digests),
        np.concatenate([one for one in numbers if one is not None]),
        shift,
    ), ""


def _numbers(row: TensorRow, digests: Digests, numbers: NDArray[Any] | None, shift: int) -> NDArray[np.int64] | None:
    """Which rows of a matrix the digests are of; None where they cannot be."""
    n_rows = math.prod(row.shape[:-1])
    if not shift:
        return np.arange(n_rows) if numbers is None and digests.size == n_rows else None
    if numbers is None or numbers.size != digests.size or np.any(digests & np.uint64((1 << shift) - 1)):
        return None
    ascend = np.concatenate([[-1], numbers.astype(np.int64), [n_rows]])
    return ascend[1:-1] if np.all(np.diff(ascend) > 0) else None


def _named(tensors: Sequence[TensorRow]) -> Iterator[tuple[str, TensorRow]]:
    """Tensors that have row digests, by the name of their array (``schemas/detail.v1.md``, row-digests/v2)."""
    unnamed = 0
    for row in sorted(tensors, key=lambda row: row.name):
        if len(row.shape) < 2 or row.dtype not in RowDigestAccumulator.DTYPES:
            continue
        if row.shape[-1] < _LEAST_DIGESTED or not math.prod(row.shape):
            continue
        if row.role is None:
            yield f"other.{unnamed}", row
            unnamed += 1
            continue
        expert = "" if row.expert is None else f"experts.{row.expert}."
        yield f"{'' if row.layer is None else f'layers.{row.layer}.'}{expert}{row.role}", row


def _distinct(digests: Digests) -> tuple[Digests, NDArray[np.int64]]:
    """Digests that occur, ascending, each once, and for every given digest its position among those."""
    order = np.argsort(digests)
    ordered = digests[order]
    first = np.ones(ordered.size, bool)
    first[1:] = ordered[1:] != ordered[:-1]
    positions = np.empty(ordered.size, np.int64)
    positions[order] = np.cumsum(first) - 1
    return ordered[first], positions


def is_among(some: Digests, others: Digests) -> NDArray[np.bool_]:
    """Which digests occur in others; both ascend, which makes it fast."""
    if not others.size:
        return np.zeros(some.size, bool)
    places = np.minimum(np.searchsorted(others, some), others.size - 1)
    among: NDArray[np.bool_] = others[places] == some
    return among


@cache
def constant_digests(columns: int) -> Digests:
    """Digests of the rows that hold one BF16 value throughout, of all 65,536 codes, ascending.

    Examples
    --------
    >>> constant_digests(32).size
    65536
    """
    digests = np.empty(_CODES, np.uint64)
    rows = np.empty((max(1, _BATCH // columns), columns), np.uint16)
    for begin in range(0, _CODES, len(rows)):
        here = digests[begin : begin + len(rows)]
        rows[: here.size] = np.arange(begin, begin + here.size, dtype=np.uint16)[:, None]
        digest_rows(rows[: here.size], here)
    digests.sort()
    return digests


@cache
def identity_digests(columns: int) -> Digests:
    """Digests of the rows that hold 1 or -1 and else zeros, ascending; none where they are longer than 16,384.

    Matrices are set to the identity in part, to pass something on unaltered, by whoever makes them.

    Examples
    --------
    >>> identity_digests(32).size
    64
    """
    if columns > _LONGEST_IDENTITY:
        return np.empty(0, np.uint64)
    digests = np.empty((columns, len(_ONES)), np.uint64)
    rows = np.zeros((len(_ONES), columns), np.uint16)
    for place in range(columns):
        rows[:, place] = _ONES
        digest_rows(rows, digests[place])
        rows[:, place] = 0
    return np.sort(digests, axis=None)
