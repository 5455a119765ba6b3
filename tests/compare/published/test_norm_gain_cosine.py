"""Raw cosine and correlation of norm gains, side by side: by hand, the refuted accusation, and the family."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compare.opened import STRANGERS
from compare.pairs import measured

from attest.compare.fingerprints import Fingerprints
from attest.compare.published.norm_gain_cosine import norm_gain_cosine
from attest.comparison import Test


def with_gains(**gains: list[float] | np.ndarray) -> Fingerprints:
    arrays = {name.replace("_of_", "."): np.asarray(value, np.float32) for name, value in gains.items()}
    named = {f"layers.{name}" if name[0].isdecimal() else name: value for name, value in arrays.items()}
    return dataclasses.replace(measured("seed-1"), arrays={"norm-gain/v1": named})


def both(a: Fingerprints, b: Fingerprints) -> dict[str, Test]:
    return {test.id: test for test in norm_gain_cosine(a, b).tests}


def test_by_hand():
    found = both(with_gains(final_norm=[1, 2, 3]), with_gains(final_norm=[3, 2, 1]))
    assert found["norm-gain-cosine/v1"].statistic == pytest.approx(10 / 14, abs=1e-6)
    assert found["norm-gain-correlation/v1"].statistic == -1
    assert found["norm-gain-cosine/v1"].n == 3


def test_gains_near_one_have_a_cosine_near_one_and_no_correlation():
    rng = np.random.default_rng(7)
    one, other = (with_gains(final_norm=1 + 0.1 * rng.standard_normal(4096)) for _ in range(2))
    found = both(one, other)
    assert found["norm-gain-cosine/v1"].statistic > 0.98
    assert abs(found["norm-gain-correlation/v1"].statistic) < 0.05
    assert "less their means" in found["norm-gain-cosine/v1"].note


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_the_cosine_of_strangers_is_high(a: str, b: str):
    found = both(measured(a), measured(b))
    assert found["norm-gain-cosine/v1"].statistic > 0.99
    assert abs(found["norm-gain-correlation/v1"].statistic) < 0.2
    assert {test.pvalue for test in found.values()} == {None}


def test_a_descendant_has_both_and_layers():
    found = both(measured("seed-1"), measured("seed-1-continued"))
    assert found["norm-gain-correlation/v1"].statistic > 0.5
    assert [one.layer for one in found["norm-gain-correlation/v1"].layers] == [0, 1, 2, 3]


def test_gains_that_do_not_vary_or_are_not_finite_or_not_there():
    flat = norm_gain_cosine(with_gains(final_norm=[1, 1]), with_gains(final_norm=[1, 2]))
    assert [test.id for test in flat.tests] == ["norm-gain-cosine/v1"]
    assert flat.not_compared[0].reason == "the gains do not vary"
    for other in (with_gains(final_norm=[1, np.inf]), with_gains(final_norm=[1, 2, 3])):
        outcome = norm_gain_cosine(with_gains(final_norm=[1, 2]), other)
        assert not outcome.tests
        assert len(outcome.not_compared) == 2
