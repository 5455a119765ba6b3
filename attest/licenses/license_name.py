"""What licenses a declared value names: an SPDX expression, a name of the Hub, a usual name, or a link to a license."""

from __future__ import annotations

import json
import re
from functools import cache, lru_cache
from typing import Any

from attest.licenses.detect import identify, index, sketches
from attest.licenses.source import MAX_TEXT
from attest.resource import resource

__all__ = ["FILLERS", "has_several_versions", "is_family", "licenses_linked", "licenses_named", "publishers"]

FILLERS = frozenset({"the", "license", "licence", "version"})
"""Words that make a name no other."""

_SYMBOL = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = frozenset({"and", "or", "with"})
_BESIDE = FILLERS | {"see", "in", "file", "md", "txt"}
_FAMILIES = frozenset(
    {"apache", "bsd", "cc", "gfdl", "gpl", "lgpl", "agpl", "odbl", "odc-by", "openrail", "creative commons"}
)


@cache
def _known_names() -> dict[str, Any]:
    names: dict[str, Any] = json.loads(resource("licenses/hub_names.json").read_bytes())
    return names


def publishers() -> list[dict[str, str]]:
    """Base models by patterns of their names, the license that each is published under, and who says so."""
    rows: list[dict[str, str]] = _known_names()["baseModels"]
    return rows


@cache
def _ids() -> dict[str, str]:
    """License ids that attest knows, by their spelling in lower case."""
    expressions = (*index().expressions, *(sketch.expression for sketch in sketches()))
    return {part.casefold(): part for expression in expressions for part in _SYMBOL.findall(expression)}


@lru_cache(maxsize=4096)
def licenses_named(value: str) -> frozenset[str]:
    """License ids that a declared value names, without ``-only`` and ``-or-later``; empty where none is known.

    A value that says more than a name, such as ``Modified MIT License``, names none; nor does one that may have been cut.

    Examples
    --------
    >>> sorted(licenses_named("apache-2.0 OR MIT")), sorted(licenses_named("The MIT License"))
    (['Apache-2.0', 'MIT'], ['MIT'])
    """
    if len(value) >= MAX_TEXT:
        return frozenset()
    versions = _known_names()["licenses"].get(value.casefold())
    if versions:
        return frozenset(versions)
    symbols = [symbol.casefold() for symbol in _SYMBOL.findall(value)]
    parts = [symbol for symbol in symbols if symbol not in _OPERATORS]
    if parts and all(part in _ids() for part in parts):
        return frozenset(_merged(_ids()[part]) for part in parts)
    joined = "-".join(value.split()).casefold()
    if joined in _ids():
        return frozenset({_merged(_ids()[joined])})
    found = identify(value, whole=False)
    if any(word not in _BESIDE for rest in found.rest for word in rest.words):
        return frozenset()
    named = {part for text in found.texts for part in _SYMBOL.findall(text.expression)}
    return frozenset(_merged(part) for part in named if part.casefold() not in _OPERATORS)


def licenses_linked(link: str) -> frozenset[str]:
    """License ids of the page that a link leads to, as far as attest knows the page; the page is not read."""
    for row in _known_names()["links"]:
        if re.fullmatch(row["link"], link, re.IGNORECASE):
            return licenses_named(row["license"])
    return licenses_named(link)


def has_several_versions(value: str) -> bool:
    """Whether a name of the Hub stands for several versions of a license, whose clauses may differ."""
    return len(_known_names()["licenses"].get(value.casefold(), ())) > 1


def is_family(value: str) -> bool:
    """Whether a value names a family of licenses, and none of them."""
    return value.casefold().removesuffix(" license") in _FAMILIES


def _merged(license_: str) -> str:
    return re.sub(r"-(?:only|or-later)$|\+$", "", license_)
