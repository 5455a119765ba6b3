"""Steps 5 to 7: the statement, its subjects, and the detail files that it names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from attest.attestation_result import ATTESTATION_RESULT_TYPE, AttestationResult
from attest.coverage import MAX_LISTED, list_problems
from attest.document import load, parse
from attest.errors import AttestError, DocumentError
from attest.evidence import Evidence
from attest.evidence_directory import STATEMENT_NAME, named_details, read_detail, read_unsigned_statement
from attest.oms import OMS_TYPE, ModelManifest
from attest.policy_file import policy_digest
from attest.predicate import PREDICATES
from attest.predicate import Predicate as Measured
from attest.protocol import Protocol
from attest.repository_scan import RepositoryScan
from attest.statement import MAX_STATEMENT, Statement
from attest.terminal import amount
from attest.verify.check import Check, checked, skipped

__all__ = ["NO_STATEMENT", "UNREAD", "Content", "Predicate", "check_content"]

Predicate: TypeAlias = Measured | ModelManifest | AttestationResult

_PREDICATES: Mapping[str, type[Measured | AttestationResult]] = {
    **PREDICATES,
    ATTESTATION_RESULT_TYPE: AttestationResult,
}
_TREE = "."
UNREAD = "Not checked, since the predicate could not be read (step 5)."


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A payload read as a statement: the checks of steps 5 to 7, and what could be read."""

    checks: tuple[Check, ...]
    statement: Statement | None
    predicate: Predicate | None

    @property
    def predicate_type(self) -> str | None:
        """URI of the predicate's kind; None where the statement is of no kind that this version knows."""
        return self.statement.predicate_type if self.statement else None


_NO_STATEMENT = "A file was signed, and no statement about it."
NO_STATEMENT = Content(
    checks=(
        skipped("statement", _NO_STATEMENT),
        skipped("subjects", _NO_STATEMENT),
        skipped("details", _NO_STATEMENT),
    ),
    statement=None,
    predicate=None,
)
"""Steps 5 to 7 for the signature of a file."""


def check_content(payload: bytes, directory: Path | None) -> Content:
    """Steps 5 to 7 on a payload, signed or about to be.

    Parameters
    ----------
    payload : bytes
    directory : Path or None
        The evidence directory; None where only a bundle is at hand.
    """
    step, statement, predicate = _check_statement(payload)
    if statement is None or predicate is None:
        unread = (skipped("subjects", UNREAD), skipped("details", UNREAD))
        return Content(checks=(step, *unread), statement=None, predicate=None)
    return Content(
        checks=(step, _check_subjects(statement, predicate), _check_details(statement, directory)),
        statement=statement,
        predicate=predicate,
    )


def _check_statement(payload: bytes) -> tuple[Check, Statement | None, Predicate | None]:
    """Step 5."""
    try:
        foreign = _foreign_type(payload)
        if foreign is not None:
            known = f"not a predicate that this version knows: {foreign}"
            return skipped("statement", f"Nothing of its content was checked, since it is {known}."), None, None
        statement = Statement.parse(payload, where="statement")
        predicate = _read_predicate(statement)
    except DocumentError as error:
        if error.code == "unsupported-manifest":
            return skipped("statement", f"Nothing of its content was checked, since it {error.message}."), None, None
        message = "The signed bytes are not a statement of a known schema."
        return checked("statement", "FAILED", message, [str(error)], code=error.code), None, None
    message = f"An in-toto statement; its predicate is of the schema {statement.predicate_type}."
    return checked("statement", "PASSED", message, predicateType=statement.predicate_type), statement, predicate


def _foreign_type(payload: bytes) -> str | None:
    """Type of the predicate, where the payload is an in-toto statement about something that attest does not know."""
    value = parse(payload, where="statement", max_bytes=MAX_STATEMENT)
    if not isinstance(value, dict) or not str(value.get("_type")).startswith("https://in-toto.io/Statement/"):
        return None
    kind = value.get("predicateType")
    return kind if isinstance(kind, str) and kind not in {OMS_TYPE, *_PREDICATES} else None


