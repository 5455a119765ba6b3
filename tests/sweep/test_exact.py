"""Exact sums against sums of fractions: nothing is rounded before it must be."""

import math
import struct
from collections.abc import Callable, Sequence
from decimal import Context, Decimal
from fractions import Fraction
from itertools import groupby

import ml_dtypes
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from small_checkpoint import bfloat16

from attest.checkpoint import BITS
from attest.checkpoint.tensor import DTYPE_BITS
from attest.digest import sha256
from attest.sweep import ExactAccumulator, ExactSums
from attest.sweep.exact import sqrt_ratio

QUANTILES = ("0.001", "0.01", "0.25", "0.5", "0.75", "0.99", "0.999")
PRECISE = Context(prec=80)

BYTES = {
    "F8_E4M3": ml_dtypes.float8_e4m3fn, "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz, "F8_E8M0": ml_dtypes.float8_e8m0fnu, "I8": np.int8, "U8": np.uint8,
    "BOOL": np.uint8,
}  # fmt: skip
WIDTHS = {"BF16": 16, "F16": 16, "F32": 32, "F64": 64}
UNCOUNTED = {"F32", "F64"}
SPECIALS = {
    "BF16": [0x0000, 0x8000, 0x0001, 0x8001, 0x007F, 0x0080, 0x3F80, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7F81, 0xFFFF],
    "F16": [0x0000, 0x8000, 0x0001, 0x8001, 0x03FF, 0x0400, 0x3C00, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7C01, 0xFFFF],
    "F32": [0, 1 << 31, 1, (1 << 31) + 1, 0x7FFFFF, 0x800000, 0x3F800000, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000,
            0xFF800000, 0x7F800001, 0xFFFFFFFF],
    "F64": [0, 1 << 63, 1, (1 << 63) + 1, (1 << 52) - 1, 1 << 52, 0x3FF << 52, 0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF,
            0x7FF << 52, 0xFFF << 52, (0x7FF << 52) + 1, (1 << 64) - 1],
}  # fmt: skip


def collect(dtype: str, codes: Sequence[int], *, cut: int = 0) -> ExactSums:
    accumulator = ExactAccumulator(dtype)
    bits = np.array(codes, f"u{DTYPE_BITS[dtype] // 8}")
    for part in (bits[:cut], bits[cut:]):
        accumulator.update(part.view(BITS[dtype]).reshape(-1, 1), 0)
    return accumulator.result()


def value(dtype: str, code: int) -> float:
    """A code's value, by Python's own reader of binary floats."""
    if dtype in BYTES:
        return float(np.array([code], np.uint8).view(BYTES[dtype])[0])
    if dtype == "F64":
        return struct.unpack("<d", struct.pack("<Q", code))[0]
    if dtype == "F16":
        return struct.unpack("<e", struct.pack("<H", code))[0]
    return struct.unpack("<f", struct.pack("<I", code << 16 if dtype == "BF16" else code))[0]


def codes_of(dtype: str) -> st.SearchStrategy[list[int]]:
    return st.lists(st.sampled_from(SPECIALS[dtype]) | st.integers(0, 2 ** WIDTHS[dtype] - 1), max_size=40)


def is_close(found: float | None, expected: Decimal) -> bool:
    return found is not None and abs(Decimal(found) - expected) <= Decimal("1e-12") * max(1, abs(expected))


def precise(number: Fraction) -> Decimal:
    return PRECISE.divide(Decimal(number.numerator), Decimal(number.denominator))


def power(values: Sequence[Fraction], order: int) -> Fraction:
    mean = sum(values, Fraction(0)) / len(values)
    return sum(((one - mean) ** order for one in values), Fraction(0)) / len(values)


