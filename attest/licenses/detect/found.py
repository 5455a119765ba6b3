"""What was found in a text: known texts, how they differ from what stands here, and the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from attest.licenses.detect.words import words_of

__all__ = ["Change", "FoundText", "Identification", "Kind", "Rest", "Verdict", "announces"]

Kind: TypeAlias = Literal["text", "notice", "tag", "reference"]
Verdict: TypeAlias = Literal["exact", "contained", "near", "reference-only", "unknown"]

_TITLE = frozenset({
    "the", "license", "licenses", "version", "terms", "conditions", "full", "text", "of", "is", "as",
    "follows", "under", "this", "and",
})  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """Words of the known license, and what the text has in their place; either may be empty."""

    known: str
    here: str
    line: int


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundText:
    """A known license text, notice, tag or reference in a file.

    Parameters
    ----------
    expression : str
        License expression of what was found, or with ``changes`` of what is nearest.
    kind : str
    line, last_line : int
        From 1.
    license_words, found_words : int
        Words of what is known, and how many of them stand here in order.
    changes : tuple of Change
        What differs beyond the names of parties; empty where the whole stands here.
    tolerated : tuple of Change
        Differences that leave a license what it is: another party named, another mark of a list.
    """

    expression: str
    kind: Kind
    line: int
    last_line: int
    license_words: int
    found_words: int
    changes: tuple[Change, ...]
    tolerated: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Rest:
    """Words of a text that nothing known explains."""

    line: int
    last_line: int
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Identification:
    """What a text holds.

    Parameters
    ----------
    words : int
        Normalized words of the text.
    texts : tuple of FoundText
        In order of the text.
    rest : tuple of Rest
        What none of them explains.
    """

    words: int
    texts: tuple[FoundText, ...]
    rest: tuple[Rest, ...]

    @property
    def verdict(self) -> Verdict:
        """What may be said of the text as a whole; the weakest of the license texts that it holds."""
        texts = [text for text in self.texts if text.kind == "text"]
        if any(text.changes for text in texts):
            return "near"
        if texts:
            return (
                "contained"
                if any(not announces(rest.words, *(text.expression for text in texts)) for rest in self.rest)
                else "exact"
            )
        return "reference-only" if self.texts else "unknown"

    @property
    def rest_words(self) -> int:
        """How many words nothing known explains."""
        return sum(len(rest.words) for rest in self.rest)


def announces(words: Sequence[str], *expressions: str) -> bool:
    """Whether words say no more than the names of licenses, as a title does."""
    names = {part for expression in expressions for part in words_of(expression.replace("-", " ")).words}
    return all(word in _TITLE or word in names for word in words)
