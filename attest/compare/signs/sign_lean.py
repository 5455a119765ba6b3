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

__all__ = ["LEANING", "SignedRows", "lean_share"]

LEANING = 6.0
"""Standard deviations from which on what lean shares explain is too much: what the default policy asks of a rejection."""

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


def lean_share(layers: Sequence[SignedRows]) -> float:
    """How far the signs of a network are from coins: 0 for coins, up to chance, and at most 1.

    Notes
    -----
    Up and down of every neuron are each laid beside its gate, and beside the sum over the next layer; the largest of the four
    z counts, over the root of the number of neurons. With coins each product is as likely positive as negative, given the
    signs of the next layer and all that has none. Beside the next layer the median over layers counts, since one that was
    copied has the signs of the next for a good reason. Two networks of shares r and s agree in n neurons by about r s sqrt(n)
    standard deviations at most, and no share of one makes that large where the other has coins.

    Gates do lean, so where names tell gate and up apart wrongly, signs seem to lean in every network.
    """
    own = [(_z(one.up, one.gate), _z(one.down, one.gate)) for one in layers]
    following = [
        (_z(one.up, after.up.sum(axis=0)), _z(one.down, after.down.sum(axis=0))) for one, after in pairwise(layers)
    ]
    beside_gates = [abs(sum(zs)) / math.sqrt(len(zs)) for zs in zip(*own, strict=True)]
    beside_the_next = [abs(median(zs)) * math.sqrt(len(zs)) for zs in zip(*following, strict=True)]
    n = sum(len(one.down) for one in layers)
    return min(1.0, float(max(*beside_gates, *beside_the_next)) / math.sqrt(max(1, n)))


def _z(rows: Rows, reference: Rows) -> float:
    """Sum of the inner products of rows with their references, in standard deviations of coins."""
    products = np.sum(rows * reference, axis=1)
    spread = math.sqrt(float(products @ products))
    return float(products.sum()) / spread if spread > 0 else 0.0
