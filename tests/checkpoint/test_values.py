"""Rounding float64 to the nearest value of a narrower dtype, once."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.checkpoint.values import as_float32, nearest_bits

DTYPES = ("BF16", "F16", "F32")


def value_of(number: float, dtype: str) -> float:
    return float(as_float32(nearest_bits(np.array([number]), dtype), dtype)[0])


def neighbors(bits: np.ndarray, dtype: str) -> list[float]:
    around = bits.view(f"u{bits.itemsize}").astype(np.int64) + np.array([-1, 0, 1])
    codes = np.clip(around, 0, None).astype(f"u{bits.itemsize}").view(bits.dtype)
    return [one for one in as_float32(codes, dtype).tolist() if math.isfinite(one)]


@pytest.mark.parametrize("dtype", DTYPES)
@given(number=st.floats(0, 60000) | st.floats(1e-9, 1e-3))
def test_no_neighbor_is_nearer(dtype: str, number: float):
    found = Fraction(value_of(number, dtype))
    distance = abs(found - Fraction(number))
    assert all(
        abs(Fraction(other) - Fraction(number)) >= distance
        for other in neighbors(nearest_bits(np.array([number]), dtype), dtype)
    )
    assert value_of(-number, dtype) == -value_of(number, dtype)


def test_a_value_just_off_half_way_is_not_rounded_twice():
    half_way = 1 + 2.0**-8
    assert value_of(half_way, "BF16") == 1
    assert value_of(half_way + 2.0**-50, "BF16") == 1 + 2.0**-7
    assert value_of(1 + 3 * 2.0**-8 - 2.0**-50, "BF16") == 1 + 2.0**-7
    assert value_of(1 + 3 * 2.0**-8, "BF16") == 1 + 2.0**-6


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_is_not_finite_stays_so(dtype: str):
    assert math.isnan(value_of(math.nan, dtype))
    assert value_of(math.inf, dtype) == math.inf
    assert value_of(-1e300, dtype) == -math.inf


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_of_the_dtype_stay_as_they_are(dtype: str):
    bits = np.arange(2**16, dtype=np.uint16)
    bits = bits.view(np.float16) if dtype == "F16" else bits
    bits = bits.astype(np.float32) if dtype == "F32" else bits
    with np.errstate(invalid="ignore"):  # some codes are signaling NaN
        values = as_float32(bits, dtype)
        again = as_float32(nearest_bits(values.astype(np.float64), dtype), dtype)
    assert np.array_equal(again, values, equal_nan=True)
