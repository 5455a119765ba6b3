"""Places of a text that are looked at: ends of words, which are the same whatever tokenizer cuts the text.

Two networks with different tokenizers are fed different tokens. What they do after having read the same words can be
compared nevertheless, at the tokens that end where a word ends.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_PLACES", "Places", "places_of_text", "places_of_tokens", "table_of_places"]

MOST_PLACES = 512
"""Places in all sequences together."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W\u3040-\u30ff\u3400-\u9fff]+")
"""A run of letters, digits and underscores; a Chinese or Japanese character stands for itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Places of one sequence, ascending.

    Parameters
    ----------
    ends : tuple of int
        Characters of the text up to the end of a word; for random token ids the token's place itself.
    tokens : tuple of int
        Which token of the sequence ends there.
    """

    ends: tuple[int, ...]
    tokens: tuple[int, ...]


def places_of_text(text: str, ends: Sequence[int], *, sequences: int) -> Places:
    """Places of a text.

    Parameters
    ----------
    text : str
    ends : sequence of int
        Where each token that is fed ends, in characters of the text; 0 for tokens that are not of it.
    sequences : int
        Number of texts: each has its share of ``MOST_PLACES``.

    Notes
    -----
    Which ends are looked at follows from the text alone: of all words but the first, evenly. A first token takes the
    attention that no other place gets, and its activations are far larger than all others. Where no token ends with
    the word, the place is left out; where several do, the last counts.
    """
    words = [match.end() for match in _WORD.finditer(text)][1:]
    last = {end: token for token, end in enumerate(ends)}
    held = [end for end in _evenly(words, MOST_PLACES // sequences) if end in last]
    return Places(ends=tuple(held), tokens=tuple(last[end] for end in held))


def places_of_tokens(length: int, *, sequences: int) -> Places:
    """Places of a sequence of random token ids: of all tokens but the first, evenly."""
    held = tuple(_evenly(range(1, length), MOST_PLACES // sequences))
    return Places(ends=held, tokens=held)


def _evenly(items: Sequence[int], most: int) -> list[int]:
    if len(items) <= most:
        return list(items)
    return [items[place * len(items) // most] for place in range(most)]


def table_of_places(places: Sequence[Places]) -> NDArray[np.int64]:
    """Sequence and end of all places, shape (n_places, 2)."""
    rows = [(number, end) for number, one in enumerate(places) for end in one.ends]
    return np.array(rows, dtype=np.int64).reshape(-1, 2)
