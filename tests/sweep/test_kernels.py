"""The compiled loops against plain Python that follows the documented order, to the last bit."""

import math

import ml_dtypes
import numpy as np
import pytest
import xxhash
from numpy.typing import NDArray
from small_checkpoint import bfloat16

from attest.sweep.kernels import LANES, count_codes, digest_rows, sum_rows

N_BUCKETS = 8


def random(shape: tuple[int, ...], seed: int = 1) -> NDArray[np.float32]:
    """Values of very different sizes, so that every other order of adding would show."""
    rng = np.random.Generator(np.random.Philox(seed))
    return (rng.normal(size=shape) * 10.0 ** rng.integers(-6, 6, shape)).astype(np.float32)


class Sums:
    """What ``sum_rows`` fills for a matrix."""

    def __init__(self, shape: tuple[int, int], *, weights: NDArray[np.float64], signs: NDArray[np.float64]) -> None:
        n_rows, n_columns = shape
        self.weights = weights
        self.signs = signs
        self.buckets = np.arange(signs.size, dtype=np.int64) % N_BUCKETS
        n_weighted = n_rows if weights.size else 0
        self.rows = np.zeros(n_rows)
        self.weighted = np.zeros(n_weighted)
        self.row_sketch = np.zeros((n_weighted, N_BUCKETS))
        self.columns = np.zeros(n_columns)
        self.column_sketch = np.zeros((N_BUCKETS, n_columns if signs.size else 0))

    def add(self, bits: NDArray[np.uint16] | NDArray[np.uint32], first: int = 0) -> None:
        here = slice(first, first + len(bits))
        sum_rows(
            bits, 16 if bits.dtype == np.uint16 else 0, self.weights, self.signs[here], self.buckets[here],
            self.rows[here], self.weighted[here], self.row_sketch[here], self.columns, self.column_sketch,
        )  # fmt: skip

    def add_slowly(self, values: list[list[float]]) -> None:
        """The documented order: column j goes to lane j mod 64, lanes are added in order, columns row after row."""
        for i, row in enumerate(values):
            self.rows[i] = add_lanes([x * x for x in row])
            for j, x in enumerate(row):
                self.columns[j] += x * x
            if self.signs.size:
                for j, x in enumerate(row):
                    self.column_sketch[self.buckets[i], j] += float(self.signs[i]) * x
            if self.weights.size:
                products = [x * float(weight) for x, weight in zip(row, self.weights, strict=True)]
                self.weighted[i] = add_lanes([x * x for x in products])
                for bucket in range(N_BUCKETS):
                    self.row_sketch[i, bucket] = add_lanes(products, bucket)

    def bits(self) -> list[bytes]:
        return [
            array.tobytes()
            for array in (self.rows, self.weighted, self.row_sketch, self.columns, self.column_sketch)
        ]  # fmt: skip


def add_lanes(terms: list[float], bucket: int | None = None) -> float:
    lanes = [0.0] * LANES
    for j, term in enumerate(terms):
        lanes[j % LANES] += term
    total = 0.0
    for lane in range(LANES) if bucket is None else range(bucket, LANES, N_BUCKETS):
        total += lanes[lane]
    return total


def signed(n: int, seed: int = 2) -> NDArray[np.float64]:
    return np.random.Generator(np.random.Philox(seed)).choice([-1.0, 1.0], n)


SHAPES = [(1, 1), (3, 8), (2, 63), (2, 64), (5, 65), (9, 200), (2, 256), (3, 583), (0, 5)]


