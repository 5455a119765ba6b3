"""Whether two records hold the same numbers: value by value, to the digits that are signed or within a tolerance."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from attest.reproduction import Outcome

__all__ = ["AXES", "LAST_DIGIT", "Differences", "Tolerance"]

_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[-+]?\d+)?)")
_PVALUES = frozenset({"pvalue", "smallestPvalue", "normalPvalue"})
_SHORT = 60
_BEFORE = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Tolerance:
    """How far two numbers may be apart.

    Parameters
    ----------
    share : float
        Of the larger one.
    least : float
        Allowed for small ones, too, except p-values.
    pvalue : float
        Share of the larger one for p-values.
    drawn : float
        Share of a histogram's draws that may have gone to another bin.
    """

    share: float
    least: float
    pvalue: float
    drawn: float


LAST_DIGIT = Tolerance(share=1e-5, least=1e-9, pvalue=1e-5, drawn=0)
"""One step in the last of six digits."""

AXES = Tolerance(share=2e-3, least=2e-3, pvalue=1e-2, drawn=0.01)
"""For what passed through LAPACK: twice what was found between kinds of processor."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Differences:
    """What is not the same in two records.

    Parameters
    ----------
    outcome : {"identical", "within-tolerance", "differs"}
    message : str
        The first difference that is not tolerated, else the first; empty where there is none. May quote the records.
    """

    outcome: Outcome
    message: str

    @classmethod
    def of(cls, signed: object, fresh: object, tolerance: Tolerance) -> Self:
        """Differences of two values made of mappings, sequences, strings, numbers and null."""
        found = list(_differences("", signed, fresh, tolerance))
        if not found:
            return cls(outcome="identical", message="")
        beyond = [words for words, is_within in found if not is_within]
        words = beyond or [words for words, _ in found]
        more = f"; and {len(words) - 1} more" if len(words) > 1 else ""
        return cls(outcome="differs" if beyond else "within-tolerance", message=words[0] + more)


def _differences(name: str, signed: Any, fresh: Any, tolerance: Tolerance) -> Iterator[tuple[str, bool]]:
    """Every difference in words, and whether it is tolerated."""
    if signed == fresh:
        return
    if isinstance(signed, Mapping) and isinstance(fresh, Mapping):
        for key in dict.fromkeys((*signed, *fresh)):
            yield from _differences(f"{name} {key}".strip(), signed.get(key), fresh.get(key), tolerance)
    elif _is_list(signed) and _is_list(fresh) and len(signed) == len(fresh):
        if name.endswith(" counts"):
            moved = sum(abs(before - after) for before, after in zip(signed, fresh, strict=True)) / 2
            yield f"{name}: {moved:g} draws went elsewhere", moved <= tolerance.drawn * sum(signed)
            return
        for number, (before, after) in enumerate(zip(signed, fresh, strict=True), start=1):
            yield from _differences(f"{name} {number}", before, after, tolerance)
    else:
        was, now = _short(signed, fresh)
        yield f"{name} was {was}, now {now}", _is_close(name, signed, fresh, tolerance)


def _is_list(value: object) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _is_close(name: str, signed: object, fresh: object, tolerance: Tolerance) -> bool:
    """Whether two numbers, or two texts with numbers in them, say the same."""
    if isinstance(signed, float) and isinstance(fresh, float):
        largest = max(abs(signed), abs(fresh))
        if not math.isfinite(largest):
            return False
        if name.rpartition(" ")[2] in _PVALUES:
            return abs(signed - fresh) <= tolerance.pvalue * largest
        return abs(signed - fresh) <= max(tolerance.least, tolerance.share * largest)
    if isinstance(signed, str) and isinstance(fresh, str):
        before, after = _NUMBER.split(signed), _NUMBER.split(fresh)
        return before[::2] == after[::2] and all(
            first == second or ("." in first + second and _is_close("", float(first), float(second), tolerance))
            for first, second in zip(before[1::2], after[1::2], strict=True)
        )
    return False


def _short(*values: object) -> Iterator[str]:
    """Two values in a few words; texts from shortly before the place where they part."""
    texts = ["null" if value is None else str(value) for value in values]
    part = next((place for place, (one, other) in enumerate(zip(*texts, strict=False)) if one != other), 0)
    begin = max(0, part - _BEFORE)
    for text in texts:
        start = "…" if begin else ""
        yield start + (text[begin:] if len(text) - begin <= _SHORT else f"{text[begin : begin + _SHORT]}…")
