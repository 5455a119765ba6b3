"""Sums of values in units of exponents against sums of Python's integers, for tiles of every kind."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from attest.sweep import ExactAccumulator, ExactSums
from attest.sweep.exponents import TILE, sum_exponents

WINDOW = 24
GREATEST, LEAST_NORMAL, LEAST, INFINITY, NAN, SIGN = 0x7F7FFFFF, 0x800000, 1, 0x7F800000, 0x7FC00001, 1 << 31

Codes = NDArray[np.uint32]


def collect(codes: Codes, *cuts: int) -> ExactSums:
    accumulator = ExactAccumulator("F32")
    for part in np.split(codes, sorted(cuts)):
        accumulator.update(part.view(np.float32).reshape(-1, 1), 0)
    return accumulator.result()


def expected(codes: Codes) -> tuple[object, ...]:
    """What ``ExactSums`` says of binary32 values, from integers in units of 2**-149."""
    values = codes.view(np.float32).astype(np.float64)
    finite = values[np.isfinite(values)]
    units = [int(value) for value in finite * 2.0**149]
    least, greatest = (float(finite.min()), float(finite.max())) if units else (None, None)
    return (
        len(units), (sum(units), sum(unit * unit for unit in units)), units.count(0), int(np.isnan(values).sum()),
        int(np.isinf(values).sum()), least, greatest,
    )  # fmt: skip


def said(sums: ExactSums) -> tuple[object, ...]:
    return (sums.n, sums.powers, sums.zeros, sums.nans, sums.infinities, sums.minimum, sums.maximum)


@st.composite
def tiles(draw: st.DrawFn) -> Codes:
    """Values of exponents around a top one, with zeros, and perhaps a value of another kind among them."""
    n = draw(st.sampled_from([1, 2, 7, TILE - 1, TILE, TILE + 1]))
    rng = np.random.Generator(np.random.Philox(draw(st.integers(0, 2**32 - 1))))
    top = draw(st.sampled_from([0, 1, 2, 24, 25, 26, 127, 253, 254]) | st.integers(0, 254))
    span = draw(st.sampled_from([0, 1, WINDOW - 1, WINDOW, WINDOW + 1, 254]))
    exponents = rng.integers(max(0, top - span), top + 1, n)
    exponents[[0, -1]] = max(0, top - span), top
    significands = (
        rng.integers(0, 1 << 23, n) if draw(st.booleans()) else np.full(n, draw(st.sampled_from([0, 2**23 - 1])))
    )
    codes = (exponents << 23 | significands).astype(np.uint32)
    codes[rng.random(n) < draw(st.sampled_from([0, 0, 0.5, 1]))] = 0
    codes |= (rng.random(n) < draw(st.sampled_from([0, 0.5, 1]))).astype(np.uint32) << np.uint32(31)
    odd = draw(
        st.sampled_from(
            [None, None, None, 0, SIGN, LEAST, SIGN | LEAST, LEAST_NORMAL, GREATEST, INFINITY, SIGN | INFINITY, NAN]
        )
    )
    if odd is not None:
        codes[rng.integers(0, n)] = odd
    return codes


@given(st.lists(tiles(), max_size=3), st.lists(st.integers(0, 3 * TILE), max_size=2))
@example([np.full(2 * TILE + 1, SIGN, np.uint32)], [5])
def test_sums_are_those_of_integers_wherever_blocks_are_cut(parts: list[Codes], cuts: list[int]):
    codes = np.concatenate([np.empty(0, np.uint32), *parts])
    sums = collect(codes, *(min(cut, codes.size) for cut in cuts))
    assert said(sums) == expected(codes)
    assert "-0.0" not in {repr(sums.minimum), repr(sums.maximum)}


@pytest.mark.parametrize("span", [WINDOW, WINDOW + 1])
@pytest.mark.parametrize("top", [WINDOW, WINDOW + 1, WINDOW + 2, 254])
@pytest.mark.parametrize("sign", [0, SIGN])
def test_the_edge_of_the_window(span: int, top: int, sign: int):
    codes = np.full(TILE, sign | top << 23 | 0x7FFFFF, np.uint32)
    codes[7] = max(top - span, 0) << 23 | LEAST
    assert said(collect(codes)) == expected(codes)


@pytest.mark.parametrize(("least", "beside"), [(101, [101, 125]), (100, list(range(100, 126)))])
def test_values_share_a_unit_where_they_are_near_one_another(least: int, beside: list[int]):
    codes = np.arange(least, 126, dtype=np.uint32) << np.uint32(23)
    signed, squares = np.zeros((256, 1), np.int64), np.zeros((256, 2), np.uint64)
    sum_exponents(codes, signed, squares, np.zeros(3, np.int64), np.array([2**31, -(2**31)]))
    assert np.flatnonzero(signed.any(axis=1) | squares.any(axis=1)).tolist() == beside


@pytest.mark.parametrize("sign", [0, SIGN])
@pytest.mark.parametrize("spread", [0, WINDOW // 2, WINDOW])
def test_no_entry_grows_faster_than_two_to_the_35_values_allow(sign: int, spread: int):
    codes = np.full(64 * TILE, sign | 0x3FFFFFFF, np.uint32)
    codes[::TILE] -= np.uint32(spread << 23)
    signed, squares = np.zeros((256, 1), np.int64), np.zeros((256, 2), np.uint64)
    sum_exponents(codes, signed, squares, np.zeros(3, np.int64), np.array([2**31, -(2**31)]))
    assert int(np.abs(signed).max()) * 2**35 <= codes.size * 2**59
    assert int(squares.max()) * 2**35 <= codes.size * 2**61


def test_a_million_values_of_many_sizes_against_fsum():
    rng = np.random.Generator(np.random.Philox(1))
    values = (rng.normal(size=1_000_000) * 10.0 ** np.repeat(rng.integers(-6, 6, 1000), 1000)).astype(np.float32)
    sums = collect(values.view(np.uint32), 333_333)
    wide = values.astype(np.float64)
    for order, total in enumerate(sums.powers, start=1):
        assert float(Fraction(total, 2 ** (order * sums.scale))) == math.fsum(wide**order)


def test_arrays_of_another_size_are_refused():
    with pytest.raises(ValueError, match="expected"):
        sum_exponents(
            np.zeros(1, np.uint32), np.zeros((256, 2), np.int64), np.zeros((256, 2), np.uint64), np.zeros(3, np.int64),
            np.zeros(2, np.int64),
        )  # fmt: skip
