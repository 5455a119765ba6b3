"""Step 9: the reader's trust policy, held against what the other steps found and what others have signed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from attest.attestation_result import ATTESTATION_RESULT_TYPE, AttestationResult
from attest.bundle import Bundle
from attest.claims import Claim
from attest.document import load
from attest.envelope import Envelope
from attest.errors import AttestError, SignatureError
from attest.evidence import Evidence
from attest.identity import CertifiedIdentity
from attest.keyless import bundled_root
from attest.repository_scan import RepositoryScan
from attest.trust import TrustedRoot
from attest.trust_policy import ReadPolicy, RequiredTime, TrustPolicy
from attest.verify.check import Check, Outcome, checked
from attest.verify.compared import Compared
from attest.verify.content import Content
from attest.verify.signature import Expectation, Signed, check_keyless, check_with_key
from attest.verify.trusted_time import TrustedTime

__all__ = ["Appraised", "Voices", "appraise", "expect", "hear"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Voices:
    """Names of trusted signers: who signed the statement, who measured again, and what could not be heard.

    ``fallen_short`` are results of trusted signers in which less came out than the policy asks for.

    A name counts once, however often and with whatever key it signed.
    """

    signers: frozenset[str]
    reproducers: frozenset[str]
    unheard: tuple[str, ...]
    fallen_short: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Appraised:
    """What steps 1 to 8 found."""

    outcomes: Mapping[str, Outcome]
    content: Content
    compared: Compared
    times: Sequence[TrustedTime]
    voices: Voices


def expect(read: ReadPolicy, bundle: Bundle) -> Expectation:
    """Which of the trusted signers a bundle claims to be from; the first one where it claims none of them."""
    if bundle.certificate is not None:
        try:
            identity = read.identity_of(CertifiedIdentity.read(bundle.certificate))
        except SignatureError:
            identity = None
        if identity is not None:
            return Expectation(identity=identity)
    key = read.key_named(bundle.key_hint or "")
    if key is not None:
        return Expectation(key=key)
    first = read.policy.signers[0]
    if read.keys and read.keys[0][0] == first.name:
        return Expectation(key=read.keys[0][1])
    return Expectation(identity=read.identity_named(first.name))


def hear(read: ReadPolicy, bundle: Bundle, signed: Signed, claims: Sequence[Claim], root: TrustedRoot | None) -> Voices:
    """Who of the trusted signers stands behind a statement.

    Parameters
    ----------
    read : ReadPolicy
    bundle : Bundle
        The statement's own.
    signed : Signed
        What steps 2 and 3 found of it.
    claims : sequence of Claim
        What others have signed; those about something else say nothing here.
    root : TrustedRoot or None
        For keyless and logged claims.
    """
    signers, reproducers, fallen_short = set(_name(read, signed)), set[str](), list[str]()
    unheard = [f"claim {claim.line}: {claim.problem}" for claim in claims if claim.bundle is None]
    for claim in claims:
        other = claim.bundle
        if other is None or not isinstance(other.content, Envelope) or not isinstance(bundle.content, Envelope):
            continue
        is_cosigned = other.content.payload == bundle.content.payload
        again = None if is_cosigned else _result_about(bundle, other)
        if not is_cosigned and again is None:
            continue
        try:
            names = set(_name(read, _check(read, other, claim.data, root)))
        except AttestError as error:
            unheard.append(f"claim {claim.line}: {error}")
            continue
        shortfalls = list(_shortfalls(read.policy, again)) if again else []
        if not names:
            unheard.append(f"claim {claim.line}: not signed by anybody whom the policy names")
        elif shortfalls:
            fallen_short.append(f"claim {claim.line}, by {', '.join(sorted(names))}: {'; '.join(shortfalls)}")
        else:
            (signers if is_cosigned else reproducers).update(names)
    return Voices(
        signers=frozenset(signers),
        reproducers=frozenset(reproducers - signers),
        unheard=tuple(unheard),
        fallen_short=tuple(fallen_short),
    )


def appraise(read: ReadPolicy, found: Appraised) -> Check:
    """Step 9."""
    problems = list(_problems(read, found))
    policy = read.policy
    facts = {
        "policySha256": read.sha256,
        "signers": sorted(found.voices.signers),
        "reproducers": sorted(found.voices.reproducers),
        "unheard": list(found.voices.unheard),
        "fallenShort": list(found.voices.fallen_short),
    }
    if problems:
        return checked("policy", "FAILED", f"Your policy (SHA-256 {read.sha256}) is not met.", problems, **facts)
    message = f"Your policy (SHA-256 {read.sha256}) is met: signed by {', '.join(sorted(found.voices.signers))}"
    if policy.minimum_reproductions:
        message += f"; measured again by {', '.join(sorted(found.voices.reproducers))}"
    if found.voices.fallen_short:
        message += f"; {len(found.voices.fallen_short)} results of others fell short of it"
    return checked("policy", "PASSED", f"{message}.", **facts)


def _problems(read: ReadPolicy, found: Appraised) -> Iterator[str]:
    policy, voices = read.policy, found.voices
    failed = [step for step, outcome in found.outcomes.items() if outcome == "FAILED"]
    if failed:
        yield f"steps failed: {', '.join(failed)}"
    if len(voices.signers) < policy.minimum_signers:
        yield _too_few("signers of this statement", policy.minimum_signers, voices.signers)
    if len(voices.reproducers) < policy.minimum_reproductions:
        yield _too_few(_again(policy), policy.minimum_reproductions, voices.reproducers)
        yield from voices.fallen_short
    if policy.trusted_time is not None and not any(_is_within(policy.trusted_time, one) for one in found.times):
        yield f"asks for a trusted time from {' or '.join(policy.trusted_time.sources)} within its bounds: none is"
    if policy.predicate_types and found.content.predicate_type not in policy.predicate_types:
        yield f"asks for {' or '.join(policy.predicate_types)}; it is {found.content.predicate_type or 'unknown'}"
    measured = found.content.predicate
    level = measured.assurance_level if isinstance(measured, Evidence | RepositoryScan) else None
    if policy.assurance_levels and level not in policy.assurance_levels:
        yield f"asks for the assurance level {' or '.join(policy.assurance_levels)}; it is {level or 'not stated'}"
    for step, is_required in (("details", policy.require_details), ("checkpoint", policy.require_checkpoint)):
        if is_required and found.outcomes[step] != "PASSED":
            yield f"asks for step {step}, which is {found.outcomes[step]}"
    if policy.require_checkpoint and found.outcomes["checkpoint"] == "PASSED" and not found.compared.is_whole:
        yield f"asks for every file of the checkpoint: {found.compared.text}"


def _again(policy: TrustPolicy) -> str:
    """Whom a policy asks for, in words."""
    if policy.reproduction_outcome == "identical":
        return "others who measured again, bit for bit the same"
    return "others who measured again, within the tolerance that the evidence states"


def _too_few(what: str, asked: int, names: frozenset[str]) -> str:
    return f"asks for {asked} {what}; found {len(names)}" + (f": {', '.join(sorted(names))}" if names else "")


def _is_within(required: RequiredTime, time: TrustedTime) -> bool:
    return (
        time.source in required.sources
        and (required.not_before is None or required.not_before <= time.text)
        and (required.not_after is None or time.text <= required.not_after)
    )


def _check(read: ReadPolicy, bundle: Bundle, data: bytes, root: TrustedRoot | None) -> Signed:
    """Steps 2 and 3 for a claim."""
    expectation = expect(read, bundle)
    if bundle.certificate is None and not bundle.log_entries:
        return check_with_key(bundle, None, expectation, Path())
    root = root or bundled_root()
    if bundle.certificate is None:
        return check_with_key(bundle, None, expectation, Path(), root)
    return check_keyless(bundle, data, None, expectation, root)


def _name(read: ReadPolicy, signed: Signed) -> Iterator[str]:
    """The name of whoever signed, where the signature holds and is that of a trusted signer."""
    if signed.signature.outcome != "PASSED" or signed.signer.outcome != "PASSED":
        return
    signer = signed.key or signed.certified
    name = read.name_of(signer) if signer else None
    if name is not None:
        yield name


def _result_about(bundle: Bundle, claim: Bundle) -> AttestationResult | None:
    """The result that a claim states, if it is about this statement and somebody measured again."""
    try:
        statement, mine = claim.statement(where="claim"), bundle.statement(where="statement")
        if statement.predicate_type != ATTESTATION_RESULT_TYPE:
            return None
        result = load(AttestationResult, statement.predicate, where="claim")
    except AttestError:
        return None
    named = {(subject.name, subject.digest.sha256) for subject in statement.subjects}
    is_about_it = result.statement_sha256 == mine.digest and ("statement", mine.digest) in named
    return result if is_about_it and result.reproduction is not None else None


def _shortfalls(policy: TrustPolicy, result: AttestationResult) -> Iterator[str]:
    """What a result lacks of what a policy asks for."""
    values = result.reproduction or ()
    if not result.reproduced:
        differing = [value.name for value in values if value.outcome == "differs"]
        yield f"{len(differing)} values differ, first {differing[0]!r}" if differing else "nothing was measured again"
    if policy.reproduction_outcome == "identical":
        loose = [value.name for value in values if value.outcome == "within-tolerance"]
        if loose:
            yield f"{len(loose)} values are the same within a tolerance only, first {loose[0]!r}"
    measured = {value.name for value in values if value.outcome != "not-measured"}
    for name in policy.reproduced_values:
        if name not in measured:
            yield f"{name!r} was not measured again"
