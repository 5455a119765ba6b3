"""What the licenses whose texts were found ask for, each with its clause, and what the files show of it."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

from attest.finding import Finding
from attest.license_summary import Obligation
from attest.licenses.license_file import code_of_name
from attest.licenses.repository import Scan
from attest.resource import resource

__all__ = ["Clause", "clauses", "obligations"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Clause:
    """A clause of a license: where it stands, its words, and how files can show that it is met."""

    license: str
    section: str
    kind: str
    check: Literal["text", "notice", "phrase", "policy", "none"]
    quote: str
    phrase: str = ""


@cache
def clauses() -> tuple[Clause, ...]:
    """The clauses that attest knows, in order of license."""
    rows = tomllib.loads(resource("licenses/obligations/clauses.toml").read_text("utf-8"))["clause"]
    return tuple(Clause(**row) for row in rows)


def obligations(scan: Scan) -> tuple[Obligation, ...]:
    """Known clauses of the licenses whose whole texts are among the files of a scan.

    Notes
    -----
    A license that is only declared, named or changed gives no clause: what it asks for is not in the files. A notice
    file that only an upstream could have is not applicable where there is none here, since files do not tell.
    """
    texts: dict[str, str] = {}
    for file in scan.identified:
        for text in file.texts:
            if text.kind == "text" and not text.change_count:
                texts.setdefault(text.expression, f"{file.path}:{text.line}")
    return tuple(_obligation(clause, texts, scan.findings) for clause in clauses() if clause.license in texts)


def _obligation(clause: Clause, texts: Mapping[str, str], findings: Sequence[Finding]) -> Obligation:
    status: Literal["met", "not-found", "not-applicable", "cannot-be-seen-from-files"]
    evidence = None
    if clause.check == "none":
        status = "cannot-be-seen-from-files"
    else:
        evidence = texts[clause.license] if clause.check == "text" else _evidence(clause, findings)
        status = "met" if evidence else "not-found"
        if clause.license == "Apache-2.0" and clause.check == "notice" and not evidence:
            status = "not-applicable"
    return Obligation(
        license=clause.license,
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
            return finding.path if finding.line is None else f"{finding.path}:{finding.line}"
    return None
