"""Matching neurons by what they are and not by where they stand.

A neuron is looked at twice: by what goes in through its gate, and by the rest of it. Its partner in another layer is
sought by each look separately. Where both lead to the same neuron, and back from there, the two looks *agree*. For
unrelated layers that is luck, about one neuron of a layer; for a copy it holds whatever the order of the neurons is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from attest.compare.matching.nearest import Rows, are_nearest, nearest
from attest.compare.resampling import public_order

__all__ = ["Neurons", "Sample", "find_partners", "share_found"]


@dataclass(frozen=True, kw_only=True)
class Neurons:
    """The neurons of one MLP in two looks; how they are searched is kept, so there are no slots.

    Parameters
    ----------
    first, second : ndarray of shape (n_neurons, n_features), int8
        Gate, and up beside down; without a gate up, and down.
    gated : bool
        Then up and down may change sign together, which leaves the function as it was, and signs of ``second`` do
        not count.
    signed : bool
        Else the axes are known up to one sign for all of them, and signs of neither look count.
    """

    first: NDArray[np.int8]
    second: NDArray[np.int8]
    gated: bool
    signed: bool = True

    @classmethod
    def of(cls, sketch: NDArray[np.int8], *, width: int, signed: bool = True) -> Neurons | None:
        """Neurons of a sketch whose parts are ``width`` numbers wide; None where there are not two or three."""
        if sketch.ndim != 2 or not sketch.shape[0] or sketch.shape[1] not in {2 * width, 3 * width}:
            return None
        gated = sketch.shape[1] == 3 * width
        return cls(first=sketch[:, :width], second=sketch[:, width:], gated=gated, signed=signed)

    @cached_property
    def looks(self) -> tuple[Rows, Rows]:
        """Both looks, to be searched."""
        return Rows(self.first), Rows(self.second)

    @property
    def unsigned(self) -> tuple[bool, bool]:
        """Whether each of the looks is the same as its negative."""
        return not self.signed, self.gated or not self.signed

    @property
    def size(self) -> int:
        """How many there are."""
        return len(self.first)

    def joined_anew(self, order: NDArray[np.int64]) -> Neurons:
        """What no network has: the first look of each neuron beside the second look of another."""
        return replace(self, second=self.second[order])


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """Some neurons of a layer, by their places."""

    neurons: Neurons
    rows: NDArray[np.int64]

    @classmethod
    def draw(cls, neurons: Neurons, size: int, seed: str) -> Sample:
        """At most ``size`` neurons that a public text chooses."""
        return cls(neurons=neurons, rows=public_order(neurons.size, seed, count=size))


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
    (by_first, by_second), (first_unsigned, second_unsigned) = target.looks, target.unsigned
    there = nearest(np.concatenate([one.neurons.first[one.rows] for one in samples]), by_first, absolute=first_unsigned)
    led = np.flatnonzero(there >= 0)
    second = np.concatenate([one.neurons.second[one.rows] for one in samples])
    agreed = are_nearest(second[led], by_second, there[led], absolute=second_unsigned)
    there[led[~agreed]] = -1
    parts = np.split(there, np.cumsum([one.rows.size for one in samples])[:-1])
    return [_led_back(one, ends, target) for one, ends in zip(samples, parts, strict=True)]


def _led_back(sample: Sample, ends: NDArray[np.int64], target: Neurons) -> NDArray[np.int64]:
    """Those of the ends of a sample's ways from which both looks lead back; -1 for the others."""
    partners = np.full(ends.size, -1, np.int64)
    led, here = np.flatnonzero(ends >= 0), sample.neurons
    if led.size:
        (by_first, by_second), (first_unsigned, second_unsigned) = here.looks, here.unsigned
        back = are_nearest(target.first[ends[led]], by_first, sample.rows[led], absolute=first_unsigned)
        led = led[back]
        back = are_nearest(target.second[ends[led]], by_second, sample.rows[led], absolute=second_unsigned)
        partners[led[back]] = ends[led[back]]
    return partners


def share_found(partners: NDArray[np.int64]) -> float:
    """Share of a sample that has a partner."""
    return float(np.count_nonzero(partners >= 0)) / partners.size if partners.size else 0.0
