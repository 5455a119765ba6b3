"""Steps 2 and 3: the signature over the exact bytes, and who made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attest.bundle import Bundle
from attest.digest import sha256
from attest.envelope import Envelope
from attest.errors import InputError, SignatureError
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.identity import CertifiedIdentity, Identity
from attest.keyless import Verified, verify_keyless
from attest.signer import PublicKey
from attest.trust import TrustedRoot
from attest.verify.check import Check, checked, skipped

__all__ = ["Expectation", "Signed", "check_keyless", "check_with_key"]

_UNTOLD = "Cannot be told, since the signature does not hold."
_ANYBODY = "Integrity only: whoever signed, nobody's identity was checked."


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """Whom the reader expects to have signed: the holder of a key, an identity, or with neither anybody at all."""

    key: PublicKey | None = None
    identity: Identity | None = None

    @property
    def is_anybody(self) -> bool:
        """Whether it does not matter who signed."""
        return self.key is None and self.identity is None


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """What steps 2 and 3 found.

    Parameters
    ----------
    signature, signer : Check
    key : PublicKey or None
        The key under which the signature holds, where it was made with a key.
    keyless : Verified or None
        The identity and the log entry, where it holds and was made without.
    """

    signature: Check
    signer: Check
    key: PublicKey | None = None
    keyless: Verified | None = None


def check_with_key(bundle: Bundle, signed: bytes, expectation: Expectation, directory: Path) -> Signed:
    """Steps 2 and 3 for a bundle that names a key.

    Parameters
    ----------
    bundle : Bundle
    signed : bytes
        What the signature must cover.
    expectation : Expectation
    directory : Path
        Where the signer's key may lie, if any signer will do.

    Raises
    ------
    InputError
        Any signer is accepted, and the key that the bundle names is not at hand.
    """
    hint = bundle.key_hint or ""
    if expectation.identity is not None:
        message = f"It is signed with a key, {hint}, and names nobody; you expect {expectation.identity.identity}."
        return Signed(
            signature=skipped("signature", "Intact or not cannot be told without the key that the bundle names."),
            signer=checked("signer", "FAILED", message),
        )
    key = expectation.key or _key_beside(directory, hint)
    facts = {"keySha256": key.hint, "keyType": key.type, "payloadSha256": sha256(_payload(bundle, signed))}
    is_named = hint in key.names
    try:
        key.verify(bundle.content.signature, signed)
    except SignatureError:
        if is_named:
            message = "The signature does not hold over the bytes that it came with."
            return Signed(signature=checked("signature", "FAILED", message, **facts), signer=skipped("signer", _UNTOLD))
        return Signed(
            signature=skipped("signature", "Intact or not cannot be told without the key that the bundle names."),
            signer=checked("signer", "FAILED", f"It names the key {hint}; you expect {key.hint}.", **facts),
        )
    signature = checked("signature", "PASSED", _holds_over(bundle, signed), **facts)
    if not is_named:
        message = "It holds under the key you expect, but the bundle names another key: the name was altered."
        signature = checked("signature", "FAILED", message, **facts)
    signer = checked("signer", "PASSED", f"The key you expect, SHA-256 {key.hint}.", **facts)
    return Signed(
        signature=signature, signer=skipped("signer", _ANYBODY) if expectation.is_anybody else signer, key=key
    )


def check_keyless(
    bundle: Bundle, data: bytes, signed: bytes, expectation: Expectation, root: TrustedRoot, artifact_sha256: str | None
) -> Signed:
    """Steps 2 and 3 for a bundle that holds a certificate.

    Parameters
    ----------
    bundle : Bundle
    data : bytes
        The bundle's file.
    signed : bytes
        What the signature must cover; empty where only the digest of it is known.
    expectation : Expectation
    root : TrustedRoot
    artifact_sha256 : str or None
        Digest of the file that was signed, where no statement was.
    """
    facts = {"trustedRoot": root.source, "trustedRootSha256": root.sha256}
    digest = None if artifact_sha256 is None else bytes.fromhex(artifact_sha256)
    try:
        verified = verify_keyless(bundle, data, root, artifact_sha256=digest)
    except SignatureError as error:
        message = f"The signature is not accepted under the trusted root {root.source}."
        return Signed(
            signature=checked("signature", "FAILED", message, [error.message], **facts, code=error.code),
            signer=skipped("signer", _UNTOLD),
        )
    log = verified.log
    message = f"{_holds_over(bundle, signed)} Logged in public at {log.index}; trusted root: {root.source}."
    signature = checked("signature", "PASSED", message, **facts, logIndex=log.index)
    return Signed(signature=signature, signer=_check_identity(verified.signer, expectation), keyless=verified)


def _check_identity(signer: CertifiedIdentity, expectation: Expectation) -> Check:
    """Step 3 for a verified certificate."""
    facts = {"names": list(signer.names), "issuer": signer.issuer}
    if expectation.is_anybody:
        return checked("signer", "SKIPPED", f"{_ANYBODY} The certificate names {signer.text}.", **facts)
    if expectation.identity is None:
        return checked("signer", "FAILED", f"It is signed by {signer.text}; you expect the holder of a key.", **facts)
    if signer.is_of(expectation.identity):
        return checked("signer", "PASSED", f"Whom you expect: {signer.text}.", **facts)
    expected = f"{expectation.identity.identity} (as {expectation.identity.issuer} says)"
    return checked("signer", "FAILED", f"It is signed by {signer.text}; you expect {expected}.", **facts)


def _payload(bundle: Bundle, signed: bytes) -> bytes:
    return bundle.content.payload if isinstance(bundle.content, Envelope) else signed


def _holds_over(bundle: Bundle, signed: bytes) -> str:
    if isinstance(bundle.content, Envelope):
        return f"It holds over all {len(_payload(bundle, signed)):,} bytes of the statement."
    return "It holds over the bytes of the file."


def _key_beside(directory: Path, hint: str) -> PublicKey:
    """The public key that lies beside a bundle, if it is the one that the bundle names."""
    try:
        key = PublicKey.read(directory / SIGNER_KEY_NAME)
    except InputError:
        key = None
    if key is None or hint not in key.names:
        raise InputError(
            "no-signer-key",
            f"holds no key with SHA-256 {hint}, which the bundle names",
            fix="get the signer's public key and give it with --key",
            where=str(directory / SIGNER_KEY_NAME),
        )
    return key
