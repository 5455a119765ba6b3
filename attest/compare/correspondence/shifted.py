"""Whether units agree as well where those of one network are shifted along the index: then a pattern in both explains it.

Rows that are interpolated between fewer have a length that goes up and down along the index, and rows of a circulant block
are one row, shifted. Two networks that were both made so agree by index in whatever chance gave them, though no trend along
the index shows and no unit stands twice. Where the units of one of the two are exchangeable, no shift but that by 0 can
find what a descendant has of its parent, and each gives a z like any other random pairing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from attest.compare.correspondence.permutation import Pairing, sums_of_shifts

__all__ = ["agree_when_shifted"]

_BEYOND_CHANCE = 2.0
"""Standard deviations beyond the largest z, about sqrt(2 ln n), that n shifts give by chance."""

_LESS = 0.5
_LEAST_UNITS = 32
"""Units below which shifts are bound to each other: all of them sum to 0."""


def agree_when_shifted(pairings: Sequence[Pairing]) -> bool:
    """Whether some shift gives at least half of the z that the pairing by index gives, and more than chance does.

    Notes
    -----
    Shifts are cyclic; pairings with as many units are shifted together. A descendant of a network with such a pattern is
    told as long as its units agree twice as well as their pattern does.
    """
    sizes: dict[int, list[Pairing]] = {}
    for one in pairings:
        if one.x.shape[0] >= _LEAST_UNITS and one.statistic[1] > 0:
            sizes.setdefault(one.x.shape[0], []).append(one)
    return any(_has_pattern(group) for group in sizes.values())


def _has_pattern(pairings: Sequence[Pairing]) -> bool:
    shifts = np.zeros(pairings[0].x.shape[0])
    for one in pairings:
        mine, theirs = one.centered
        shifts += sums_of_shifts(mine.values, theirs.values) / one.statistic[1]
    sizes = np.abs(shifts) / math.sqrt(len(pairings))
    most = float(sizes[1:].max())
    return most > max(math.sqrt(2 * math.log(sizes.size)) + _BEYOND_CHANCE, _LESS * float(sizes[0]))
