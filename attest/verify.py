"""Verify a bundle: seven numbered steps, all reported, none skipped silently.

1. **bundle**: the file is within limits and is a Sigstore bundle with one signature.
2. **signature**: it holds over the exact bytes of the statement.
3. **signer**: the key is the one that the reader expects.
4. **statement**: the bytes are an in-toto statement, and its predicate is of its schema.
5. **subjects**: they are the files that the predicate lists, and their tree digest.
6. **details**: every detail file has its digest.
7. **checkpoint**: every file of a checkpoint is the one that was measured.

From the directory under test only the files that the steps name are read, and none of them configures anything.

References
----------
DSSE v1.0.2, protocol.md; in-toto Attestation Framework, docs/validation.md; RFC 9334, section 8 (evidence is
verified here, its appraisal is the reader's).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from attest.bundle import Bundle, read_bundle
from attest.checkpoint.source import Location, is_remote
from attest.comparison import Comparison
from attest.coverage import MAX_LISTED, Coverage, Progress, cover, digest_tree, list_problems
from attest.digest import sha256
from attest.document import load, parse, record
from attest.errors import AttestError, CheckpointError, DocumentError, InputError, SignatureError
from attest.evidence import CHUNKS_NAME, ChunkList, Evidence
from attest.evidence_directory import (
    SIGNER_KEY_NAME,
    STATEMENT_NAME,
    named_details,
    read_detail,
    read_unsigned_statement,
)
from attest.policy_file import policy_digest
from attest.predicate import PREDICATES, Predicate
from attest.protocol import Protocol
from attest.signer import PublicKey
from attest.statement import Statement

__all__ = ["Check", "Content", "Expectation", "Outcome", "Verification", "check_content", "verify"]

Outcome = Literal["PASSED", "FAILED", "SKIPPED"]
Step = Literal["bundle", "signature", "signer", "statement", "subjects", "details", "checkpoint"]

_STEPS: tuple[Step, ...] = ("bundle", "signature", "signer", "statement", "subjects", "details", "checkpoint")
_MAX_CHUNK_LIST = 64 * 1024 * 1024
_TREE = "."
_UNREAD = "Not checked, since the predicate could not be read (step 4)."


@record
class Check:
    """What one step found.

    Parameters
    ----------
    step : int
        From 1 to 7.
    id : str
        Name of the step.
    outcome : {"PASSED", "FAILED", "SKIPPED"}
    message : str
        One sentence. May quote hostile input.
    problems : tuple of str
        Everything that is wrong, a sentence each. May quote hostile input.
    details : mapping
        The same for programs; JSON.
    """

    step: int
    id: Step
    outcome: Outcome
    message: str
    problems: tuple[str, ...]
    details: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Whom the reader expects to have signed: the holder of ``key``, or with None anybody at all."""

    key: PublicKey | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """A payload read as a statement: the checks of steps 4 to 6, and what could be read."""

    checks: tuple[Check, ...]
    statement: Statement | None
    predicate: Predicate | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What all seven steps found. What follows from it is the reader's to say, so there is no ``bool`` of it.

    Parameters
    ----------
    bundle : Bundle
    checks : tuple of Check
        One a step, in order.
    coverage : Coverage or None
        The checkpoint's files against the statement's, where step 7 compared them.
    """

    bundle: Bundle
    checks: tuple[Check, ...]
    coverage: Coverage | None

    @property
    def integrity(self) -> Outcome:
        """Whether the statement is what was signed and agrees with itself (steps 1, 2, 4, 5)."""
        return self._weakest("bundle", "signature", "statement", "subjects")

    @property
    def identity(self) -> Outcome:
        """Whether the expected key signed (step 3)."""
        return self._weakest("signer")

    @property
    def content(self) -> Outcome:
        """Whether all detail files and all checkpoint files are those that the statement names (steps 6, 7)."""
        return self._weakest("details", "checkpoint")

    @property
    def exit_code(self) -> int:
        """1 if anything failed; 4 if only the signer did; 3 if the predicate is of an unknown kind; else 0."""
        failed = {check.id for check in self.checks if check.outcome == "FAILED"}
        if failed:
            return 4 if failed == {"signer"} else 1
        return 3 if self._weakest("statement") == "SKIPPED" else 0

    def _weakest(self, *steps: Step) -> Outcome:
        outcomes = {check.outcome for check in self.checks if check.id in steps}
        return "FAILED" if "FAILED" in outcomes else "SKIPPED" if "SKIPPED" in outcomes else "PASSED"


def verify(
    bundle_path: Path,
    *,
    expectation: Expectation,
    checkpoint: Location | None,
    progress: Progress = lambda _done, _total: None,
) -> Verification:
    """Run all steps on a bundle.

    Parameters
    ----------
    bundle_path : Path
        A bundle, or the evidence directory that holds one.
    expectation : Expectation
        Whom the reader expects to have signed.
    checkpoint : Path, str or None
        The checkpoint's folder, file or URI, where its bytes are to be compared too.
    progress : callable
        Told the bytes of the checkpoint that are read, and those to read.

    Raises
    ------
    InputError
        There is no bundle or no checkpoint; any signer is accepted and the signer's key is not at hand.
    DocumentError
        The file is malformed, or a kind of bundle that is not read.

    Notes
    -----
    Verified means: these bytes were signed with that key, and these files are those. It does not show that what
    was measured is true, nor when it was signed; ``attest reproduce`` measures again.
    """
    if checkpoint is not None and not is_remote(checkpoint) and not os.path.lexists(checkpoint):
        raise InputError("no-checkpoint", "there is no such path", fix="check it", where=str(checkpoint))
    bundle, data = read_bundle(bundle_path)
    directory = bundle_path if bundle_path.is_dir() else Path(os.path.realpath(bundle_path)).parent
    is_whole = bundle_path.is_dir() or any(os.path.lexists(directory / name) for name in ("detail", STATEMENT_NAME))
    key = expectation.key or _key_beside(directory, bundle.key_hint)
    content = check_content(bundle.envelope.payload, directory if is_whole else None)
    last, coverage = _check_checkpoint(content, directory, checkpoint, progress)
    return Verification(
        bundle=bundle,
        checks=(
            _check_bundle(bundle, data),
            *_check_signature(bundle, key, any_signer=expectation.key is None),
            *content.checks,
            last,
        ),
        coverage=coverage,
    )


def check_content(payload: bytes, directory: Path | None) -> Content:
    """Steps 4 to 6 on a payload, signed or about to be.

    Parameters
    ----------
    payload : bytes
    directory : Path or None
        The evidence directory; None where only a bundle is at hand.
    """
    step, statement, predicate = _check_statement(payload)
    if statement is None or predicate is None:
        skipped = (_skipped("subjects", _UNREAD), _skipped("details", _UNREAD))
        return Content(checks=(step, *skipped), statement=None, predicate=None)
    return Content(
        checks=(step, _check_subjects(statement, predicate), _check_details(statement, directory)),
        statement=statement,
        predicate=predicate,
    )


def _check(step: Step, outcome: Outcome, message: str, problems: Iterable[str] = (), **details: Any) -> Check:
    number = _STEPS.index(step) + 1
    return Check(step=number, id=step, outcome=outcome, message=message, problems=tuple(problems), details=details)


def _skipped(step: Step, message: str) -> Check:
    return _check(step, "SKIPPED", message)


def _key_beside(directory: Path, hint: str) -> PublicKey:
    """The public key that lies beside a bundle, if it is the one that the bundle names."""
    try:
        key = PublicKey.read(directory / SIGNER_KEY_NAME)
    except InputError:
        key = None
    if key is None or key.hint != hint:
        raise InputError(
            "no-signer-key",
            f"holds no key with SHA-256 {hint}, which the bundle names",
            fix="get the signer's public key and give it with --key",
            where=str(directory / SIGNER_KEY_NAME),
        )
    return key


def _check_bundle(bundle: Bundle, data: bytes) -> Check:
    return _check(
        "bundle",
        "PASSED",
        f"A Sigstore bundle of {len(data):,} bytes with one signature; it names the key {bundle.key_hint}.",
        size=len(data),
        sha256=sha256(data),
        keySha256=bundle.key_hint,
    )


def _check_signature(bundle: Bundle, key: PublicKey, *, any_signer: bool) -> tuple[Check, Check]:
    """Steps 2 and 3."""
    envelope = bundle.envelope
    facts = {"keySha256": key.hint, "keyType": key.type, "payloadSha256": sha256(envelope.payload)}
    is_named = key.hint == bundle.key_hint
    try:
        key.verify(envelope.signature, envelope.signed_bytes)
    except SignatureError:
        if is_named:
            return (
                _check("signature", "FAILED", "The signature does not hold over the bytes of the statement.", **facts),
                _skipped("signer", "Cannot be told, since the signature does not hold."),
            )
        return (
            _skipped("signature", "Intact or not cannot be told without the key that the bundle names."),
            _check("signer", "FAILED", f"It names the key {bundle.key_hint}; you expect {key.hint}.", **facts),
        )
    signature = _check(
        "signature", "PASSED", f"It holds over all {len(envelope.payload):,} bytes of the statement.", **facts
    )
    if not is_named:
        message = "It holds under the key you expect, but the bundle names another key: the name was altered."
        signature = _check("signature", "FAILED", message, **facts)
    if any_signer:
        return signature, _skipped("signer", "Integrity only: whoever signed, nobody's identity was checked.")
    return signature, _check("signer", "PASSED", f"The key you expect, SHA-256 {key.hint}.", **facts)


def _check_statement(payload: bytes) -> tuple[Check, Statement | None, Predicate | None]:
    """Step 4."""
    try:
        statement = Statement.parse(payload, where="statement")
        kind = PREDICATES.get(statement.predicate_type)
        if kind is None:
            known = f"not a predicate that this version knows: {statement.predicate_type}"
            return _skipped("statement", f"Nothing of its content was checked, since it is {known}."), statement, None
        predicate = load(kind, statement.predicate, where="predicate")
    except DocumentError as error:
        message = "The signed bytes are not a statement of a known schema."
        return _check("statement", "FAILED", message, [str(error)], code=error.code), None, None
    message = f"An in-toto statement; its predicate is of the schema {statement.predicate_type}."
    return _check("statement", "PASSED", message, predicateType=statement.predicate_type), statement, predicate


def _check_subjects(statement: Statement, predicate: Predicate) -> Check:
    """Step 5."""
    found = [(subject.name, subject.digest.sha256) for subject in statement.subjects]
    if isinstance(predicate, Evidence):
        files = predicate.checkpoint.files
        expected = [(_TREE, predicate.checkpoint.tree_digest), *((file.path, file.sha256) for file in files)]
        problems = list_problems(predicate.checkpoint)
        message = f"The {len(files):,} files of the predicate and their tree digest, each once."
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
        return _check("subjects", "FAILED", "The statement contradicts itself.", problems)
    return _check("subjects", "PASSED", message, count=len(found))


def _check_details(statement: Statement, directory: Path | None) -> Check:
    """Step 6."""
    try:
        details = named_details(statement)
    except DocumentError as error:
        return _check("details", "FAILED", "The statement's list of detail files is malformed.", [str(error)])
    if directory is None:
        return _skipped("details", f"Only the bundle is at hand, without the {len(details)} detail files it names.")
    problems = [] if not os.path.lexists(directory / STATEMENT_NAME) else _copy_problems(directory, statement)
    for detail in details:
        try:
            read_detail(directory, detail)
        except AttestError as error:
            problems.append(str(error))
    unsigned = _unsigned_files(directory, {detail.name for detail in details})
    facts: dict[str, Any] = {"count": len(details), "unsignedCount": len(unsigned), "unsigned": unsigned[:MAX_LISTED]}
    if problems:
        return _check("details", "FAILED", "The directory does not hold what the statement names.", problems, **facts)
    size = sum(detail.size for detail in details)
    message = f"All {len(details)} detail files ({size:,} bytes) are those that the statement names"
    message = message if details else "The statement names no detail files"
    message += f"; {len(unsigned)} more in detail/ are not named." if unsigned else "."
    return _check("details", "PASSED", message, **facts)


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


def _check_checkpoint(
    content: Content, directory: Path, checkpoint: Location | None, progress: Progress
) -> tuple[Check, Coverage | None]:
    """Step 7."""
    if checkpoint is None:
        return _skipped("checkpoint", "No checkpoint file was looked at; give --checkpoint to compare them."), None
    statement, predicate = content.statement, content.predicate
    if statement is None or predicate is None:
        return _skipped("checkpoint", _UNREAD), None
    try:
        if not isinstance(predicate, Evidence):
            return _check_side(predicate, digest_tree(checkpoint, progress=progress)), None
        coverage = cover(predicate.checkpoint, checkpoint, _chunk_list(statement, directory), progress=progress)
    except CheckpointError as error:
        return _check("checkpoint", "FAILED", "It is not the checkpoint that was measured.", [str(error)]), None
    outcome: Outcome = "PASSED" if coverage.is_complete else "FAILED"
    return _check("checkpoint", outcome, coverage.sentence, coverage.problems), coverage


def _chunk_list(statement: Statement, directory: Path) -> ChunkList | None:
    """Chunk digests that the statement binds, if they are at hand and intact."""
    try:
        for detail in named_details(statement):
            if detail.name == CHUNKS_NAME:
                data = read_detail(directory, detail)
                return load(ChunkList, parse(data, where=CHUNKS_NAME, max_bytes=_MAX_CHUNK_LIST), where=CHUNKS_NAME)
    except AttestError:
        return None  # step 6 reports it
    return None


def _check_side(predicate: Comparison | Protocol, found: str) -> Check:
    """Step 7 for a predicate that names no files: the checkpoint is one of the two sides, or it is not."""
    sides = [name for name, side in (("A", predicate.a), ("B", predicate.b)) if side and side.tree_digest == found]
    if sides:
        return _check("checkpoint", "PASSED", f"It is side {' and '.join(sides)}, file for file.", treeDigest=found)
    return _check("checkpoint", "FAILED", "It is neither of the two sides.", treeDigest=found)
