"""Whether the signs of a network's neurons lean to one side, in place of being coins.

The tests of signs hold where the sign of each neuron was a matter of chance in at least one of the two. It was not where up
or down began as a copy of the gate, where something is added to up before the product, where a matrix is kept positive, or
where a rule turned all neurons to one side. Two such networks agree by sign without having anything else in common. Each
network shows by itself whether it is one: in a network of coins, whatever changes its sign with up and down is as often
positive as negative.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEANING", "SignedRows", "lean_z"]

LEANING = 6.0
"""Standard deviations from which on signs lean, as for an order of units."""

Rows = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedRows:
    """Neurons of one layer at length 1, or zeros, on axes that all layers share.

    Parameters
    ----------
    gate, up, down : ndarray of shape (n_neurons, n_axes), float64
    """

    gate: Rows
    up: Rows
    down: Rows


def lean_z(layers: Sequence[SignedRows]) -> float:
    """How far the signs of a network are from coins, in standard deviations, at least 0.

    Notes
    -----
    Up and down of every neuron are each laid beside its gate, and beside the sum over the next layer; the largest of the four
    counts. With coins each product is as likely positive as negative, given the signs of the next layer and all that has
    none. Beside the next layer the median counts, since a layer that was copied has the signs of the next for a good reason.
    Gates do lean, so where names tell gate and up apart wrongly, signs seem to lean in every network.
    """
    own = [(_z(one.up, one.gate), _z(one.down, one.gate)) for one in layers]
    following = [
        (_z(one.up, after.up.sum(axis=0)), _z(one.down, after.down.sum(axis=0))) for one, after in pairwise(layers)
    ]
    beside_gates = [abs(sum(zs)) / math.sqrt(len(zs)) for zs in zip(*own, strict=True)]
    beside_the_next = [abs(median(zs)) * math.sqrt(len(zs)) for zs in zip(*following, strict=True)]
    return float(max(*beside_gates, *beside_the_next))


def _z(rows: Rows, reference: Rows) -> float:
    """Sum of the inner products of rows with their references, in standard deviations of coins."""
    products = np.sum(rows * reference, axis=1)
    spread = math.sqrt(float(products @ products))
    return float(products.sum()) / spread if spread > 0 else 0.0