def _read_predicate(statement: Statement) -> Predicate:
    if statement.predicate_type == OMS_TYPE:
        return ModelManifest.read(statement.predicate, where="predicate")
    return load(_PREDICATES[statement.predicate_type], statement.predicate, where="predicate")


def _check_subjects(statement: Statement, predicate: Predicate) -> Check:
    """Step 6."""
    found = [(subject.name, subject.digest.sha256) for subject in statement.subjects]
    if isinstance(predicate, Evidence):
        files = predicate.checkpoint.files
        expected = [(_TREE, predicate.checkpoint.tree_digest), *((file.path, file.sha256) for file in files)]
        problems = list_problems(predicate.checkpoint)
        message = f"The {amount(len(files), 'file')} of the predicate and their tree digest, each once."
    elif isinstance(predicate, ModelManifest):
        expected = [(name, predicate.root_digest) for name, _ in found[:1]]
        problems = []
        message = f"The digest over the {amount(len(predicate.files), 'file')} of the predicate; it binds no name."
    elif isinstance(predicate, AttestationResult):
        expected = [("statement", predicate.statement_sha256), ("bundle", predicate.bundle_sha256)]
        problems = []
        message = "The statement and the bundle that were verified."
    elif isinstance(predicate, RepositoryScan):
        expected, problems = list(predicate.trees), []
        message = "The tree digests of all that was read: the repository, and what its files were held against."
    else:
        policy = [("policy", policy_digest(predicate.policy))] if isinstance(predicate, Protocol) else []
        sides = (("a", predicate.a), ("b", predicate.b))
        expected = policy + [(f"{label}:{side.name}", side.tree_digest) for label, side in sides if side]
        problems, message = [], "The tree digests of the two sides, as far as they are named."
    differing = sorted(set(found) ^ set(expected))
    problems += [f"subjects and predicate do not agree on {name!r} ({digest})" for name, digest in differing]
    if len(found) != len(expected):
        problems.append(f"{len(found)} subjects where the predicate has {len(expected)}")
    if problems:
        return checked("subjects", "FAILED", "The statement contradicts itself.", problems)
    return checked("subjects", "PASSED", message, count=len(found))


def _check_details(statement: Statement, directory: Path | None) -> Check:
    """Step 7."""
    if statement.predicate_type == OMS_TYPE:
        return skipped("details", "A model signature names no detail files.")
    try:
        details = named_details(statement)
    except DocumentError as error:
        return checked("details", "FAILED", "The statement's list of detail files is malformed.", [str(error)])
    if directory is None and not details:
        return skipped("details", "The statement names no detail files.")
    if directory is None:
        return skipped("details", f"Only the bundle is at hand, without the {len(details)} detail files it names.")
    problems = [] if not os.path.lexists(directory / STATEMENT_NAME) else _copy_problems(directory, statement)
    for detail in details:
        try:
            read_detail(directory, detail)
        except AttestError as error:
            problems.append(str(error))
    unsigned = _unsigned_files(directory, {detail.name for detail in details})
    facts: dict[str, Any] = {"count": len(details), "unsignedCount": len(unsigned), "unsigned": unsigned[:MAX_LISTED]}
    if problems:
        return checked("details", "FAILED", "The directory does not hold what the statement names.", problems, **facts)
    size = sum(detail.size for detail in details)
    message = f"All {len(details)} detail files ({size:,} bytes) are those that the statement names"
    message = message if details else "The statement names no detail files"
    message += f"; {len(unsigned)} more in detail/ are not named." if unsigned else "."
    return checked("details", "PASSED", message, **facts)


def _copy_problems(directory: Path, statement: Statement) -> list[str]:
    """What is wrong with the plain copy of the statement, which people read."""
    try:
        copy = read_unsigned_statement(directory)
    except AttestError as error:
        return [str(error)]
    return [] if copy.payload == statement.payload else [f"{STATEMENT_NAME} is not the statement that was signed"]


def _unsigned_files(directory: Path, named: set[str]) -> list[str]:
    """Files in ``detail/`` that the statement does not name."""
    folder = directory / "detail"
    try:
        found = set() if folder.is_symlink() else {f"detail/{file.name}" for file in folder.iterdir()}
    except OSError:
        return []
    return sorted(found - named)
