"""Verify a bundle: nine numbered steps, all reported, none skipped silently.

1. **bundle**: the file is within limits and is a Sigstore bundle with one signature.
2. **signature**: it holds over the exact bytes of the statement; without a key, the certificate, its log and the
   transparency log hold too; beside a key, every log entry of a known log.
3. **signer**: the key or the identity is the one that the reader expects.
4. **time**: when it was signed, as a time-stamp authority or a log says.
5. **statement**: the bytes are an in-toto statement, and its predicate is of its schema.
6. **subjects**: they are the files that the predicate lists, and their tree digest.
7. **details**: every detail file has its digest.
8. **checkpoint**: every file of a checkpoint is the one that was measured; or a single file is the one that was
   signed, or a subject of the statement.
9. **policy**: everything that the reader's policy asks for.

From the directory under test only the files that the steps name are read, and none of them configures anything.

References
----------
DSSE v1.0.2, protocol.md; in-toto Attestation Framework, docs/validation.md; RFC 9334, section 8 (evidence is
verified here, its appraisal is the reader's).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from attest.bundle import BUNDLE_NAME, Bundle, MessageSignature, read_bundle
from attest.checkpoint.source import Location, is_remote
from attest.claims import CLAIMS_NAME, read_claims
from attest.coverage import Coverage
from attest.digest import sha256
from attest.envelope import Envelope
from attest.errors import InputError
from attest.evidence_directory import directory_of
from attest.hashing import Progress
from attest.keyless import bundled_root
from attest.renewal import read_renewals
from attest.statement import Statement
from attest.trust import TrustedAuthority, TrustedRoot
from attest.trust_policy import ReadPolicy
from attest.verify.appraisal import Appraised, appraise, expect, hear
from attest.verify.artifact import Artifact, check_artifact, read_artifact
from attest.verify.check import Check, Outcome, Step, checked, skipped
from attest.verify.compared import Compared
from attest.verify.content import NO_STATEMENT, Content, check_content
from attest.verify.files import check_checkpoint
from attest.verify.signature import Expectation, Signed, check_keyless, check_with_key
from attest.verify.trusted_time import TrustedTime, check_time

__all__ = ["Files", "Trust", "Verification", "verify"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Trust:
    """Whom the reader trusts besides the signer.

    Parameters
    ----------
    root : TrustedRoot or None
        For keyless signatures; None takes the one inside the installed sigstore package.
    authorities : tuple of TrustedAuthority
        Time-stamp authorities. Where one is named, a bundle without a time stamp fails step 4.
    """

    root: TrustedRoot | None = None
    authorities: tuple[TrustedAuthority, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What all steps found. What follows from it is the reader's to say, so there is no ``bool`` of it.

    Parameters
    ----------
    bundle : Bundle
    checks : tuple of Check
        One a step, in order.
    compared : Compared
        How much of what was signed was looked at.
    is_asked_for_files : bool
        Whether the reader gave files to hold against the statement.
    coverage : Coverage or None
        The checkpoint's files against the statement's, where step 8 compared them.
    signed : Signed
        Key or identity under which the signature holds.
    times : tuple of TrustedTime
        When it was signed at the latest, by everybody who is trusted to say so.
    statement : Statement or None
        None where a file was signed, or a statement of a kind that this version does not know.
    """

    bundle: Bundle
    checks: tuple[Check, ...]
    compared: Compared
    is_asked_for_files: bool
    coverage: Coverage | None
    signed: Signed
    times: tuple[TrustedTime, ...]
    statement: Statement | None

    @property
    def integrity(self) -> Outcome:
        """Whether the statement is what was signed and agrees with itself (steps 1, 2, 5, 6)."""
        return self._weakest("bundle", "signature", "statement", "subjects")

    @property
    def identity(self) -> Outcome:
        """Whether the expected key or identity signed (step 3)."""
        return self._weakest("signer")

    @property
    def time(self) -> Outcome:
        """Whether somebody who is trusted says when it was signed (step 4)."""
        return self._weakest("time")

    @property
    def content(self) -> Outcome:
        """Whether all detail files and all checkpoint files are those that the statement names (steps 7, 8)."""
        weakest = self._weakest("details", "checkpoint")
        return "SKIPPED" if weakest == "PASSED" and not self.compared.is_whole else weakest

    @property
    def exit_code(self) -> int:
        """1 if anything failed; 4 if only the signer did (and with it a policy); 3 if nothing could be held against the statement, or not what the reader gave; else 0."""
        failed = {check.id for check in self.checks if check.outcome == "FAILED"}
        if failed:
            return 4 if "signer" in failed and failed <= {"signer", "policy"} else 1
        is_undecided = self.is_asked_for_files or self._weakest("statement") == "SKIPPED"
        return 3 if is_undecided and self._weakest("checkpoint") == "SKIPPED" else 0

    def _weakest(self, *steps: Step) -> Outcome:
        outcomes = {check.outcome for check in self.checks if check.id in steps}
        return "FAILED" if "FAILED" in outcomes else "SKIPPED" if "SKIPPED" in outcomes else "PASSED"


@dataclass(frozen=True, kw_only=True, slots=True)
class Files:
    """What is held against the statement, besides the files of its own directory.

    Parameters
    ----------
    checkpoint : Path, str or None
        A checkpoint's folder, file or URI.
    left_out : tuple of str
        Files and folders of it that the reader leaves out; only of what a model signature is about.
    artifact : Path or None
        A single file, instead of a checkpoint.
    """

    checkpoint: Location | None = None
    left_out: tuple[str, ...] = ()
    artifact: Path | None = None


