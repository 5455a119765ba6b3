"""What a model card declares in the front matter of ``README.md``.

References
----------
Hugging Face Hub documentation, "Model Cards" and "Licenses".
"""

from __future__ import annotations

from collections.abc import Iterator

from attest.finding import Finding
from attest.licenses.source import Source
from attest.licenses.yaml_scalars import declared

__all__ = ["detect"]

_CODES = {
    "license": "declared-license",
    "license_name": "declared-license-name",
    "license_link": "declared-license-link",
    "base_model": "declared-base-model",
}


def _front_matter(source: Source) -> list[str]:
    """Lines between the first ``---`` and the next; none when the file does not begin with it or never closes it."""
    if not source.data.startswith(b"---"):
        return []
    lines = source.text.split("\n")
    if lines[0].rstrip() != "---":
        return []
    for index, line in enumerate(lines[1:], start=1):
        if line.rstrip() == "---":
            return lines[1:index]
    return []


def detect(source: Source) -> Iterator[Finding]:
    """Each declared value; the items of a list are joined by commas."""
    if source.name.casefold() != "readme.md":
        return
    yield from declared(source, _front_matter(source), _CODES, begin=2)
