"""What a model card declares in the front matter of ``README.md``.

Only top-level scalars and lists of scalars are read, line by line: a YAML library would read (and on hostile input
expand) far more than is asked for.

References
----------
Hugging Face Hub documentation, "Model Cards" and "Licenses".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from attest.finding import Finding
from attest.licenses.source import Source

__all__ = ["detect"]

_CODES = {
    "license": "declared-license",
    "license_name": "declared-license-name",
    "license_link": "declared-license-link",
    "base_model": "declared-base-model",
}
_FIELD = re.compile(r"(license|license_name|license_link|base_model):(?:[ \t](.*))?", re.DOTALL)


def _front_matter(source: Source) -> list[str]:
    """Lines between the first ``---`` and the next; none when the file does not begin with it or never closes it."""
    if not source.data.startswith(b"---"):
        return []
    lines = source.data.decode("utf-8", "replace").split("\n")
    if lines[0].rstrip() != "---":
        return []
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return lines[1:index]
    return []


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


def detect(source: Source) -> Iterator[Finding]:
    """Each declared value; the items of a list are joined by commas."""
    if source.name.casefold() != "readme.md":
        return
    lines = _front_matter(source)
    for index, line in enumerate(lines):
        field = _FIELD.fullmatch(line)
        if not field:
            continue
        value = _scalar(field[2] or "")
        if value.startswith("[") and value.endswith("]"):
            value = ", ".join(_scalar(item) for item in value[1:-1].split(","))
        elif not value:
            value = ", ".join(_items(lines, index + 1))
        if value[:1] and value[0] in "|>&*!{[":
            yield source.finding("declaration-not-read", index + 2, f"{line} (neither a scalar nor a list of scalars)")
        elif value:
            yield source.finding(_CODES[field[1]], index + 2, value)
