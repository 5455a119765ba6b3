"""Matching neurons by what they are and not by where they stand.

A neuron is looked at twice: by what goes in through its gate, and by the rest of it. Its partner in another layer is
sought by each look separately. Where both lead to the same neuron, and back from there, the two looks *agree*. For
unrelated layers that is luck, about one neuron of a layer; for a copy it holds whatever the order of the neurons is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.nearest import Rows, nearest

__all__ = ["Neurons", "Sample", "find_partners", "public_order", "share_found"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Neurons:
    """The neurons of one MLP in two looks.

    Parameters
    ----------
    first, second : ndarray of shape (n_neurons, n_features), int8
        Gate, and up beside down; without a gate up, and down.
    gated : bool
        Then up and down may change sign together, which leaves the function as it was, and signs of ``second`` do
        not count.
    """

    first: NDArray[np.int8]
    second: NDArray[np.int8]
    gated: bool

    @classmethod
    def of(cls, sketch: NDArray[np.int8], *, width: int) -> Neurons | None:
        """Neurons of a sketch whose parts are ``width`` numbers wide; None where there are not two or three."""
        if sketch.ndim != 2 or not sketch.shape[0] or sketch.shape[1] not in {2 * width, 3 * width}:
            return None
        return cls(first=sketch[:, :width], second=sketch[:, width:], gated=sketch.shape[1] == 3 * width)

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.first)

    def joined_anew(self, order: NDArray[np.int64]) -> Neurons:
        """What no network has: the first look of each neuron beside the second look of another."""
        return Neurons(first=self.first, second=self.second[order], gated=self.gated)


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Some neurons of a layer, by their places."""

    neurons: Neurons
    rows: NDArray[np.int64]

    @classmethod
    def draw(cls, neurons: Neurons, size: int, seed: str) -> Sample:
        """At most ``size`` neurons that a public text chooses."""
        return cls(neurons=neurons, rows=public_order(neurons.size, seed)[:size])


def find_partners(samples: Sequence[Sample], target: Neurons) -> list[NDArray[np.int64]]:
    """For every sampled neuron the one of ``target`` that both looks lead to and back from; -1 where they do not agree.

    Parameters
    ----------
    samples : sequence of Sample
        Of any number of layers.
    target : Neurons

    Notes
    -----
    Neuron i goes to j where j is nearest to i by the first look and by the second, and i is nearest to j by both.
    Ways there and back are sought among all neurons, so a sample estimates the share of all without bias.
    """
    there = _by_both_looks(np.concatenate([one.neurons.first[one.rows] for one in samples]),
                           np.concatenate([one.neurons.second[one.rows] for one in samples]), target)  # fmt: skip
    found, begin = [], 0
    for one in samples:
        ends = there[begin : begin + one.rows.size]
        begin += one.rows.size
        led = np.flatnonzero(ends >= 0)
        back = _by_both_looks(target.first[ends[led]], target.second[ends[led]], one.neurons)
        partners = np.full(ends.size, -1, np.int64)
        returned = led[back == one.rows[led]]
        partners[returned] = ends[returned]
        found.append(partners)
    return found


def _by_both_looks(first: NDArray[np.int8], second: NDArray[np.int8], target: Neurons) -> NDArray[np.int64]:
    """The neuron that is nearest by both looks; -1 where there is none."""
    by_first = nearest(first, Rows(target.first), absolute=False)
    open_ = np.flatnonzero(by_first >= 0)
    by_second = nearest(second[open_], Rows(target.second), absolute=target.gated)
    found = np.full(by_first.size, -1, np.int64)
    agreed = open_[by_second == by_first[open_]]
    found[agreed] = by_first[agreed]
    return found


def share_found(partners: NDArray[np.int64]) -> float:
    """Share of a sample that has a partner."""
    return float(np.count_nonzero(partners >= 0)) / partners.size if partners.size else 0.0


def public_order(n: int, seed: str) -> NDArray[np.int64]:
    """A public random order of n things: 64-bit words of Philox-4x64 keyed by SHA-256 of the seed, sorted."""
    key = np.frombuffer(hashlib.sha256(seed.encode()).digest()[:16], np.uint64)
    order: NDArray[np.int64] = np.argsort(np.random.Philox(key=key).random_raw(n), kind="stable")
    return order
