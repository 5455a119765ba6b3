"""Trust policy: whom a reader believes, and what else must hold, before evidence counts as verified.

It is about signatures and files. What numbers mean is the matter of another document, the comparison policy.

References
----------
RFC 9334 (RATS), section 8.5 (appraisal policy for evidence).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from attest.digest import sha256
from attest.document import Timestamp, load, parse, record
from attest.errors import DocumentError, InputError
from attest.identity import CertifiedIdentity, Identity
from attest.signer import PublicKey

__all__ = [
    "TRUST_POLICY_TYPE",
    "ReadPolicy",
    "RequiredTime",
    "TrustPolicy",
    "TrustedIdentity",
    "TrustedSigner",
    "read_trust_policy",
]

TRUST_POLICY_TYPE = "https://attest/trust-policy/v1"
_MAX_POLICY = 1024 * 1024
_Text = Annotated[str, Field(min_length=1, max_length=2048)]
_Few = Field(max_length=100)


@record
class TrustedIdentity:
    """An address of mail or a URI, and the issuer that must say so."""

    identity: _Text
    issuer: _Text


@record
class TrustedSigner:
    """One voice: however many keys and identities somebody has, they count once.

    Parameters
    ----------
    name : str
        What the reader calls it.
    public_keys : tuple of str
        PEM.
    identities : tuple of TrustedIdentity
    """

    name: _Text
    public_keys: Annotated[tuple[_Text, ...], _Few]
    identities: Annotated[tuple[TrustedIdentity, ...], _Few]


@record
class RequiredTime:
    """A trusted time that must be there, from one of the sources, within the bounds (inclusive; null is none)."""

    sources: Annotated[
        tuple[Literal["time-stamp-authority", "transparency-log"], ...], Field(min_length=1, max_length=2)
    ]
    not_before: Timestamp | None
    not_after: Timestamp | None


@record
class TrustPolicy:
    """What must hold.

    Parameters
    ----------
    policy_type : str
        ``https://attest/trust-policy/v1``.
    signers : tuple of TrustedSigner
        Whom the reader believes; the bundle must be signed by one of them.
    minimum_signers : int
        How many of them must have signed the very same statement.
    minimum_reproductions : int
        How many others of them must have signed that they measured again and found the same.
    reproduction_outcome : {"identical", "within-tolerance"}
        The worst that may have come out of any value for a reproduction to count: the same bits, or within the
        tolerance that the evidence states.
    reproduced_values : tuple of str
        Values that a reproduction must have measured again, by name; empty for any.
    trusted_time : RequiredTime or None
    predicate_types : tuple of str
        What the statement may be about; empty for anything.
    assurance_levels : tuple of str
        What evidence may say of who vouches for it; empty for anything.
    require_details : bool
        Whether every detail file must be there.
    require_checkpoint : bool
        Whether a checkpoint must have been compared, every file of it.
    """

    policy_type: Literal["https://attest/trust-policy/v1"]
    signers: Annotated[tuple[TrustedSigner, ...], Field(min_length=1, max_length=100)]
    minimum_signers: Annotated[int, Field(ge=1, le=100)]
    minimum_reproductions: Annotated[int, Field(ge=0, le=100)]
    reproduction_outcome: Literal["identical", "within-tolerance"]
    reproduced_values: Annotated[tuple[_Text, ...], _Few]
    trusted_time: RequiredTime | None
    predicate_types: Annotated[tuple[_Text, ...], _Few]
    assurance_levels: Annotated[tuple[_Text, ...], _Few]
    require_details: bool
    require_checkpoint: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadPolicy:
    """A policy as it was read, with its keys.

    Parameters
    ----------
    policy : TrustPolicy
    sha256 : str
        Digest of the file.
    keys : tuple of (str, PublicKey)
        Every key with the name of its signer.
    """

    policy: TrustPolicy
    sha256: str
    keys: tuple[tuple[str, PublicKey], ...]

    def key_named(self, hint: str) -> PublicKey | None:
        """The trusted key that a bundle names."""
        return next((key for _, key in self.keys if hint in key.names), None)

    def identity_of(self, certified: CertifiedIdentity) -> Identity | None:
        """The trusted identity that a certificate names."""
        return next((one for _, one in self._identities() if certified.is_of(one)), None)

    def identity_named(self, name: str) -> Identity | None:
        """The first identity of a signer."""
        return next((one for whose, one in self._identities() if whose == name), None)

    def name_of(self, signer: PublicKey | CertifiedIdentity) -> str | None:
        """What the reader calls a signer; None for one who is not trusted."""
        if isinstance(signer, PublicKey):
            return next((name for name, key in self.keys if key == signer), None)
        return next((name for name, one in self._identities() if signer.is_of(one)), None)

    def _identities(self) -> Iterator[tuple[str, Identity]]:
        for signer in self.policy.signers:
            for one in signer.identities:
                yield signer.name, Identity(identity=one.identity, issuer=one.issuer)


def read_trust_policy(path: Path) -> ReadPolicy:
    """Policy in a file.

    Raises
    ------
    InputError
        The file cannot be read, or a key in it cannot be used.
    DocumentError
        It is no trust policy, asks for more signers than it names, or one key or identity stands for two of them.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(_MAX_POLICY + 1)
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
        raise InputError("no-trust-policy", reason, fix="give a trust policy", where=str(path)) from error
    policy = load(TrustPolicy, parse(data, where=path.name, max_bytes=_MAX_POLICY), where=path.name)
    keys = tuple(
        (signer.name, PublicKey.parse(pem.encode(), where=f"{path.name}#/signers/{number}/publicKeys"))
        for number, signer in enumerate(policy.signers)
        for pem in signer.public_keys
    )
    reason = _contradiction(policy, [key.hint for _, key in keys])
    if reason:
        raise DocumentError("bad-trust-policy", reason, fix="see schemas/trust-policy.v1.md", where=path.name)
    return ReadPolicy(policy=policy, sha256=sha256(data), keys=keys)


def _contradiction(policy: TrustPolicy, keys: list[str]) -> str:
    """Why nothing could ever meet the policy, or one voice would count twice; empty where it is sound."""
    names = [signer.name for signer in policy.signers]
    voices = keys + [f"{one.identity} {one.issuer}" for signer in policy.signers for one in signer.identities]
    if len(set(names)) != len(names):
        return "two signers have the same name"
    if len(set(voices)) != len(voices):
        return "a key or an identity is there twice, and would count as two voices"
    if any(not signer.public_keys and not signer.identities for signer in policy.signers):
        return "a signer has neither a key nor an identity"
    if policy.minimum_signers + policy.minimum_reproductions > len(names):
        asked = policy.minimum_signers + policy.minimum_reproductions
        return f"asks for {asked} voices and names {len(names)}"
    if policy.reproduced_values and not policy.minimum_reproductions:
        return "names values to be reproduced, and asks for nobody who reproduces them"
    return ""
