"""What was verified, as a statement that the verifier can sign."""

from __future__ import annotations

from datetime import datetime

from attest.attestation_result import (
    ATTESTATION_RESULT_TYPE,
    RESULT_DOES_NOT_SHOW,
    AttestationResult,
    CoverageCounts,
    FoundSigner,
    ReproducedValue,
    StepOutcome,
)
from attest.coverage import Coverage
from attest.document import dump, timestamp
from attest.errors import InputError
from attest.program import environment, this_tool
from attest.statement import DigestSet, Statement, Subject
from attest.verify.signature import Signed
from attest.verify.verification import Verification

__all__ = ["state_result"]


def state_result(
    verification: Verification, reproduction: tuple[ReproducedValue, ...] | None, *, now: datetime | None = None
) -> Statement:
    """Statement about a verification.

    Parameters
    ----------
    verification : Verification
        Of a statement, whatever its outcome: a failure is a result too.
    reproduction : tuple of ReproducedValue or None
        What was measured again.
    now : datetime, optional
        This machine's clock where none is given.

    Raises
    ------
    InputError
        What was verified holds no statement this version knows.
    """
    statement = verification.statement
    if statement is None:
        fix = "give a bundle about a checkpoint or a comparison"
        raise InputError("no-result", "there is no statement that a result could be about", fix=fix)
    result = AttestationResult(
        verified_at=timestamp(now),
        tool=this_tool(),
        environment=environment("cryptography", "numba", "numpy", "sigstore"),
        statement_sha256=statement.digest,
        bundle_sha256=str(verification.checks[0].details["sha256"]),
        predicate_type=statement.predicate_type,
        signer=_signer(verification.signed),
        steps=tuple(StepOutcome(id=check.id, outcome=check.outcome) for check in verification.checks),
        coverage=_counts(verification.coverage) if verification.coverage else None,
        reproduction=reproduction,
        does_not_show=RESULT_DOES_NOT_SHOW,
    )
    subjects = (("statement", result.statement_sha256), ("bundle", result.bundle_sha256))
    return Statement.build(
        subjects=tuple(Subject(name=name, digest=DigestSet(sha256=digest)) for name, digest in subjects),
        predicate_type=ATTESTATION_RESULT_TYPE,
        predicate=dump(result),
    )


def _signer(signed: Signed) -> FoundSigner | None:
    """Under whom the signature held, where it did."""
    if signed.signature.outcome != "PASSED":
        return None
    if signed.certified is not None:
        return FoundSigner(key_sha256=None, identity=signed.certified.names[0], issuer=signed.certified.issuer)
    return FoundSigner(key_sha256=signed.key.hint if signed.key else None, identity=None, issuer=None)


def _counts(coverage: Coverage) -> CoverageCounts:
    return CoverageCounts(
        files_named=coverage.files_named,
        files_present=coverage.files_present,
        files_covered=coverage.files_covered,
        bytes_named=coverage.bytes_named,
        bytes_present=coverage.bytes_present,
        bytes_covered=coverage.bytes_covered,
    )
