"""The known text that is nearest to a part of a text, aligned with it word by word."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from attest.licenses.detect.align import Difference, differences
from attest.licenses.detect.found import Change, FoundText, announces
from attest.licenses.detect.index import KINDS, MAX_GRAM, TEXT_BITS, Index, grams, index, sampled_places
from attest.licenses.detect.words import Words

__all__ = ["MIN_COVERAGE", "nearest_text", "twins"]

MIN_COVERAGE = 0.6
"""Share of a license's words that a text must hold to be called near it."""

_MIN_ESTIMATE = 0.3
_MIN_GRAMS = 3
_CANDIDATES = 24
_MARGIN = 40
_CHANGE_COST = 2
_PARTY_WORDS = 14
_TWIN = 0.9
_PARTY = frozenset({
    "a", "listed", "s", "above", "an", "and", "any", "author", "authors", "based", "by", "company",
    "contributor", "contributors", "copyright", "developer", "developers", "holder", "holders", "individual",
    "its", "licensor", "name", "names", "nor", "of", "on", "or", "organization", "organizations", "other",
    "owner", "person", "persons", "regents", "respective", "the", "their", "this", "university", "california",
    "berkeley", "institution", "foundation", "project", "team", "group", "inc", "corporation",
})  # fmt: skip
_CONDITION = frozenset({
    "not", "no", "non", "never", "only", "except", "unless", "without", "must", "shall", "may", "provided",
    "prohibited", "restricted", "commercial", "written", "permission", "use", "modify", "distribute",
    "revenue", "users", "if",
})  # fmt: skip
_LIST_MARK = re.compile(r"[a-z]|[ivx]{1,4}|\d{1,2}(?:\.\d{1,2})*")