def check(dtype: str, codes: Sequence[int], cut: int) -> None:
    sums = collect(dtype, codes, cut=min(cut, len(codes)))
    floats = [value(dtype, code) for code in codes]
    finite = sorted(one for one in floats if math.isfinite(one))
    values = [Fraction(one) for one in finite]
    n = len(values)
    assert (sums.n, sums.nans) == (n, sum(map(math.isnan, floats)))
    assert sums.infinities == sum(map(math.isinf, floats))
    assert sums.zeros == finite.count(0.0)
    for order, total in enumerate(sums.powers, start=1):
        assert Fraction(total, 2 ** (order * sums.scale)) == sum((one**order for one in values), Fraction(0))
    assert (sums.minimum, sums.maximum) == ((finite[0], finite[-1]) if finite else (None, None))
    assert "-0.0" not in {repr(sums.minimum), repr(sums.maximum)}
    assert sums.mean() == (float(sum(values, Fraction(0)) / n) if n else 0)
    if n > 1:
        std = precise(power(values, 2) * n / (n - 1)).sqrt(PRECISE)
        assert is_close(sums.std(exponent=1), PRECISE.divide(std, Decimal(2)))
        assert sums.std() == 2 * sums.std(exponent=1) or is_close(sums.std(), std)
        assert math.isinf(sums.std()) == math.isinf(float(std))
    check_counted(dtype, sums, finite)
    if dtype not in UNCOUNTED:
        assert sums.multiset == multiset(floats)
    check_shape(sums, values)


def multiset(floats: list[float]) -> str:
    """The documented digest: each value as binary64 and how often it occurs, ascending, NaN last."""
    ordered = sorted(one + 0.0 for one in floats if not math.isnan(one)) + [math.nan] * sum(map(math.isnan, floats))
    runs = ((key, len(list(run))) for key, run in groupby(struct.pack("<d", one) for one in ordered))
    return sha256(b"attest multiset v1\n" + b"".join(key + struct.pack("<Q", count) for key, count in runs))


def check_counted(dtype: str, sums: ExactSums, finite: list[float]) -> None:
    """What only counts of codes tell: order and repetition."""
    if dtype in UNCOUNTED:
        assert (sums.quantiles, sums.distinct, sums.multiset) == (None, None, None)
        return
    assert sums.distinct == len(set(finite))
    if finite:
        ranks = [math.ceil(Fraction(share) * len(finite)) for share in QUANTILES]
        assert sums.quantiles == tuple(finite[rank - 1] for rank in ranks)
    else:
        assert sums.quantiles is None


def check_shape(sums: ExactSums, values: list[Fraction]) -> None:
    counted = len(sums.powers) == 4
    if not counted or len(values) < 2 or values[0] == values[-1]:
        assert (sums.skewness(), sums.excess_kurtosis()) == (None, None)
        return
    second, third, fourth = (precise(power(values, order)) for order in (2, 3, 4))
    assert is_close(sums.skewness(), PRECISE.divide(third, PRECISE.multiply(second, second.sqrt(PRECISE))))
    assert is_close(sums.excess_kurtosis(), PRECISE.divide(fourth, PRECISE.multiply(second, second)) - 3)


@given(codes_of("BF16"), st.integers(0, 40))
@example(SPECIALS["BF16"], 3)
def test_bf16(codes: list[int], cut: int):
    check("BF16", codes, cut)


@given(codes_of("F16"), st.integers(0, 40))
@example(SPECIALS["F16"], 3)
def test_f16(codes: list[int], cut: int):
    check("F16", codes, cut)


@given(codes_of("F32"), st.integers(0, 40))
@example(SPECIALS["F32"], 3)
def test_f32(codes: list[int], cut: int):
    check("F32", codes, cut)


@given(codes_of("F64"), st.integers(0, 40))
@example(SPECIALS["F64"], 3)
@example([0x7FEFFFFFFFFFFFFF, 0xFFEFFFFFFFFFFFFF], 1)
def test_f64(codes: list[int], cut: int):
    check("F64", codes, cut)


@given(st.sampled_from(sorted(BYTES)), st.lists(st.integers(0, 255), max_size=40), st.integers(0, 40))
def test_bytes(dtype: str, codes: list[int], cut: int):
    check(dtype, codes, cut)


