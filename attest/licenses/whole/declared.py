"""What is declared, beside other declarations, the license texts that stand there, and the base model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from attest.finding import Finding
from attest.licenses.license_name import FILLERS, is_family, licenses_linked, licenses_named, publishers
from attest.licenses.source import cut
from attest.licenses.whole.gathered import WHOLE, Gathered

__all__ = [
    "Declaration",
    "base_model_licenses",
    "declarations",
    "declared_and_found",
    "families",
    "no_license_file",
    "unlike_declarations",
    "unlinked",
]

_WORD = re.compile(r"[a-z0-9.+]+")
_NO_LICENSE_NAMED = frozenset({"other", "unknown"})


_DECLARING = ("declared-license", "declared-license-name", "declared-license-link")


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """A declared license, and the ids that it names; none where attest knows none."""

    finding: Finding
    licenses: frozenset[str]


def declarations(findings: Iterable[Finding]) -> Iterator[Declaration]:
    """What each file declares; where that is ``other`` or nothing, its license's name, and else the link to it.

    Notes
    -----
    A link is not followed: pages of licenses that attest knows are told by their address.
    """
    files: dict[str, list[Declaration]] = {}
    for finding in findings:
        if finding.code in _DECLARING:
            named = (licenses_linked if finding.code.endswith("-link") else licenses_named)(finding.text)
            files.setdefault(finding.path, []).append(Declaration(finding=finding, licenses=named))
    for _, found in sorted(files.items()):
        plain = [one for one in found if one.finding.code == _DECLARING[0]]
        told = [one for one in plain if one.finding.text.casefold() not in _NO_LICENSE_NAMED]
        others = sorted(
            (one for one in found if one not in plain),
            key=lambda one: (not one.licenses, _DECLARING.index(one.finding.code)),
        )
        yield from told or others[:1] or plain


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
    return tuple(sorted(word for word in words if word not in FILLERS))


def _declared(gathered: Gathered) -> list[Finding]:
    """Declared licenses, and declared names where the same file declares none or only ``other``."""
    found = (one.finding for one in declarations(gathered.findings))
    return [one for one in found if one.code != _DECLARING[2] and one.text.casefold() not in _NO_LICENSE_NAMED]


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
        if is_family(finding.text):
            yield Finding(code="license-family-only", path=finding.path, line=finding.line, text=finding.text)


def unlinked(gathered: Gathered) -> Iterator[Finding]:
    """Cards that declare ``other`` and neither name nor link a license."""
    told = {finding.path for finding in gathered.of("declared-license-name", "declared-license-link")}
    for finding in gathered.of("declared-license"):
        card = finding.path.rpartition("/")[2].casefold() == "readme.md"
        if card and finding.text.casefold() == "other" and finding.path not in told:
            text = "license: other, with neither license_name nor license_link"
            yield Finding(code="other-license-without-link", path=finding.path, line=finding.line, text=text)


def base_model_licenses(gathered: Gathered) -> Iterator[Finding]:
    """Declared base models that are published under another license than their descendant declares."""
    declared = {finding.path: finding for finding in _declared(gathered)}
    for finding in gathered.of("declared-base-model"):
        own = declared.get(finding.path)
        for model in finding.text.split(", "):
            row = next((row for row in publishers() if re.match(row["name"], model, re.IGNORECASE)), None)
            named = licenses_named(own.text) if own else frozenset()
            if own and row and named and not named & licenses_named(row["license"]):
                text = (
                    f"declares {own.text}; its base model {model} is published under {row['license']} ({row['source']})"
                )
                yield Finding(code="base-model-license-differs", path=finding.path, line=finding.line, text=cut(text))