def _hits(
    known: Index, stream: NDArray[np.uint16], free: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of sampled grams in the free part of a text, and the entry of each."""
    if len(stream) < MAX_GRAM:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    places = sampled_places(stream)
    places = places[free[places] & free[places + MAX_GRAM - 1]]
    found = grams(stream, places, MAX_GRAM)
    first = np.searchsorted(known.sampled, found & ~TEXT_BITS, side="left")
    counts = np.searchsorted(known.sampled, found | TEXT_BITS, side="right") - first
    begins = np.repeat(first, counts)
    steps = np.arange(len(begins)) - np.repeat(np.cumsum(counts) - counts, counts)
    return np.repeat(places, counts), (known.sampled[begins + steps] & TEXT_BITS).astype(np.int64)


def nearest_text(
    known: Index, words: Words, stream: NDArray[np.uint16], free: NDArray[np.bool_]
) -> tuple[int, int, FoundText] | None:
    """The known text that explains most of what is free, and where it begins and ends."""
    places, entries = _hits(known, stream, free)
    counts = np.bincount(entries, minlength=len(known.kinds))
    estimates = counts / np.maximum(known.sampled_counts, 1)
    likely = np.flatnonzero((estimates >= _MIN_ESTIMATE) & (counts >= _MIN_GRAMS))
    order = np.lexsort((likely, -(counts * np.minimum(estimates, 1))[likely]))
    best: tuple[int, int, FoundText] | None = None
    worth = -float(len(stream))
    for entry in likely[order][:_CANDIDATES].tolist():
        begin, end = _window(places[entries == entry], int(known.lengths[entry]), len(stream))
        aligned = _aligned(known, words, stream, entry, begin, end)
        if aligned is None:
            continue
        near = aligned[2]
        changed = sum(len(change.known.split()) + len(change.here.split()) for change in near.changes)
        worth_here = near.found_words - _CHANGE_COST * changed - len(near.tolerated) / 10
        if worth_here > worth:
            best, worth = aligned, worth_here
    return best


def _window(places: NDArray[np.int64], length: int, count: int) -> tuple[int, int]:
    """The part of a text where most of a known text's grams lie, with a margin."""
    ends = np.searchsorted(places, places + int(length * 1.25) + _MARGIN, side="right")
    first = int(np.argmax(ends - np.arange(len(places))))
    begin, last = int(places[first]), int(places[ends[first] - 1])
    margin = _MARGIN + length // 10
    return max(0, begin - margin), min(count, last + MAX_GRAM + margin)


def _aligned(
    known: Index, words: Words, stream: NDArray[np.uint16], entry: int, begin: int, end: int
) -> tuple[int, int, FoundText] | None:
    """A known text aligned with a part of a text: begin and end of what it explains, and how they differ."""
    license_ = known.words(entry)
    found = list(differences(license_, stream[begin:end]))
    if found and found[0].begin == 0 and found[0].here_begin == 0:  # what stands before is not the license's
        first = found.pop(0)
        found[:0] = [Difference(begin=0, end=first.end, here_begin=first.here_end, here_end=first.here_end)]
    if found and found[-1].end == len(license_) and found[-1].here_end == end - begin:
        last = found.pop()
        found.append(Difference(begin=last.begin, end=last.end, here_begin=last.here_begin, here_end=last.here_begin))
    here_begin = begin + (found[0].here_begin if found and found[0].begin == 0 else 0)
    here_end = begin + found[-1].here_begin if found and found[-1].end == len(license_) else end
    missing = sum(difference.end - difference.begin for difference in found)
    if len(license_) - missing < MIN_COVERAGE * len(license_) or here_begin >= here_end:
        return None
    tolerated: list[Change] = []
    changes: list[Change] = []
    for difference in found:
        change = _change(known, words, license_, difference, begin)
        if change.known or change.here:
            (tolerated if _is_tolerated(change) else changes).append(change)
    if changes and found[0].begin == 0 and _is_untitled(changes[0], known.expressions[entry]):
        changes.pop(0)
    return (
        here_begin,
        here_end,
        FoundText(
            expression=known.expressions[entry],
            kind="text",
            line=words.lines[here_begin],
            last_line=words.lines[here_end - 1],
            license_words=len(license_),
            found_words=len(license_) - missing,
            changes=tuple(changes),
            tolerated=tuple(tolerated),
        ),
    )


def _is_untitled(change: Change, expression: str) -> bool:
    """Whether the first difference is only that the known text begins with its own name."""
    return not change.here and announces(change.known.split(), expression)


def _change(known: Index, words: Words, license_: NDArray[np.uint16], difference: Difference, begin: int) -> Change:
    at = min(begin + difference.here_begin, len(words.lines) - 1)
    return Change(
        known=" ".join(known.vocabulary[word] for word in license_[difference.begin : difference.end]),
        here=" ".join(words.words[begin + difference.here_begin : begin + difference.here_end]),
        line=words.lines[at],
    )


def _is_tolerated(change: Change) -> bool:
    """Whether a known text names a party here and the text another, or only one of them has a mark of a list."""
    known, here = change.known.split(), change.here.split()
    if len(known) + len(here) == 1:
        return bool(_LIST_MARK.fullmatch((known + here)[0]))
    named = bool(known) and all(word in _PARTY for word in known) and len(here) <= _PARTY_WORDS
    return named and not _CONDITION & set(here)


def twins(expression: str) -> tuple[str, ...]:
    """Licenses with a text that hardly differs from a license's, itself left out.

    Notes
    -----
    Two texts are twins when they share nine tenths of the sampled 4-grams of both: which of them is meant turns on a
    few words, and a file may not say.
    """
    known = index()
    found: set[str] = set()
    for entry in range(int(np.count_nonzero(known.kinds == KINDS.index("text")))):
        if known.expressions[entry] == expression:
            stream = known.words(entry)
            _, entries = _hits(known, stream, np.ones(len(stream), bool))
            shared = np.bincount(entries, minlength=len(known.kinds))
            either = known.sampled_counts[entry] + known.sampled_counts - shared
            near = np.flatnonzero((shared >= _TWIN * np.maximum(either, 1)) & (shared >= _MIN_GRAMS))
            found |= {known.expressions[other] for other in near.tolist()}
    return tuple(sorted(found - {expression}))
