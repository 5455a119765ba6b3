"""What the sections of the report are written with: tables, numbers, and the cells of the matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from attest.document import decimal
from validity.summary import cells, highest, of_kind, unrelated_pairs

__all__ = ["Record", "limits_of", "matrix_of", "number", "short", "table", "titles_of"]

Record: TypeAlias = Mapping[str, Any]
"""A run's results, or a part of them."""


def table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(str(cell) for cell in row) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def number(value: float | None, digits: int = 3) -> str:
    """A number as it is printed; a dash for none."""
    return "-" if value is None else decimal(value, digits)


def short(name: str) -> str:
    """A test's name without its version."""
    return name.removesuffix("/v1")


def limits_of(record: Record) -> dict[str, float]:
    """The highest value of each test over all unrelated pairs."""
    return highest(unrelated_pairs(record["pairs"]))


def matrix_of(record: Record) -> dict[tuple[str, str], dict[str, Any]]:
    """What was seen of each alteration at each stage."""
    return cells(of_kind(record["pairs"], "derived"), limits_of(record))


def titles_of(record: Record) -> dict[str, str]:
    """Titles of the alterations, by name."""
    return {row["name"]: row["title"] for row in record["rows"]}