@pytest.mark.parametrize("sketch", ["none", "rows", "columns", "both"])
@pytest.mark.parametrize("narrow", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_sums_along_rows_and_columns_to_the_bit(shape: tuple[int, int], narrow: bool, sketch: str):  # noqa: FBT001
    values = random(shape)
    bits = bfloat16(values) if narrow else values.view(np.uint32)
    if narrow:
        values = (bits.astype(np.uint32) << 16).view(np.float32)
    gain = signed(shape[1]) * random((shape[1],), 3).astype(np.float64) if sketch in {"rows", "both"} else np.empty(0)
    signs = signed(shape[0]) if sketch in {"columns", "both"} else np.empty(0)
    quick, slow = (Sums(shape, weights=gain, signs=signs) for _ in range(2))
    quick.add(bits)
    slow.add_slowly(values.astype(np.float64).tolist())
    assert quick.bits() == slow.bits()


@pytest.mark.parametrize("cut", [0, 1, 4, 9])
def test_where_rows_are_cut_does_not_matter(cut: int):
    values = random((9, 200)).view(np.uint32)
    whole, parts = (Sums((9, 200), weights=signed(200), signs=signed(9)) for _ in range(2))
    whole.add(values)
    parts.add(values[:cut])
    parts.add(values[cut:], cut)
    assert whole.bits() == parts.bits()


def test_sums_against_numpy():
    values = random((50, 300))
    wide = values.astype(np.float64)
    weights, signs = signed(300), signed(50)
    sums = Sums((50, 300), weights=weights, signs=signs)
    sums.add(values.view(np.uint32))
    np.testing.assert_allclose(sums.rows, (wide**2).sum(axis=1), rtol=1e-13)
    np.testing.assert_allclose(sums.columns, (wide**2).sum(axis=0), rtol=1e-13)
    np.testing.assert_allclose(sums.weighted, ((wide * weights) ** 2).sum(axis=1), rtol=1e-13)
    for bucket in range(N_BUCKETS):
        here = slice(bucket, None, N_BUCKETS)
        scale = np.abs(wide).max()
        np.testing.assert_allclose(
            sums.row_sketch[:, bucket], (wide * weights)[:, here].sum(axis=1), rtol=1e-12, atol=1e-12 * scale
        )
        np.testing.assert_allclose(
            sums.column_sketch[bucket], (wide * signs[:, None])[here].sum(axis=0), rtol=1e-12, atol=1e-12 * scale
        )


def test_values_that_are_not_finite_stay_in_their_row_and_column():
    values = np.ones((3, 70), np.float32)
    values[1, 2], values[2, 5] = np.nan, np.inf
    sums = Sums((3, 70), weights=signed(70), signs=signed(3))
    sums.add(values.view(np.uint32))
    assert (sums.rows[0], math.isnan(sums.rows[1]), sums.rows[2]) == (70.0, True, math.inf)
    assert np.isnan(sums.columns).tolist() == [column == 2 for column in range(70)]
    assert np.isinf(sums.columns).tolist() == [column == 5 for column in range(70)]


def test_the_smallest_and_greatest_values_neither_vanish_nor_overflow():
    values = np.array([[1e-45, 0, 0], [3.4028235e38] * 3], np.float32)
    sums = Sums((2, 3), weights=np.empty(0), signs=np.empty(0))
    sums.add(values.view(np.uint32))
    assert sums.rows.tolist() == [2.0**-298, 3 * float(values[1, 0]) ** 2]


@pytest.mark.parametrize("n", [0, 1, 2, 3, 1000, 1001])
def test_codes_are_counted(n: int):
    codes = np.random.Generator(np.random.Philox(1)).integers(0, 65536, n).astype(np.uint16)
    codes[: n // 2] = 7
    counts = np.ones(65536, np.int64)
    count_codes(codes.reshape(-1, 1), counts)
    np.testing.assert_array_equal(counts - 1, np.bincount(codes, minlength=65536))


@pytest.mark.parametrize("n_columns", [1, 2, 3, 4, 5, 7, 15, 16, 17, 31, 32, 33, 100, 1023])
def test_rows_are_digested_as_xxh64(n_columns: int):
    codes = np.random.Generator(np.random.Philox(1)).integers(0, 65536, (3, n_columns)).astype("<u2")
    digests = np.zeros(3, np.uint64)
    digest_rows(codes, digests)
    assert digests.tolist() == [xxhash.xxh64_intdigest(row.tobytes()) for row in codes]


def test_rows_of_wider_values_are_rounded_to_even_first():
    values = random((50, 33))
    values[:5, :4] = [1 + 2**-8, 1 + 3 * 2**-8, 3.4e38, -0.0]
    values[7, 0] = np.inf
    wide, narrow = np.zeros(50, np.uint64), np.zeros(50, np.uint64)
    digest_rows(values.view(np.uint32), wide)
    digest_rows(values.astype(ml_dtypes.bfloat16).view(np.uint16), narrow)
    assert wide.tolist() == narrow.tolist()
    digest_rows(np.full((1, 2), 0xFFC12345, np.uint32), wide[:1])
    digest_rows(np.full((1, 2), 0x7FC0, np.uint16), narrow[:1])
    assert wide[0] == narrow[0]


def test_arrays_of_another_size_are_refused():
    for wrong in (np.zeros(65535, np.int64), np.zeros((65536, 1), np.int64)):
        with pytest.raises(ValueError, match="expected"):
            count_codes(np.zeros(1, np.uint16), wrong)
