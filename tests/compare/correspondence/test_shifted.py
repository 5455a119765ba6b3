"""A pattern along the index that both networks follow is no agreement of theirs."""

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from attest.compare.correspondence.permutation import Pairing
from attest.compare.correspondence.shifted import agree_when_shifted

UNITS = 128
Values = NDArray[np.float64]


def circulant(rng: np.random.Generator) -> Values:
    """Every unit is one row, shifted."""
    row = rng.standard_normal(UNITS)
    return np.stack([np.roll(row, shift)[:32] for shift in range(UNITS)])


def interpolated(rng: np.random.Generator) -> Values:
    """Every fourth unit is as long as three others are not."""
    return np.tile([0.0, 1.0, 1.0, 0.5], UNITS // 4)[:, None] + 0.1 * rng.standard_normal((UNITS, 1))


def apart(rng: np.random.Generator) -> Values:
    return rng.standard_normal((UNITS, 4))


def pairing(x: Values, y: Values, layer: int = 0) -> Pairing:
    return Pairing(layer=layer, x=x, y=y)


@pytest.mark.parametrize("made", [circulant, interpolated])
def test_strangers_with_a_pattern_agree_when_shifted(made: Callable[[np.random.Generator], Values]):
    rng = np.random.default_rng(1)
    pairings = [pairing(made(rng), made(rng), layer) for layer in range(4)]
    assert agree_when_shifted(pairings)


@pytest.mark.parametrize("made", [circulant, interpolated])
def test_where_one_of_the_two_has_none_nothing_is_seen(made: Callable[[np.random.Generator], Values]):
    """Nobody switches a test off by what he does to his own network."""
    rng = np.random.default_rng(2)
    for _ in range(50):
        pairings = [pairing(made(rng), rng.permutation(made(rng)), layer) for layer in range(4)]
        assert not agree_when_shifted(pairings)


def test_a_descendant_does_not_agree_when_shifted():
    rng = np.random.default_rng(3)
    for _ in range(50):
        parents = [apart(rng) for _ in range(4)]
        assert not agree_when_shifted(
            [pairing(one, one + rng.standard_normal(one.shape), layer) for layer, one in enumerate(parents)]
        )


def test_a_descendant_that_agrees_in_more_than_its_pattern_is_told():
    rng = np.random.default_rng(4)
    parent = np.hstack([interpolated(rng), apart(rng)])
    assert not agree_when_shifted([pairing(parent, parent + 0.1 * rng.standard_normal(parent.shape))])


def test_few_units_are_not_asked():
    few = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    assert not agree_when_shifted([pairing(few, few), pairing(np.empty((0, 1)), np.empty((0, 1)))])
