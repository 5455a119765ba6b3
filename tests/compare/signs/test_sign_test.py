"""The test of signs as statistics: exact by enumeration, the same for the same seed, and blind to what has no sign."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from attest.compare.signs.gated_neurons import GatedNeurons
from attest.compare.signs.sign_matching import _matched, _products, _search
from attest.compare.signs.sign_test import Coins, sign_test

RNG = np.random.default_rng(12)
N_AXES = 16


def run(*layers: np.ndarray, unsigned: bool = False):
    coins = [Coins(layer=place, values=values) for place, values in enumerate(layers)]
    return sign_test("a-test/v1", coins, seed="public", unsigned=unsigned, note="")


def neurons(n: int = 128, n_axes: int = N_AXES) -> GatedNeurons:
    return GatedNeurons(**{part: RNG.integers(-90, 91, (n, n_axes)).astype(np.int8) for part in ("gate", "up", "down")})


def products(x: GatedNeurons, y: GatedNeurons) -> np.ndarray:
    rows, columns = _matched(x, y, np.arange(x.size))
    return _products(x, rows, y, columns)


def z(x: GatedNeurons, y: GatedNeurons) -> float:
    return Coins(layer=0, values=products(x, y)).z


def changed(one: GatedNeurons, *, gate: np.ndarray | int = 1, up: np.ndarray | int = 1, down: np.ndarray | int = 1):
    return GatedNeurons(
        gate=(one.gate * gate).astype(np.int8), up=(one.up * up).astype(np.int8), down=(one.down * down).astype(np.int8)
    )


def test_pvalues_are_those_of_all_signs():
    values = np.array([0.9, 0.4, -0.3, 0.8, 0.1, 0.7, 0.5, 0.6])
    sums = [abs(float(np.dot(signs, values))) for signs in product((-1, 1), repeat=8)]
    truth = sum(one >= values.sum() - 1e-9 for one in sums) / 256
    test = run(values)
    assert test is not None
    assert test.pvalue == pytest.approx(truth, abs=0.012)
    assert test.smallest_pvalue == 2 / 256
    assert test.z == pytest.approx(values.sum() / math.sqrt((values**2).sum()), rel=1e-5)
    assert test.null_distribution is not None
    assert test.null_distribution.sd == pytest.approx(1, abs=0.03)


def test_layers_count_alike_and_halves_can_be_read():
    one, other = RNG.standard_normal(50), 1000 * RNG.standard_normal(20)
    test = run(one, np.array([]), other)
    assert test is not None
    assert [(layer.layer, layer.n) for layer in test.layers] == [(0, 50), (2, 20)]
    assert test.z == pytest.approx(sum(layer.z or 0 for layer in test.layers) / math.sqrt(2), rel=1e-5)
    assert test.n == 70
    assert run(np.array([])) is None


def test_of_axes_known_up_to_their_sign_the_magnitude_is_given():
    values = -np.abs(RNG.standard_normal(40))
    signed, unsigned = run(values), run(values, unsigned=True)
    assert signed is not None
    assert unsigned is not None
    assert signed.z == -(unsigned.z or 0)
    assert signed.pvalue == unsigned.pvalue
    assert (unsigned.layers[0].z or 0) > 0


@pytest.mark.parametrize("activated", ["gate", "up"])
def test_what_is_matched_is_the_same_whatever_the_signs(activated: str):
    """Up and down change their signs together, or gate and down where the names are the wrong way round."""
    x, y = neurons(), neurons()
    signs = RNG.choice([-1, 1], (y.size, 1))
    linear = "up" if activated == "gate" else "gate"
    other = changed(y, **{linear: signs, "down": signs})
    rows = np.arange(x.size)
    for mine, theirs in zip(_search(x, y, rows), _search(x, other, rows), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    np.testing.assert_allclose(np.abs(products(x, y)), np.abs(products(x, other)), rtol=1e-12)


def test_strangers_have_an_ordinary_z_and_descendants_do_not():
    assert np.std([z(neurons(), neurons()) for _ in range(200)]) == pytest.approx(1, abs=0.15)
    parent = neurons()
    noise = RNG.integers(-40, 41, (3, *parent.down.shape))
    order = RNG.permutation(parent.size)
    child = GatedNeurons(
        gate=(parent.gate + noise[0]).clip(-127, 127).astype(np.int8)[order],
        up=(parent.up + noise[1]).clip(-127, 127).astype(np.int8)[order],
        down=(parent.down + noise[2]).clip(-127, 127).astype(np.int8)[order],
    )
    assert z(parent, child) > 9
    assert z(parent, changed(child, up=(flips := RNG.choice([-1, 1], (child.size, 1))), down=flips)) < 4


def test_what_all_neurons_of_one_network_have_in_common_counts_nothing():
    """A quantizer that rounds down, and one direction that everything writes to, in both."""

    def leaning() -> GatedNeurons:
        one = neurons()
        return GatedNeurons(gate=one.gate, up=one.up, down=(one.down // 2 + 45).astype(np.int8))

    zs = [z(leaning(), leaning()) for _ in range(100)]
    assert np.abs(zs).max() < 5
    assert abs(np.mean(zs)) < 0.5


@pytest.mark.parametrize("count", [2, 8])
def test_networks_that_both_repeat_their_neurons_are_strangers_still(count: int):
    def grown() -> GatedNeurons:
        small = neurons(256 // count, 48)
        parts = {part: np.tile(getattr(small, part), (count, 1)) for part in ("gate", "up", "down")}
        noise = RNG.integers(-20, 21, (3, 256, 48))
        return GatedNeurons(
            **{
                part: (values + drift).clip(-127, 127).astype(np.int8)
                for (part, values), drift in zip(parts.items(), noise, strict=True)
            }
        )

    zs = [z(grown(), grown()) for _ in range(40)]
    assert np.std(zs) < 1.5


@pytest.mark.parametrize("drift", [15, 35, 55])
def test_experts_that_both_made_of_a_dense_layer_of_their_own_are_strangers_still(drift: int):
    """Sixteen copies of 32 neurons, on the few axes of a sketch, each in an order of its own."""

    def experts() -> GatedNeurons:
        small = {part: RNG.integers(-90, 91, (32, 8)) for part in ("gate", "up", "down")}
        orders = [RNG.permutation(32) for _ in range(16)]
        parts = {part: np.concatenate([values[order] for order in orders]) for part, values in small.items()}
        noise = RNG.normal(0, drift, (3, 512, 8)).round()
        return GatedNeurons(
            pooled=True,
            **{
                part: (values + one).clip(-127, 127).astype(np.int8)
                for (part, values), one in zip(parts.items(), noise, strict=True)
            },
        )

    assert np.std([z(experts(), experts()) for _ in range(40)]) < 1.35


def test_padded_neurons_count_nothing():
    one = neurons()
    parts = {part: np.vstack([getattr(one, part), np.zeros((64, N_AXES), np.int8)]) for part in ("gate", "up", "down")}
    padded = GatedNeurons(**parts)
    assert products(padded, padded).size <= one.size + 1