@pytest.mark.parametrize("dtype", BYTES)
def test_every_byte(dtype: str):
    check(dtype, [*range(256), *range(7)], 100)


def test_a_multiset_does_not_change_with_order_or_a_wider_dtype():
    bytes_ = np.random.Generator(np.random.Philox(1)).integers(0, 120, 1000)
    wide = [bfloat16(np.array([value("F8_E4M3", int(one))], np.float32))[0] for one in bytes_]
    assert collect("F8_E4M3", bytes_).multiset == collect("BF16", wide[::-1]).multiset
    assert collect("BF16", wide).multiset != collect("BF16", wide[1:]).multiset


@pytest.mark.parametrize("dtype", WIDTHS)
@pytest.mark.parametrize("place", range(13))
def test_one_value(dtype: str, place: int):
    check(dtype, [SPECIALS[dtype][place]], 0)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_no_value(dtype: str):
    sums = collect(dtype, [])
    assert (sums.n, sums.minimum, sums.maximum, sums.std(), sums.mean()) == (0, None, None, 0.0, 0.0)
    assert (sums.skewness(), sums.excess_kurtosis(), sums.quantiles) == (None, None, None)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_codes_from_all_over_the_range(dtype: str):
    check(dtype, range(0, 65536, 7), 1000)


@pytest.mark.parametrize("dtype", WIDTHS)
def test_the_greatest_values_many_times(dtype: str):
    n = 100_001
    sums = collect(dtype, [SPECIALS[dtype][7]] * n)
    assert (sums.n, sums.std(), sums.mean()) == (n, 0.0, value(dtype, SPECIALS[dtype][7]))
    assert (sums.skewness(), sums.excess_kurtosis()) == (None, None)


@pytest.mark.parametrize(("below", "above"), [(2**39, 2**39 - 1), (0, 2**40)])
def test_a_trillion_values_are_counted_without_overflow(below: int, above: int):
    counts = np.zeros(65536, np.int64)
    counts[0xFF7F], counts[0x7F7F] = below, above
    accumulator = ExactAccumulator("BF16")
    accumulator._counts += counts
    sums, greatest = accumulator.result(), Fraction(value("BF16", 0x7F7F))
    for order, total in enumerate(sums.powers, start=1):
        expected = above * greatest**order + below * (-greatest) ** order
        assert Fraction(total, 2 ** (order * sums.scale)) == expected


@pytest.mark.parametrize(
    ("dtype", "convert"), [("F32", lambda x: x.view(np.uint32)), ("BF16", bfloat16), ("F16", lambda x: x.astype("<f2").view("<u2"))]
)  # fmt: skip
def test_a_million_normal_values_against_float64(dtype: str, convert: Callable[..., np.ndarray]):
    codes = convert(np.random.Generator(np.random.Philox(1)).normal(0.01, 0.02, 1_000_000).astype(np.float32))
    sums = collect(dtype, codes, cut=333_333)
    widened = None if dtype in UNCOUNTED else np.array([value(dtype, code) for code in range(65536)])
    values = codes.view(np.float32).astype(np.float64) if widened is None else widened[codes]
    assert sums.std() == pytest.approx(np.std(values, ddof=1), rel=1e-12)
    assert sums.mean() == pytest.approx(math.fsum(values) / len(values), rel=1e-15)


@given(st.fractions(0, 10**40), st.integers(-300, 300))
@example(Fraction(1, 3), 0)
@example(Fraction(0), 0)
@example(Fraction(2**107 - 1), 0)
def test_square_roots_of_fractions(number: Fraction, exponent: int):
    number *= Fraction(2) ** exponent
    exact = precise(number).sqrt(PRECISE)
    assert abs(Decimal(sqrt_ratio(number.numerator, number.denominator)) - exact) <= Decimal("1.2e-16") * exact


@given(st.integers(0, 2**53))
def test_square_roots_of_squares_are_exact(root: int):
    assert sqrt_ratio(root * root * 3, 3) == root
