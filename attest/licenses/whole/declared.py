"""What is declared, beside other declarations, the license texts that stand there, and the base model."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from functools import cache

from attest.finding import Finding
from attest.licenses.detect import identify, index, sketches
from attest.licenses.source import cut
from attest.licenses.whole.gathered import WHOLE, Gathered
from attest.resource import resource

__all__ = [
    "base_model_licenses",
    "declared_and_found",
    "families",
    "licenses_named",
    "no_license_file",
    "unlike_declarations",
    "unlinked",
]

_WORD = re.compile(r"[a-z0-9.+]+")
_SYMBOL = re.compile(r"[A-Za-z0-9.+-]+")
_OPERATORS = frozenset({"and", "or", "with"})
_FILLERS = frozenset({"the", "license", "licence", "version"})
_NO_LICENSE_NAMED = frozenset({"other", "unknown"})
_FAMILIES = frozenset(
    {"apache", "bsd", "cc", "gfdl", "gpl", "lgpl", "agpl", "odbl", "odc-by", "openrail", "creative commons"}
)


def no_license_file(gathered: Gathered) -> Iterator[Finding]:
    """That no file with the name of a license was read."""
    if not gathered.of("license-file"):
        unread = len(gathered.of("license-file-not-read"))
        but = f"; {unread} with such a name could not be read" if unread else ""
        text = f"no file with a usual license name was read{but}"
        yield Finding(code="no-license-file", path=WHOLE, line=None, text=text)


def _spelling(value: str) -> tuple[str, ...]:
    """Words of a declared license in a fixed order, so that ``MIT`` and ``MIT License`` count as the same."""
    words = (re.sub(r"^v(?=\d)", "", word) for word in _WORD.findall(value.casefold()))
    return tuple(sorted(word for word in words if word not in _FILLERS))


def _declared(gathered: Gathered) -> list[Finding]:
    """Declared licenses, and declared names where the same file declares none or only ``other``."""
    named = [finding for finding in gathered.of("declared-license") if finding.text.casefold() not in _NO_LICENSE_NAMED]
    settled = {finding.path for finding in named}
    return named + [finding for finding in gathered.of("declared-license-name") if finding.path not in settled]


def unlike_declarations(gathered: Gathered) -> Iterator[Finding]:
    """One finding that lists each declared value with a path, when they are not all the same."""
    places: dict[tuple[str, ...], list[Finding]] = {}
    for finding in sorted(_declared(gathered), key=lambda finding: (finding.path, finding.line or 0)):
        places.setdefault(_spelling(finding.text), []).append(finding)
    if len(places) > 1:
        values = [_value(group) for group in places.values()]
        text = "; ".join(values)
        yield Finding(code="declared-licenses-differ", path=WHOLE, line=None, text=cut(f"{len(values)} values: {text}"))


def _value(group: Sequence[Finding]) -> str:
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{group[0].text} ({group[0].path}{more})"


@cache
def _hub_names() -> dict[str, list[str]]:
    names: dict[str, list[str]] = json.loads(resource("licenses/whole/hub_names.json").read_bytes())["licenses"]
    return names


@cache
def _ids() -> dict[str, str]:
    """License ids that attest knows, by their spelling in lower case."""
    expressions = (*index().expressions, *(sketch.expression for sketch in sketches()))
    return {part.casefold(): part for expression in expressions for part in _SYMBOL.findall(expression)}


def licenses_named(value: str) -> frozenset[str]:
    """License ids that a declared value names, without ``-only`` and ``-or-later``; empty where none is known.

    Examples
    --------
    >>> sorted(licenses_named("apache-2.0 OR MIT")), sorted(licenses_named("The MIT License"))
    (['Apache-2.0', 'MIT'], ['MIT'])
    """
    if value.casefold() in _hub_names():
        return frozenset(_hub_names()[value.casefold()])
    symbols = [symbol.casefold() for symbol in _SYMBOL.findall(value)]
    parts = [symbol for symbol in symbols if symbol not in _OPERATORS]
    if parts and all(part in _ids() for part in parts):
        found = {_ids()[part] for part in parts}
    else:
        expressions = [text.expression for text in identify(value, whole=False).texts]
        found = {part for expression in expressions for part in _SYMBOL.findall(expression)}
    return frozenset(_merged(part) for part in found if part.casefold() not in _OPERATORS)


def _merged(license_: str) -> str:
    return re.sub(r"-(?:only|or-later)$|\+$", "", license_)


def declared_and_found(gathered: Gathered) -> Iterator[Finding]:
    """Each declaration that names none of the licenses whose full text stands in its folder, or else above it."""
    texts: dict[str, set[str]] = {}
    for file in gathered.identified:
        for text in file.texts:
            if text.kind == "text" and not text.change_count:
                folder = file.path.rpartition("/")[0]
                texts.setdefault(folder, set()).update(licenses_named(text.expression))
    for finding in _declared(gathered):
        folder = finding.path.rpartition("/")[0]
        while folder and folder not in texts:
            folder = folder.rpartition("/")[0]
        named, found = licenses_named(finding.text), texts.get(folder, set())
        if named and found and not named & found:
            words = f"declares {finding.text}; the license texts in {folder or 'the first folder'} are {', '.join(sorted(found))}"
            yield Finding(code="declared-and-found-differ", path=finding.path, line=finding.line, text=cut(words))


def families(gathered: Gathered) -> Iterator[Finding]:
    """Declarations that name a family of licenses."""
    for finding in gathered.of("declared-license"):
        if finding.text.casefold().removesuffix(" license") in _FAMILIES:
            yield Finding(code="license-family-only", path=finding.path, line=finding.line, text=finding.text)


def unlinked(gathered: Gathered) -> Iterator[Finding]:
    """Cards that declare ``other`` and neither name nor link a license."""
    told = {finding.path for finding in gathered.of("declared-license-name", "declared-license-link")}
    for finding in gathered.of("declared-license"):
        card = finding.path.rpartition("/")[2].casefold() == "readme.md"
        if card and finding.text.casefold() == "other" and finding.path not in told:
            text = "license: other, with neither license_name nor license_link"
            yield Finding(code="other-license-without-link", path=finding.path, line=finding.line, text=text)


@cache
def _publishers() -> list[dict[str, str]]:
    rows: list[dict[str, str]] = json.loads(resource("licenses/whole/hub_names.json").read_bytes())["baseModels"]
    return rows


def base_model_licenses(gathered: Gathered) -> Iterator[Finding]:
    """Declared base models that are published under another license than their descendant declares."""
    declared = {finding.path: finding for finding in _declared(gathered)}
    for finding in gathered.of("declared-base-model"):
        own = declared.get(finding.path)
        for model in finding.text.split(", "):
            row = next((row for row in _publishers() if re.match(row["name"], model, re.IGNORECASE)), None)
            if own and row and not licenses_named(own.text) & licenses_named(row["license"]):
                text = (
                    f"declares {own.text}; its base model {model} is published under {row['license']} ({row['source']})"
                )
                yield Finding(code="base-model-license-differs", path=finding.path, line=finding.line, text=cut(text))
