"""Partners of neurons: found wherever they went, and not where they have none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from attest.compare.matching.partners import Neurons, Sample, find_partners, share_found
from attest.compare.resampling import public_order

RNG = np.random.default_rng(5)


def neurons(n: int, width: int = 8, parts: int = 3) -> Neurons:
    made = Neurons.of(RNG.integers(-90, 91, (n, width * parts)).astype(np.int8), width=width)
    assert made is not None
    return made


def everyone(one: Neurons) -> Sample:
    return Sample(neurons=one, rows=np.arange(one.size))


def take(one: Neurons, rows: np.ndarray) -> Neurons:
    return Neurons(first=one.first[rows], second=one.second[rows], gated=one.gated)


def test_permuted_neurons_are_found_where_they_went():
    one = neurons(300)
    order = RNG.permutation(300)
    (found,) = find_partners([everyone(one)], take(one, order))
    assert order[found].tolist() == list(range(300))


def test_a_sample_finds_what_all_find():
    one, other = neurons(200), neurons(250)
    both = Neurons(
        first=np.concatenate([other.first, one.first[::2]]),
        second=np.concatenate([other.second, one.second[::2]]),
        gated=True,
    )
    (everybody,) = find_partners([everyone(one)], both)
    assert share_found(everybody) == pytest.approx(0.5, abs=0.01)
    samples = [Sample.draw(one, 60, "a seed"), Sample.draw(one, 60, "another")]
    for sample, found in zip(samples, find_partners(samples, both), strict=True):
        assert sample.rows.size == 60
        assert found.tolist() == everybody[sample.rows].tolist()


def test_strangers_share_next_to_nothing():
    (found,) = find_partners([everyone(neurons(2000))], neurons(2000))
    assert share_found(found) < 0.005


def test_up_and_down_may_change_sign_together_behind_a_gate():
    one = neurons(100)
    flipped = Neurons(first=one.first, second=-one.second, gated=True)
    assert share_found(find_partners([everyone(one)], flipped)[0]) == 1
    without = Neurons(first=one.first, second=-one.second, gated=False)
    assert share_found(find_partners([everyone(one)], without)[0]) < 0.1


def test_axes_that_are_known_up_to_their_sign_leave_no_sign_in_either_look():
    one = neurons(100)
    negative = replace(one, first=-one.first, second=-one.second, gated=False, signed=False)
    assert share_found(find_partners([everyone(replace(one, gated=False, signed=False))], negative)[0]) == 1
    assert share_found(find_partners([everyone(replace(one, gated=False))], replace(negative, signed=True))[0]) < 0.1


def test_neurons_taken_apart_and_joined_anew_are_not_found():
    one = neurons(500)
    assert share_found(find_partners([everyone(one)], one.joined_anew(public_order(500, "x")))[0]) < 0.02


def test_neurons_of_zeros_have_no_partner():
    nothing = Neurons(first=np.zeros((9, 8), np.int8), second=np.zeros((9, 16), np.int8), gated=True)
    assert share_found(find_partners([everyone(nothing)], nothing)[0]) == 0


@pytest.mark.parametrize("shape", [(5, 8), (5, 32), (0, 24), (5, 23)])
def test_a_sketch_of_another_form_has_no_neurons(shape: tuple[int, int]):
    assert Neurons.of(np.zeros(shape, np.int8), width=8) is None
