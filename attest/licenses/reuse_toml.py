"""What ``REUSE.toml`` says of files that carry no tags themselves.

References
----------
REUSE specification 3.3, "REUSE.toml".
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attest.finding import Finding
from attest.licenses.source import Source
from attest.licenses.toml_table import BadTomlError, parse_toml

__all__ = ["detect"]

_CODES = {"SPDX-License-Identifier": "spdx-license", "SPDX-FileCopyrightText": "spdx-copyright"}


def _texts(value: Any) -> list[str]:
    """A text, or a list of texts."""
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str) and item.strip()]


def detect(source: Source) -> Iterator[Finding]:
    """Each license and copyright of each annotation, with the paths that it is for."""
    if source.name != "REUSE.toml":
        return
    try:
        annotations = parse_toml(source.data).get("annotations")
    except BadTomlError as error:
        yield source.finding("declaration-not-read", None, str(error))
        return
    for annotation in annotations if isinstance(annotations, list) else ():
        if not isinstance(annotation, dict):
            continue
        paths = ", ".join(_texts(annotation.get("path")))
        for field, code in _CODES.items():
            for text in _texts(annotation.get(field)):
                line = source.line_of(text.encode())
                yield source.finding(code, line, f"{text} (for {paths})" if paths else text)
