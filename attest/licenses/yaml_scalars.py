"""The top-level scalars, and lists of scalars, of a YAML text.

It is read line by line: a YAML library would read (and on hostile input expand) far more than is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["Scalar", "declared", "scalars"]

_FIELD = re.compile(r"([a-z_-]{1,40}):(?:[ \t](.*))?", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Scalar:
    """A field and its value; ``line`` counts from 0. ``text`` is None where the value is of a kind that is not read."""

    name: str
    line: int
    text: str | None


def _scalar(text: str) -> str:
    """Plain or quoted scalar without its comment."""
    text = text.strip()
    if text[:1] in ("'", '"'):
        return text[1:].partition(text[0])[0]
    return "" if text.startswith("#") else text.partition(" #")[0].rstrip()


def _items(lines: Sequence[str], start: int) -> Iterator[str]:
    """Scalars of the block list that begins at a line."""
    for line in lines[start:]:
        item = line.strip()
        if not item.startswith("- "):
            return
        yield _scalar(item[2:])


def scalars(lines: Sequence[str], names: frozenset[str]) -> Iterator[Scalar]:
    """Fields of these names that have a value; the items of a list are joined by commas."""
    for index, line in enumerate(lines):
        field = _FIELD.fullmatch(line)
        if not field or field[1] not in names:
            continue
        value = _scalar(field[2] or "")
        if value.startswith("[") and value.endswith("]"):
            value = ", ".join(_scalar(item) for item in value[1:-1].split(","))
        elif not value:
            value = ", ".join(_items(lines, index + 1))
        if value:
            yield Scalar(name=field[1], line=index, text=None if value[0] in "|>&*!{[" else value)


def declared(source: Source, lines: Sequence[str], codes: Mapping[str, str], *, begin: int = 1) -> Iterator[Finding]:
    """A finding for each field that has a code; ``begin`` is the number of the first line in the source."""
    for field in scalars(lines, frozenset(codes)):
        if field.text is None:
            words = f"{lines[field.line]} (neither a scalar nor a list of scalars)"
            yield source.finding("declaration-not-read", field.line + begin, words)
        else:
            yield source.finding(codes[field.name], field.line + begin, field.text)