def verify(
    bundle_path: Path,
    *,
    expectation: Expectation | ReadPolicy,
    files: Files | None = None,
    trust: Trust | None = None,
    progress: Progress = lambda _done, _total: None,
) -> Verification:
    """Run all steps on a bundle.

    Parameters
    ----------
    bundle_path : Path
        A bundle, or the evidence directory that holds one.
    expectation : Expectation or ReadPolicy
        Whom the reader expects to have signed, or the policy that says so and more.
    files : Files or None
        What else is compared.
    trust : Trust or None
        Whom the reader trusts besides.
    progress : callable
        Told the bytes of the checkpoint that are read, and those to read.

    Raises
    ------
    InputError
        There is no bundle or no checkpoint; any signer is accepted and the signer's key is not at hand; a file was
        signed and is not at hand; the bundle is keyless and the extra for that is not installed.
    DocumentError
        The file is malformed, or a kind of bundle that is not read.

    Notes
    -----
    Verified means: these bytes were signed by that signer, and these files are those. It does not show that what
    was measured is true; ``attest reproduce`` measures again.
    """
    files, trust = files or Files(), trust or Trust()
    given = _read(bundle_path, files)
    bundle, data = given.bundle, given.data
    policy = expectation if isinstance(expectation, ReadPolicy) else None
    signed, root = _check_signed(given, expectation, trust)
    of_root = root.authorities if root else ()
    time, times = check_time(bundle, data, given.renewals, signed.logs, named=trust.authorities, of_root=of_root)
    payload = given.payload
    content = NO_STATEMENT if payload is None else check_content(payload, given.directory)
    if given.artifact is None:
        held = check_checkpoint(content, given.beside, files.checkpoint, left_out=files.left_out, progress=progress)
    else:
        held = check_artifact(content, payload, given.artifact, signed.signature.outcome)
    checks = (_check_bundle(bundle, data), signed.signature, signed.signer, time, *content.checks, held.check)
    ninth = _check_policy(policy, given, checks, content, held.compared, signed, times, root) if policy else _NO_POLICY
    return Verification(
        bundle=bundle,
        checks=(*checks, ninth),
        compared=held.compared,
        is_asked_for_files=files.checkpoint is not None or files.artifact is not None,
        coverage=held.coverage,
        signed=signed,
        times=times,
        statement=content.statement,
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Given:
    """What is under test, read."""

    bundle: Bundle
    data: bytes
    directory: Path | None
    beside: Path
    renewals: tuple[bytes, ...]
    artifact: Artifact | None

    @property
    def payload(self) -> bytes | None:
        """The statement's bytes; None where a file was signed."""
        return self.bundle.content.payload if isinstance(self.bundle.content, Envelope) else None


def _read(path: Path, files: Files) -> _Given:
    """Everything that can be missing, before anything is checked."""
    checkpoint = files.checkpoint
    if checkpoint is not None and not is_remote(checkpoint) and not os.path.lexists(checkpoint):
        raise InputError("no-checkpoint", "there is no such path", fix="check it", where=str(checkpoint))
    bundle, data = read_bundle(path)
    if isinstance(bundle.content, MessageSignature) and files.artifact is None:
        fix = "give it: attest verify BUNDLE --artifact FILE"
        raise InputError("no-artifact", "signs a file that is not in it", fix=fix, where=str(path))
    return _Given(
        bundle=bundle,
        data=data,
        directory=directory_of(path),
        beside=path if path.is_dir() else Path(os.path.realpath(path)).parent,
        renewals=read_renewals(path / BUNDLE_NAME if path.is_dir() else path),
        artifact=None if files.artifact is None else read_artifact(files.artifact),
    )


def _check_bundle(bundle: Bundle, data: bytes) -> Check:
    """Step 1."""
    signer = f"names the key {bundle.key_hint}" if bundle.key_hint else "holds the signer's certificate"
    return checked(
        "bundle",
        "PASSED",
        f"A Sigstore bundle of {len(data):,} bytes with one signature; it {signer}.",
        size=len(data),
        sha256=sha256(data),
        keySha256=bundle.key_hint,
        timeStamps=len(bundle.timestamps),
        logEntries=len(bundle.log_entries),
    )


def _check_signed(
    given: _Given, expectation: Expectation | ReadPolicy, trust: Trust
) -> tuple[Signed, TrustedRoot | None]:
    """Steps 2 and 3, and the root that they were checked with or that the reader gave."""
    bundle, artifact = given.bundle, given.artifact
    expected = expect(expectation, bundle) if isinstance(expectation, ReadPolicy) else expectation
    if bundle.certificate is None and not bundle.log_entries:
        return check_with_key(bundle, artifact, expected, given.beside), trust.root
    root = trust.root or bundled_root()
    if bundle.certificate is None:
        return check_with_key(bundle, artifact, expected, given.beside, root), root
    return check_keyless(bundle, given.data, artifact, expected, root), root


_NO_POLICY = skipped("policy", "You gave none.")


def _check_policy(
    policy: ReadPolicy,
    given: _Given,
    checks: Sequence[Check],
    content: Content,
    compared: Compared,
    signed: Signed,
    times: Sequence[TrustedTime],
    root: TrustedRoot | None,
) -> Check:
    """Step 9."""
    claims = read_claims(given.directory / CLAIMS_NAME) if given.directory else ()
    outcomes: dict[str, Outcome] = {check.id: check.outcome for check in checks}
    voices = hear(policy, given.bundle, signed, claims, root)
    return appraise(
        policy, Appraised(outcomes=outcomes, content=content, compared=compared, times=times, voices=voices)
    )
