"""What came out of measuring again: value by value, and of how much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Outcome", "Reproduction", "Value"]

Outcome = Literal["identical", "within-tolerance", "differs", "not-measured"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Value:
    """One signed value, and how it came out again.

    Parameters
    ----------
    name : str
        What it is, such as ``fingerprint unit-norms/v1``.
    outcome : {"identical", "within-tolerance", "differs", "not-measured"}
    message : str
        By how much it differs, or why it was not measured. May quote names from the checkpoint.
    """

    name: str
    outcome: Outcome
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Reproduction:
    """All values, in the order of the evidence.

    Parameters
    ----------
    checkpoint : str
        Name as signed.
    statement_sha256 : str
    values : tuple of Value
    files, bytes : int
        Of the reader's copy, all of them read; 0 for a comparison, which evidence may suffice for.
    not_asked : tuple of str
        Values that the reader left out, or that the evidence names without a file.
    same_program : bool
        Whether the statement was made by the very code that ran now.
    """

    checkpoint: str
    statement_sha256: str
    values: tuple[Value, ...]
    files: int
    bytes: int
    not_asked: tuple[str, ...]
    same_program: bool

    @property
    def reproduced(self) -> bool:
        """Whether every value that was measured again came out the same, and at least one was."""
        outcomes = [value.outcome for value in self.values]
        return "differs" not in outcomes and any(outcome != "not-measured" for outcome in outcomes)

    @property
    def not_measured(self) -> tuple[str, ...]:
        """Values that the reader asked for, and that could not be measured."""
        missing = (value.name for value in self.values if value.outcome == "not-measured")
        return tuple(name for name in missing if name not in self.not_asked)
