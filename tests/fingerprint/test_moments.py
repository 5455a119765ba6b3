"""moments/v1 against NumPy on the fixture family."""

import json
import re
from decimal import Context, Decimal
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from measured import measured, values

from attest.evidence import Moments
from attest.fingerprint import describe
from attest.sweep import ExactAccumulator

PRECISE = Context(prec=80)
_SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "detail.v1.schema.json").read_text())
DECIMAL = re.compile(_SCHEMA["$defs"]["Decimal"]["pattern"])


def rows() -> dict[str, Moments]:
    return {row.name.removeprefix("model."): row.moments for row in measured("seed-1").tensors.tensors if row.moments}


def test_every_tensor_has_moments():
    assert set(rows()) == set(values("seed-1"))


@pytest.mark.parametrize("name", sorted(values("seed-1")))
def test_moments_of_a_tensor(name: str):
    found, array = rows()[name], values("seed-1")[name].ravel()
    centered = array - array.mean()
    second = (centered**2).mean()
    assert (found.n, found.nans, found.infinities) == (array.size, 0, 0)
    assert float(found.mean) == pytest.approx(array.mean(), rel=1e-8, abs=1e-12)
    assert float(found.std) == pytest.approx(array.std(ddof=1), rel=1e-8)
    assert float(found.skewness or "nan") == pytest.approx((centered**3).mean() / second**1.5, rel=1e-7, abs=1e-8)
    assert float(found.excess_kurtosis or "nan") == pytest.approx(
        (centered**4).mean() / second**2 - 3, rel=1e-7, abs=1e-8
    )
    assert (float(found.minimum or "nan"), float(found.maximum or "nan")) == (
        pytest.approx(array.min(), rel=1e-8), pytest.approx(array.max(), rel=1e-8),
    )  # fmt: skip
    assert found.zeros == np.count_nonzero(array == 0)
    assert found.distinct == len(np.unique(array))
    shares = (0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999)
    expected = np.quantile(array, shares, method="inverted_cdf")
    assert [float(one) for one in found.quantiles or ()] == pytest.approx(expected.tolist(), rel=1e-8)


GREATEST = float(np.finfo(np.float64).max)


def described(values: list[float]) -> Moments:
    accumulator = ExactAccumulator("F64")
    accumulator.update(np.array(values).reshape(-1, 1), 0)
    return describe(accumulator.result())


@pytest.mark.parametrize(
    ("values", "mean", "std"),
    [
        ([GREATEST, -GREATEST], "0", "2.54232201e+308"),
        ([GREATEST, -GREATEST, 0.0], "0", "1.79769313e+308"),
        ([GREATEST, -GREATEST] * 2, "0", "2.07579723e+308"),
        ([GREATEST, GREATEST], "1.79769313e+308", "0"),
        ([2.0**1023, -(2.0**1023)], "0", "1.27116101e+308"),
        ([5e-324, 0.0], "0", "4.94065646e-324"),
    ],
)
def test_a_standard_deviation_beyond_binary64_is_written_like_any_other(values: list[float], mean: str, std: str):
    found = described(values)
    assert (found.mean, found.std) == (mean, std)


@given(
    st.lists(
        st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([GREATEST, -GREATEST]),
        min_size=2,
        max_size=9,
    )
)
def test_any_standard_deviation_is_written_in_nine_digits(values: list[float]):
    exact = [Fraction(one) for one in values]
    mean = sum(exact, Fraction(0)) / len(exact)
    variance = sum(((one - mean) ** 2 for one in exact), Fraction(0)) / (len(exact) - 1)
    std = PRECISE.sqrt(PRECISE.divide(Decimal(variance.numerator), Decimal(variance.denominator)))
    text = described(values).std
    assert len(text) <= 16
    assert DECIMAL.fullmatch(text)
    assert abs(Decimal(text) - std) <= Decimal("5.1e-9") * std + Decimal("5e-324")


def test_no_value_at_all():
    found = describe(ExactAccumulator("BF16").result())
    assert (found.n, found.mean, found.std, found.zeros, found.distinct) == (0, "0", "0", 0, 0)
    assert (found.skewness, found.excess_kurtosis, found.minimum, found.maximum, found.quantiles) == (None,) * 5
