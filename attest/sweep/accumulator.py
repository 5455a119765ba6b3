"""Accumulators: what is collected from a tensor while its bytes pass by.

An accumulator sees a tensor as rows of bits, block after block, in order; what it keeps does not depend on where the
blocks are cut. A fingerprint asks for accumulators by name, and fingerprints that ask for the same share it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.values import as_float32
from attest.sweep.codes import NARROW
from attest.sweep.counted import begin_counts, sums_of_codes
from attest.sweep.exact import ExactSums, sums_of_exponents
from attest.sweep.exponents import sum_exponents
from attest.sweep.kernels import count_codes, digest_rows, sum_rows

__all__ = [
    "Accumulator",
    "ExactAccumulator",
    "RowDigestAccumulator",
    "RowSums",
    "RowSumsAccumulator",
    "ValuesAccumulator",
    "as_float32",
]


class Accumulator(Protocol):
    """Collects from one tensor."""

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """See a block: ``rows`` of shape (n, n_columns) in the dtype of ``attest.checkpoint.BITS``."""

    def result(self) -> Any:
        """What was collected, once all rows have passed."""


class ExactAccumulator:
    """Exact sums of all values: from counts of codes for narrow dtypes, from sums by exponent for F32 and F64."""

    DTYPES = NARROW | {"F32", "F64"}

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._n = 0
        if dtype in NARROW:
            self._counts = begin_counts(dtype)
            return
        exponents, digits = (2048, 2) if dtype == "F64" else (256, 1)
        self._signed = np.zeros((exponents, digits), np.int64)
        self._squares = np.zeros((exponents, 2 * digits), np.uint64)
        self._special = np.zeros(3, np.int64)
        self._extremes = np.array([2**63 - 1, -(2**63) + 1], np.int64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - order does not matter here
        """Count a block."""
        self._n += rows.size
        bits = rows if rows.dtype.kind == "u" else rows.view(f"u{rows.itemsize}")
        if self._dtype in NARROW:
            count_codes(bits, self._counts)
        else:
            sum_exponents(bits, self._signed, self._squares, self._special, self._extremes)

    def result(self) -> ExactSums:
        """Exact sums of the tensor."""
        if self._dtype in NARROW:
            return sums_of_codes(self._counts, self._dtype)
        return sums_of_exponents(self._n, self._signed, self._squares, self._special, self._extremes)


class RowDigestAccumulator:
    """A 64-bit digest of every row, rounded to BF16: see ``digest_rows``."""

    DTYPES = frozenset({"BF16", "F16", "F32"})

    def __init__(self, n_rows: int, dtype: str) -> None:
        self._dtype = dtype
        self._digests = np.zeros(n_rows, np.uint64)

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """Digest a block of rows."""
        bits = rows.view(np.uint16) if self._dtype == "BF16" else as_float32(rows, self._dtype).view(np.uint32)
        digest_rows(bits, self._digests[first_row : first_row + rows.shape[0]])

    def result(self) -> NDArray[np.uint64]:
        """Digests in the order of the rows, shape (n_rows,)."""
        return self._digests


@dataclass(frozen=True, kw_only=True, slots=True)
class RowSums:
    """Sums along the rows and columns of a matrix, float64.

    Parameters
    ----------
    rows : ndarray of shape (n_rows,)
        Sums of squares.
    weighted_rows : ndarray of shape (n_rows,) or (0,)
        Sums of squares of the rows times the weights.
    weights : ndarray of shape (n_columns,) or (0,)
        As they were given.
    row_sketch : ndarray of shape (n_rows, n_buckets) or (0, n_buckets)
    columns : ndarray of shape (n_columns,)
        Sums of squares.
    column_sketch : ndarray of shape (n_buckets, n_columns) or (n_buckets, 0)
    """

    rows: NDArray[np.float64]
    weighted_rows: NDArray[np.float64]
    weights: NDArray[np.float64]
    row_sketch: NDArray[np.float64]
    columns: NDArray[np.float64]
    column_sketch: NDArray[np.float64]


class RowSumsAccumulator:
    """Sums along rows and columns, and a sketch of either the rows or the columns where asked for.

    Parameters
    ----------
    shape : tuple of (n_rows, n_columns)
    dtype : str
        One of ``DTYPES``.
    weights : ndarray of shape (n_columns,), float64, optional
        Signed weights: makes a sketch of the rows.
    signs, buckets : ndarray of shape (n_rows,), float64 and int64, optional
        Make a sketch of the columns.
    n_buckets : int
        Divides 64.
    """

    DTYPES = frozenset({"BF16", "F16", "F32"})

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: str,
        *,
        weights: NDArray[np.float64] | None = None,
        signs: NDArray[np.float64] | None = None,
        buckets: NDArray[np.int64] | None = None,
        n_buckets: int = 8,
    ) -> None:
        n_rows, n_columns = shape
        self._dtype = dtype
        self._signs = np.empty(0) if signs is None else signs
        self._buckets = np.empty(0, np.int64) if buckets is None else buckets
        n_sketched = n_rows if weights is not None else 0
        self._sums = RowSums(
            rows=np.zeros(n_rows),
            weighted_rows=np.zeros(n_sketched),
            weights=np.empty(0) if weights is None else weights,
            row_sketch=np.zeros((n_sketched, n_buckets)),
            columns=np.zeros(n_columns),
            column_sketch=np.zeros((n_buckets, n_columns if signs is not None else 0)),
        )

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        """Sum a block of rows."""
        here = slice(first_row, first_row + rows.shape[0])
        narrow = self._dtype == "BF16"
        sum_rows(
            rows.view(np.uint16) if narrow else as_float32(rows, self._dtype).view(np.uint32),
            16 if narrow else 0,
            self._sums.weights,
            self._signs[here],
            self._buckets[here],
            self._sums.rows[here],
            self._sums.weighted_rows[here],
            self._sums.row_sketch[here],
            self._sums.columns,
            self._sums.column_sketch,
        )

    def result(self) -> RowSums:
        """The sums."""
        return self._sums


class ValuesAccumulator:
    """Keeps a small tensor's values as they are, widened to float32."""

    DTYPES = frozenset({"BF16", "F16", "F32"})

    def __init__(self, dtype: str) -> None:
        self._dtype = dtype
        self._parts: list[NDArray[np.float32]] = []

    def update(self, rows: NDArray[Any], first_row: int) -> None:  # noqa: ARG002 - blocks come in order
        """Keep a block."""
        self._parts.append(as_float32(rows, self._dtype).ravel().copy())

    def result(self) -> NDArray[np.float32]:
        """All values, shape (size,)."""
        return np.concatenate(self._parts) if self._parts else np.empty(0, np.float32)
