"""What is drawn from public text, and how far out a result is where the distribution is normal."""

import pytest

from attest.compare.resampling import normal_pvalue, public_order


def test_the_order_is_public_and_a_permutation():
    assert sorted(public_order(50, "a")) == list(range(50))
    assert public_order(50, "a").tolist() != public_order(50, "b").tolist()


@pytest.mark.parametrize("count", [0, 1, 7, 49, 50, 99])
def test_the_first_of_an_order_are_those_of_the_whole(count: int):
    assert public_order(50, "a", count=count).tolist() == public_order(50, "a").tolist()[:count]


def test_normal_pvalue_ends_at_one_in_a_million() -> None:
    assert normal_pvalue(1.959963985) == pytest.approx(0.05, rel=1e-5)
    assert normal_pvalue(-1.959963985) == normal_pvalue(1.959963985)
    assert normal_pvalue(50.0) == 1e-6
