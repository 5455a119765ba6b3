"""The small sums and tables that fingerprints share."""

import math

import numpy as np
import pytest

from attest.fingerprint.fingerprint import layer_table, mean, root_mean_square


@pytest.mark.parametrize(
    ("values", "expected"),
    [([1e30, 1.0, -1e30], 1 / 3), ([0.1] * 10, 0.1), ([3.4e38, 3.4e38], 3.4e38), ([-0.0], 0.0)],
)
def test_a_mean_is_rounded_once(values: list[float], expected: float):
    assert mean(np.array(values)) == pytest.approx(expected, rel=1e-15)


def test_a_root_mean_square_is_rounded_once():
    assert root_mean_square(np.array([3.0, -4.0], np.float32)) == math.sqrt(12.5)
    assert root_mean_square(np.array([3.4e38, 3.4e38], np.float32)) == float(np.float32(3.4e38))


@pytest.mark.parametrize("values", [[], [math.nan], [1.0, math.inf], [math.inf, -math.inf]])
def test_there_is_no_mean_of_nothing_or_of_what_is_not_finite(values: list[float]):
    assert math.isnan(mean(np.array(values)))
    assert math.isnan(root_mean_square(np.array(values)))


def test_missing_values_are_dashes():
    table = layer_table(["a", "b"], [(0, [1.0, None]), (7, [math.nan, -math.inf])])
    assert table.columns == ("layer", "a", "b")
    assert table.rows == (("0", "1", "-"), ("7", "-", "-"))
