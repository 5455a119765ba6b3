"""Networks grown out of smaller ones by repeating units: strangers stay strangers, and descendants are still seen."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from compare.pairs import measured

from attest.compare.correspondence.cloned_units import Copies, find_copies
from attest.compare.correspondence.exact_outcome import exchangeable
from attest.compare.correspondence.norms import (
    head_norm_correspondence,
    neuron_norm_correspondence,
    residual_norm_correspondence,
)
from attest.compare.correspondence.permutation import Pairing, layer_statistics
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import PairTest

RNG = np.random.default_rng(9)


def grown(count: int, *, adjacent: bool, n: int = 256, width: int = 12) -> np.ndarray:
    small = RNG.standard_normal((n // count, width))
    large = np.repeat(small, count, axis=0) if adjacent else np.tile(small, (count, 1))
    return large + 0.2 * RNG.standard_normal(large.shape)


def z(x: np.ndarray, y: np.ndarray) -> float:
    free = exchangeable([Pairing(layer=0, x=x, y=y)], directions=True)
    (found,) = layer_statistics(free.pairings)
    assert found.z is not None
    return found.z


@pytest.mark.parametrize("adjacent", [False, True])
@pytest.mark.parametrize("count", [2, 5, 8])
def test_copies_in_both_are_found_and_strangers_have_an_ordinary_z(count: int, adjacent: bool):  # noqa: FBT001 - by name
    n = 256 // count * count
    pairs = [(grown(count, adjacent=adjacent, n=n), grown(count, adjacent=adjacent, n=n)) for _ in range(60)]
    assert find_copies(Pairing(layer=0, x=pairs[0][0], y=pairs[0][1])) == Copies(count=count, adjacent=adjacent)
    assert np.std([z(x, y) for x, y in pairs]) < 1.4
    assert find_copies(Pairing(layer=0, x=pairs[0][0], y=RNG.standard_normal((n, 12)))) is None


@pytest.mark.parametrize(("n", "count"), [(64, 16), (32, 8)])
def test_few_units_copied_often_are_found(n: int, count: int):
    """Experts of a mixture that are 4 pieces of one MLP, each 16 times: an accident would count 16 times."""
    pairs = [(grown(count, adjacent=False, n=n), grown(count, adjacent=False, n=n)) for _ in range(60)]
    assert np.std([z(x, y) for x, y in pairs]) < 1.4
    x, y = grown(count, adjacent=True, n=n), grown(count, adjacent=True, n=n)
    assert find_copies(Pairing(layer=0, x=x, y=y)) == Copies(count=count, adjacent=True)


def test_a_descendant_of_a_grown_network_is_seen():
    parent = grown(4, adjacent=False)
    assert z(parent, parent + 0.5 * RNG.standard_normal(parent.shape)) > 20


def test_no_copies_are_seen_where_there_are_none():
    for n, width in product((15, 32, 96, 256, 512), (1, 8)):
        for _ in range(20):
            x, y = RNG.standard_normal((2, n, width))
            assert find_copies(Pairing(layer=0, x=x, y=y)) is None
            assert find_copies(Pairing(layer=0, x=x, y=x)) is None
    assert find_copies(Pairing(layer=0, x=np.ones((64, 2)), y=np.ones((64, 2)))) is None


def test_copies_of_a_unit_become_one():
    features = np.arange(12.0).reshape(6, 2)
    joined = Copies(count=3, adjacent=False).joined(Pairing(layer=4, x=features, y=features))
    assert (joined.layer, joined.x.tolist()) == (4, [[0, 1, 4, 5, 8, 9], [2, 3, 6, 7, 10, 11]])


def sparse(name: str) -> Fingerprints:
    one = measured(name)
    rows = tuple(
        replace(row, moments=row.moments and replace(row.moments, zeros=row.moments.n // 2)) for row in one.tensors
    )
    return replace(one, tensors=rows)


@pytest.mark.parametrize("test", [neuron_norm_correspondence, residual_norm_correspondence, head_norm_correspondence])
def test_norms_are_left_out_where_both_are_sparse_and_not_where_one_is(test: PairTest):
    outcome = test(sparse("seed-1"), sparse("seed-2"))
    assert not outcome.tests
    assert "more than an eighth" in outcome.not_compared[0].reason
    ordinary = test(measured("seed-1"), measured("seed-2"))
    assert test(sparse("seed-1"), measured("seed-2")) == ordinary
