"""moments/v1 against NumPy on the fixture family."""

import numpy as np
import pytest
from measured import measured, values

from attest.evidence import Moments
from attest.fingerprint import describe
from attest.sweep import ExactAccumulator


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


def test_no_value_at_all():
    found = describe(ExactAccumulator("BF16").result())
    assert (found.n, found.mean, found.std, found.zeros, found.distinct) == (0, "0", "0", 0, 0)
    assert (found.skewness, found.excess_kurtosis, found.minimum, found.maximum, found.quantiles) == (None,) * 5
