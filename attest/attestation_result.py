"""Attestation result: what somebody found who verified a statement, and perhaps measured again.

References
----------
RFC 9334 (RATS), section 8.4; in-toto Attestation Framework, spec/predicates/svr.md.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from attest.document import Count, Timestamp, record
from attest.evidence import Environment, Tool
from attest.statement import Sha256

__all__ = [
    "ATTESTATION_RESULT_TYPE",
    "RESULT_DOES_NOT_SHOW",
    "AttestationResult",
    "CoverageCounts",
    "FoundSigner",
    "ReproducedValue",
    "StepOutcome",
]

ATTESTATION_RESULT_TYPE = "https://attest/attestation-result/v1"
RESULT_DOES_NOT_SHOW = (
    "That the verifier's machine was in order, or that it compared the files that others have.",
    "That what the statement says of its subject is true beyond the values that were measured again.",
)

_Name = Annotated[str, Field(max_length=500)]


@record
class FoundSigner:
    """Under whom the signature held: a key, or an identity with its issuer."""

    key_sha256: Sha256 | None
    identity: _Name | None
    issuer: _Name | None


@record
class StepOutcome:
    """One step of ``attest verify``."""

    id: _Name
    outcome: Literal["PASSED", "FAILED", "SKIPPED"]


@record
class CoverageCounts:
    """Files and bytes that the statement names, that were there, and that were the same."""

    files_named: Count
    files_present: Count
    files_covered: Count
    bytes_named: Count
    bytes_present: Count
    bytes_covered: Count


@record
class ReproducedValue:
    """One signed value, measured again."""

    name: _Name
    outcome: Literal["identical", "within-tolerance", "differs", "not-measured"]


@record
class AttestationResult:
    """What a verifier found. ``verified_at`` is its own clock, so a claim, not a trusted time.

    Parameters
    ----------
    verified_at : str
    tool : Tool
    environment : Environment
    statement_sha256, bundle_sha256 : str
        The payload that was verified, and the file that it was in.
    predicate_type : str or None
        Of the statement; None where it could not be read.
    signer : FoundSigner or None
        None where the signature did not hold.
    steps : tuple of StepOutcome
    coverage : CoverageCounts or None
    reproduction : tuple of ReproducedValue or None
        None where nothing was measured again.
    does_not_show : tuple of str
    """

    verified_at: Timestamp
    tool: Tool
    environment: Environment
    statement_sha256: Sha256
    bundle_sha256: Sha256
    predicate_type: _Name | None
    signer: FoundSigner | None
    steps: tuple[StepOutcome, ...]
    coverage: CoverageCounts | None
    reproduction: tuple[ReproducedValue, ...] | None
    does_not_show: tuple[str, ...]

    @property
    def reproduced(self) -> bool:
        """Whether values were measured again and every one came out the same."""
        outcomes = {value.outcome for value in self.reproduction or ()}
        return bool(outcomes - {"not-measured"}) and "differs" not in outcomes
