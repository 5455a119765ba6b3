"""Known texts, notices and references that stand in a text word for word."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.licenses.detect.index import KINDS, MAX_GRAM, Index, grams, powers, prefix_digests

__all__ = ["Run", "exact_runs"]

_PAIRS = 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Run:
    """An entry that stands at ``start`` of the text, ``length`` words long."""

    entry: int
    start: int
    length: int


def exact_runs(index: Index, stream: NDArray[np.uint16]) -> tuple[Run, ...]:
    """Entries that stand in a text word for word, the longest first chosen, none overlapping another.

    Parameters
    ----------
    index : Index
    stream : ndarray of uint16
        The text, numbered by ``Index.number``.

    Returns
    -------
    tuple of Run
        In order of the text. Entries that tell what is no license are left out after they took their place.

    Notes
    -----
    The first words of entries are looked up, the digest of the whole entry is compared, and then its words.
    """
    prefixes = prefix_digests(stream, powers(len(stream)))
    found = [pair for size in range(2, MAX_GRAM + 1) for pair in _equal(index, stream, prefixes, size)]
    found.sort(key=lambda pair: (-index.lengths[pair[1]], pair[0], index.kinds[pair[1]], pair[1]))
    taken = np.zeros(len(stream), bool)
    runs = []
    for start, entry in found:
        length = int(index.lengths[entry])
        span = slice(start, start + length)
        if not taken[span].any() and np.array_equal(stream[span], index.words(entry)):
            taken[span] = True
            runs.append(Run(entry=entry, start=start, length=length))
    no_license = KINDS.index("false-positive")
    return tuple(sorted((run for run in runs if index.kinds[run.entry] != no_license), key=lambda run: run.start))


def _equal(
    index: Index, stream: NDArray[np.uint16], prefixes: NDArray[np.uint64], size: int
) -> Iterator[tuple[int, int]]:
    """Places and entries with equal digests, for entries that are looked up by their first ``size`` words."""
    heads, entries = index.heads[size]
    if len(stream) < size:
        return
    found = grams(stream, np.arange(len(stream) - size + 1), size)
    first = np.searchsorted(heads, found, side="left")
    known = np.flatnonzero(heads[np.minimum(first, len(heads) - 1)] == found)
    first = first[known]
    counts = np.searchsorted(heads, found[known], side="right") - first
    ends = np.cumsum(counts)
    powers_ = powers(len(stream))
    for begin in range(0, int(counts.sum()), _PAIRS):
        pairs = np.arange(begin, min(begin + _PAIRS, int(ends[-1])))
        hits = np.searchsorted(ends, pairs, side="right")
        places = known[hits]
        chosen = entries[first[hits] + pairs - (ends[hits] - counts[hits])]
        inside = places + index.lengths[chosen] <= len(stream)
        places, chosen = places[inside], chosen[inside]
        digests = prefixes[places + index.lengths[chosen]] - prefixes[places]
        equal = digests == index.digests[chosen] * powers_[places]
        yield from zip(places[equal].tolist(), chosen[equal].tolist(), strict=True)
