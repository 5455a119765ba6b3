"""A text beside a known one: which words both have in the same order, and which differ."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher

import numpy as np
from numpy.typing import NDArray

from attest.licenses.detect.index import MAX_GRAM, grams

__all__ = ["Difference", "differences"]

_GAP = 40_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """Words ``[begin, end)`` of the known text in whose place the text has ``[here_begin, here_end)``."""

    begin: int
    end: int
    here_begin: int
    here_end: int


def differences(known: NDArray[np.uint16], here: NDArray[np.uint16]) -> tuple[Difference, ...]:
    """What parts two texts, in their order; what lies between two differences is equal.

    Parameters
    ----------
    known, here : ndarray of uint16
        Numbered words.

    Notes
    -----
    4-grams that occur once in both are chained (longest increasing subsequence) and extended; what lies between two
    of them is compared word by word unless it is long on both sides, when it counts as replaced as a whole. That
    bounds the time, and can only make texts look more different than they are.
    """
    found = []
    known_at = here_at = 0
    for begin, here_begin, length in (*_blocks(known, here), (len(known), len(here), 0)):
        if begin > known_at or here_begin > here_at:
            gap = _gap(known[known_at:begin].tolist(), here[here_at:here_begin].tolist(), known_at, here_at)
            found += list(gap)
        known_at, here_at = begin + length, here_begin + length
    return tuple(found)


def _gap(known: list[int], here: list[int], known_at: int, here_at: int) -> Iterator[Difference]:
    if len(known) * len(here) > _GAP:
        codes = [("replace", 0, len(known), 0, len(here))]
    else:
        codes = [*SequenceMatcher(None, known, here, autojunk=False).get_opcodes()]
    for code, begin, end, here_begin, here_end in codes:
        if code != "equal":
            yield Difference(
                begin=known_at + begin,
                end=known_at + end,
                here_begin=here_at + here_begin,
                here_end=here_at + here_end,
            )


def _unique(stream: NDArray[np.uint16]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    found = grams(stream, np.arange(max(len(stream) - MAX_GRAM + 1, 0)), MAX_GRAM)
    values, places, counts = np.unique(found, return_index=True, return_counts=True)
    return values[counts == 1], places[counts == 1]


def _blocks(known: NDArray[np.uint16], here: NDArray[np.uint16]) -> Iterator[tuple[int, int, int]]:
    """Equal runs that hold a gram which is unique in both, in the order of both."""
    known_grams, known_places = _unique(known)
    here_grams, here_places = _unique(here)
    _, a, b = np.intersect1d(known_grams, here_grams, assume_unique=True, return_indices=True)
    anchors = _chain(sorted(zip(known_places[a].tolist(), here_places[b].tolist(), strict=True)))
    known_at = here_at = 0
    for place, here_place in anchors:
        if place < known_at or here_place < here_at:
            continue
        back = _equal(known[known_at:place][::-1], here[here_at:here_place][::-1])
        ahead = _equal(known[place:], here[here_place:])
        yield place - back, here_place - back, back + ahead
        known_at, here_at = place + ahead, here_place + ahead


def _equal(known: NDArray[np.uint16], here: NDArray[np.uint16]) -> int:
    """Words that both begin with."""
    count = min(len(known), len(here))
    unequal = np.flatnonzero(known[:count] != here[:count])
    return int(unequal[0]) if len(unequal) else count


def _chain(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Longest subsequence that increases in both."""
    tails: list[int] = []
    last: list[int] = []
    before: list[int] = []
    for position, (_, here) in enumerate(pairs):
        slot = bisect_left(tails, here)
        before.append(last[slot - 1] if slot else -1)
        tails[slot : slot + 1] = [here]
        last[slot : slot + 1] = [position]
    chain = []
    position = last[-1] if last else -1
    while position >= 0:
        chain.append(pairs[position])
        position = before[position]
    return chain[::-1]
