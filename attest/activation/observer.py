"""What an activation fingerprint is: what it looks at while a network runs, and what it makes of it.

A fingerprint is one file, and one line in ``attest.activation.fingerprints``. Its id is for ever: changed numbers are a
new id. Every sum is over the tokens of one layer, sequence after sequence, so that a network that runs block by block
gives the same numbers as one that runs whole.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.activation.places import Places
from attest.evidence import Table, detail_name

__all__ = ["ActivationFingerprint", "Arrays", "Kind", "Observed", "Observer", "Plan", "Seen", "public_signs"]

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

Kind = Literal["state", "gate", "up", "attention", "logits"]
"""What is seen: the residual stream, what goes into the activation function of an MLP and what it is multiplied with
(``up`` alone without a gate), attention probabilities, and the logits of the next token."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """Numbers of one layer on one sequence.

    Parameters
    ----------
    kind : Kind
    layer : int
        From 0; of ``state`` 0 is the embedding output. 0 for ``logits``.
    sequence : int
    values : ndarray of shape (n_tokens, width), float32
        Of ``attention`` (n_heads, n_tokens, n_tokens), queries by keys.
    """

    kind: Kind
    layer: int
    sequence: int
    values: NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is going to be run.

    Parameters
    ----------
    token_ids : tuple of tuple of int
    places : tuple of Places
        One for each sequence.
    widths : mapping of int to int
        Neurons of the MLP of every layer whose neurons can be seen.
    gated : bool
        Whether these have gates.
    token_name : callable or None
        Text of a token by its id; None without a tokenizer.
    """

    token_ids: tuple[tuple[int, ...], ...]
    places: tuple[Places, ...]
    widths: Mapping[int, int]
    gated: bool
    token_name: Callable[[int], str] | None

    @property
    def tokens(self) -> int:
        """Tokens of all sequences."""
        return sum(map(len, self.token_ids))


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What a fingerprint saw: its arrays, or the reason why there is nothing."""

    arrays: Arrays
    not_measured: str | None = None


class Observer(Protocol):
    """Takes what is seen, one layer and sequence at a time; of one layer the sequences come in order."""

    def watch(self, seen: Seen) -> None:
        """Take numbers in."""

    def held(self) -> Arrays:
        """All that was taken in until now, as arrays."""

    def take_up(self, held: Arrays) -> None:
        """Go on from what another observer of the same plan held."""

    def result(self) -> Observed:
        """What came of them, once all were seen."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ActivationFingerprint:
    """One way to describe what a network does.

    Parameters
    ----------
    id : str
        Permanent name and version, such as ``residual-sketch/v1``.
    kinds : frozenset of Kind
        What it looks at.
    observe : callable
        Gives an observer for a run.
    table : callable
        The arrays in a few numbers a layer, for people; None where that says nothing.
    """

    id: str
    kinds: frozenset[Kind]
    observe: Callable[[Plan], Observer]
    table: Callable[[Arrays], Table | None] = lambda _arrays: None

    @property
    def detail(self) -> str:
        """Name of its detail file in an evidence directory."""
        return detail_name(self.id)


def public_signs(spec: str, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Public random signs, row by row from the bits of SHAKE-256 over ``attest <spec>``: 0 is +1, 1 is -1.

    Parameters
    ----------
    spec : str
    shape : tuple of int
        The second a multiple of 8, so that more rows leave the first as they were. The least significant bit of each
        byte comes first.

    References
    ----------
    FIPS 202, section 6.2. Achlioptas, "Database-friendly random projections", 2003 (signs instead of normal numbers).
    """
    rows, columns = shape
    stream = hashlib.shake_256(f"attest {spec}".encode()).digest(rows * columns // 8)
    bits = np.unpackbits(np.frombuffer(stream, np.uint8), bitorder="little").reshape(shape)
    signs: NDArray[np.float64] = 1.0 - 2.0 * bits.astype(np.float64)
    return signs
