"""What the licenses that were found or are declared ask for, each with its clause, and what the files show of it."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from typing import Literal, TypeAlias

from attest.finding import Finding
from attest.license_summary import Obligation, UntoldLicense
from attest.licenses.license_file import code_of_name
from attest.licenses.license_name import has_several_versions, is_family, licenses_named
from attest.licenses.license_text import IdentifiedFile, IdentifiedText
from attest.licenses.repository import Scan
from attest.licenses.whole.declared import Declaration, declarations
from attest.resource import resource

__all__ = ["UNTOLD_REASONS", "Clause", "clauses", "obligations", "untold"]

_Reason: TypeAlias = Literal["no-clauses", "family", "several-versions", "not-known", "changed-text"]
_MAX_UNTOLD = 100

UNTOLD_REASONS = {
    "no-clauses": "attest knows this license and none of its clauses",
    "family": "a family of licenses, and none of them",
    "several-versions": "a name for several versions, whose clauses may differ",
    "not-known": "names no license that attest knows",
    "changed-text": "the nearest license to a text that differs from it, so that its clauses may differ, too",
}
"""Why no clause of a license is told, in words."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A clause of a license: where it stands, its words, and how files can show that it is met."""

    license: str
    section: str
    kind: str
    check: Literal["text", "notice", "phrase", "policy", "none"]
    quote: str
    phrase: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Source:
    """Where a license is found: the place of its text, or of a declaration and its words."""

    place: str
    declaration: str | None


@cache
def clauses() -> tuple[Clause, ...]:
    """The clauses that attest knows, in order of license."""
    rows = tomllib.loads(resource("licenses/obligations/clauses.toml").read_text("utf-8"))["clause"]
    return tuple(Clause(**row) for row in rows)


def obligations(scan: Scan) -> tuple[Obligation, ...]:
    """Known clauses of the licenses whose whole texts are among the files of a scan, and of those that are declared.

    Notes
    -----
    A license that is named elsewhere, or whose text is changed, gives no clause. A declaration that may mean several
    licenses gives none either, see ``untold``; ``MIT OR Apache-2.0`` gives those of both. A notice file that only an
    upstream could have is not applicable where there is none here, since files do not tell.
    """
    sources = {**_declared(scan), **_texts(scan)}
    return tuple(
        _obligation(clause, sources[clause.license], scan.findings) for clause in clauses() if clause.license in sources
    )


def untold(scan: Scan) -> tuple[UntoldLicense, ...]:
    """Licenses that were found or are declared, of which no clause can be told: the first hundred.

    What they ask for is not nothing: it is not known here.
    """
    known = {clause.license for clause in clauses()}
    found: dict[tuple[str, _Reason], str] = {}
    for license_, source in {**_declared(scan), **_texts(scan)}.items():
        if license_ not in known:
            found[license_, "no-clauses"] = source.place
    found |= {(text.expression, "changed-text"): f"{file.path}:{text.line}" for file, text in _changed(scan)}
    read = {file.path for file in scan.identified}
    for declaration in declarations(scan.findings):
        reason = None if _linked(declaration.finding) in read else _doubt(declaration)
        if reason:
            found.setdefault((declaration.finding.text, reason), _place(declaration.finding))
    rows = (UntoldLicense(license=license_, source=place, reason=reason) for (license_, reason), place in found.items())
    return tuple(islice(rows, _MAX_UNTOLD))


def _texts(scan: Scan) -> dict[str, _Source]:
    """Licenses whose whole texts are among the files, without a change, and the first place of each."""
    texts: dict[str, _Source] = {}
    for file in scan.identified:
        for text in file.texts:
            if text.kind == "text" and not text.change_count:
                texts.setdefault(text.expression, _Source(place=f"{file.path}:{text.line}", declaration=None))
    return texts


def _changed(scan: Scan) -> Iterator[tuple[IdentifiedFile, IdentifiedText]]:
    """Texts in license files that differ from the known one, the last first."""
    for file in reversed(scan.identified):
        for text in file.texts if code_of_name(file.path) == "license-file" else ():
            if text.kind == "text" and text.change_count:
                yield file, text


def _linked(finding: Finding) -> str | None:
    """Path of the file beside it that a declaration links to, as it would be."""
    if finding.code != "declared-license-link" or ":" in finding.text:
        return None
    return posixpath.normpath(posixpath.join(posixpath.dirname(finding.path), finding.text))


def _declared(scan: Scan) -> dict[str, _Source]:
    """Licenses that are declared, where the words leave no doubt which, and no whole text of them was found."""
    texts = {license_ for expression in _texts(scan) for license_ in licenses_named(expression)}
    declared: dict[str, _Source] = {}
    for declaration in declarations(scan.findings):
        for license_ in sorted(declaration.licenses - texts) if _doubt(declaration) is None else ():
            source = _Source(place=_place(declaration.finding), declaration=declaration.finding.text)
            declared.setdefault(license_, source)
    return declared


def _doubt(declaration: Declaration) -> _Reason | None:
    """Why a declaration does not tell which license it means, or None."""
    words = declaration.finding.text
    if is_family(words):
        return "family"
    if not declaration.licenses:
        return "not-known"
    is_link = declaration.finding.code == "declared-license-link"
    return "several-versions" if has_several_versions(words) or (is_link and len(declaration.licenses) > 1) else None


def _place(finding: Finding) -> str:
    return finding.path if finding.line is None else f"{finding.path}:{finding.line}"


def _obligation(clause: Clause, source: _Source, findings: Sequence[Finding]) -> Obligation:
    status: Literal["met", "not-found", "not-applicable", "cannot-be-seen-from-files"]
    evidence = None
    if clause.check == "none":
        status = "cannot-be-seen-from-files"
    elif clause.check == "text":
        evidence = source.place if source.declaration is None else None
        status = "met" if evidence else "not-found"
    else:
        evidence = _evidence(clause, findings)
        status = "met" if evidence else "not-found"
        if clause.license == "Apache-2.0" and clause.check == "notice" and not evidence:
            status = "not-applicable"
    return Obligation(
        license=clause.license,
        source=source.place,
        declaration=source.declaration,
        section=clause.section,
        kind=clause.kind,
        quote=clause.quote,
        status=status,
        evidence=evidence,
    )


def _evidence(clause: Clause, findings: Sequence[Finding]) -> str | None:
    """The first file that shows a clause to be met."""
    for finding in findings:
        text = finding.text.casefold()
        held = {
            "notice": finding.code == "notice-file",
            "policy": finding.code == "use-policy-file",
            "phrase": finding.code == "acknowledgment" and code_of_name(finding.path) != "license-file"
            and any(phrase in text for phrase in clause.phrase.split("|")),
        }  # fmt: skip
        if held.get(clause.check):
            return _place(finding)
    return None
