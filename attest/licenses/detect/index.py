"""The license texts, notices and references that attest knows, as streams of numbered words.

``index.z`` holds a header (source, license expressions, vocabulary), four columns, and the streams of all entries one
behind the other. Keeping whole streams rather than digests is what lets a comparison name the words that differ.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.resource import resource

__all__ = ["KINDS", "MAX_GRAM", "TEXT_BITS", "Index", "index"]

KINDS = ("text", "notice", "tag", "reference", "false-positive")
"""What an entry is; stored as its place here."""

MAX_GRAM = 4
"""Words of the longest gram."""

TEXT_BITS = np.uint64(4095)
"""Lower bits of a sampled gram: they give its text instead, of which there are fewer."""

_UNKNOWN = 65_535
_BASE = 0x9E3779B97F4A7C15
_SAMPLE = 8
_SALTS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93, 0xA0761D6478BD642F], np.uint64)


@dataclass(frozen=True, kw_only=True, slots=True)
class Index:
    """What is known, ready to be looked up.

    Parameters
    ----------
    sha256 : str
        Digest of the index file: who repeats a scan needs the same.
    source : str
        The file that it was made from.
    vocabulary : tuple of str
        Word of each number; ``numbers`` is its inverse.
    expressions : tuple of str
        License expression of each entry; empty for false positives.
    kinds, starts, lengths : ndarray of shape (n_entries,)
        Place in ``KINDS``; where its words begin in ``stream``; how many there are.
    stream : ndarray of uint16
        Words of all entries.
    digests : ndarray of uint64
        Polynomial digest of each entry's words, see ``prefix_digests``.
    heads : mapping of int to (grams, entries)
        For 2, 3, 4: sorted digests of the first so many words of the entries of that length (4: or more), and which.
    sampled : ndarray of uint64
        A fixed sample of the 4-grams of all texts, sorted; ``TEXT_BITS`` of each give the text instead.
    sampled_counts : ndarray of shape (n_entries,)
        How many of them each entry has.
    """

    sha256: str
    source: str
    vocabulary: tuple[str, ...]
    numbers: dict[str, int]
    expressions: tuple[str, ...]
    kinds: NDArray[np.uint8]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    stream: NDArray[np.uint16]
    digests: NDArray[np.uint64]
    heads: dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]]
    sampled: NDArray[np.uint64]
    sampled_counts: NDArray[np.int64]

    def words(self, entry: int) -> NDArray[np.uint16]:
        """Numbered words of an entry."""
        return self.stream[self.starts[entry] : self.starts[entry] + self.lengths[entry]]

    def number(self, words: Sequence[str]) -> NDArray[np.uint16]:
        """Numbers of words; those that no entry has are all one number, which none has."""
        numbers = self.numbers
        return np.array([numbers.get(word, _UNKNOWN) for word in words], np.uint16)


def grams(stream: NDArray[np.uint16], places: NDArray[np.int64], size: int) -> NDArray[np.uint64]:
    """Digest of the ``size`` words from each of some places on, in their order."""
    found = np.zeros(len(places), np.uint64)
    for step in range(size):
        found = (found ^ (stream[places + step].astype(np.uint64) + np.uint64(1))) * _SALTS[step]
        found ^= found >> np.uint64(29)
    return found


def sampled_places(stream: NDArray[np.uint16]) -> NDArray[np.int64]:
    """Places of the 4-grams that stand for a text: those whose first two words have a digest below a limit."""
    wide = stream.astype(np.uint32) * np.uint32(0x9E3779B1)
    pairs = (wide[:-3] ^ (wide[1:-2] >> np.uint32(7))) * np.uint32(0x85EBCA6B)
    return np.flatnonzero(pairs < np.uint32(2**32 // _SAMPLE))


def powers(count: int) -> NDArray[np.uint64]:
    """At least ``count`` powers of the base of ``prefix_digests``, modulo 2**64."""
    return _powers(max(count - 1, 0).bit_length())


@cache
def _powers(doublings: int) -> NDArray[np.uint64]:
    found = np.ones(1, np.uint64)
    factor = _BASE
    for _ in range(doublings):
        found = np.concatenate([found, found * np.uint64(factor)])
        factor = factor * factor % 2**64
    return found


def prefix_digests(stream: NDArray[np.uint16], powers_: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Sums of ``(word + 1) * power`` before each place, modulo 2**64.

    With powers of one base in order, equal words at places i and j have digests that differ by the factor ``base**(j - i)``. It only proposes; who finds
    equal digests compares the words.
    """
    terms = (stream.astype(np.uint64) + np.uint64(1)) * powers_[: len(stream)]
    return np.concatenate([np.zeros(1, np.uint64), np.cumsum(terms, dtype=np.uint64)])


def _heads(
    stream: NDArray[np.uint16], starts: NDArray[np.int64], lengths: NDArray[np.int64]
) -> dict[int, tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    heads = {}
    for size in range(2, MAX_GRAM + 1):
        entries = np.flatnonzero(lengths >= size if size == MAX_GRAM else lengths == size)
        found = grams(stream, starts[entries], size)
        order = np.argsort(found, kind="stable")
        heads[size] = (found[order], entries[order])
    return heads


def _sampled(
    stream: NDArray[np.uint16], starts: NDArray[np.int64], lengths: NDArray[np.int64], texts: int
) -> NDArray[np.uint64]:
    """Sampled grams of the texts, which are the first entries; those that lie within one."""
    places = sampled_places(stream[: starts[texts]])
    entries = np.searchsorted(starts[:texts], places, side="right") - 1
    inside = places + MAX_GRAM <= (starts + lengths)[entries]
    found = grams(stream, places[inside], MAX_GRAM)
    return np.sort((found & ~TEXT_BITS) | entries[inside].astype(np.uint64))


@cache
def index() -> Index:
    """The index that is shipped with attest, read once."""
    packed = resource("licenses/detect/index.z").read_bytes()
    raw = zlib.decompress(packed)
    size = int.from_bytes(raw[:4], "little")
    header = json.loads(raw[4 : 4 + size])
    count = header["entries"]
    begin = 4 + size
    digests = np.frombuffer(raw, "<u8", count, begin)
    expressions = np.frombuffer(raw, "<u2", count, begin + 8 * count)
    lengths = np.frombuffer(raw, "<u2", count, begin + 10 * count).astype(np.int64)
    stream = np.frombuffer(raw, "<u2", int(lengths.sum()), begin + 12 * count)
    kinds = np.frombuffer(raw, np.uint8, count, begin + 12 * count + stream.nbytes)
    starts = np.cumsum(lengths) - lengths
    sampled = _sampled(stream, starts, lengths, int(np.count_nonzero(kinds == KINDS.index("text"))))
    return Index(
        sha256=sha256(packed),
        source=header["source"],
        vocabulary=tuple(header["vocabulary"]),
        numbers={word: number for number, word in enumerate(header["vocabulary"])},
        expressions=tuple(map(header["expressions"].__getitem__, expressions.tolist())),
        kinds=kinds,
        starts=starts,
        lengths=lengths,
        stream=stream,
        digests=digests,
        heads=_heads(stream, starts, lengths),
        sampled=sampled,
        sampled_counts=np.bincount((sampled & TEXT_BITS).astype(np.int64), minlength=count),
    )
