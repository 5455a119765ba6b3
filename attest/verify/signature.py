"""Steps 2 and 3: the signature over the exact bytes, and who made it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from attest.bundle import Bundle, MessageSignature
from attest.digest import sha256
from attest.envelope import Envelope
from attest.errors import InputError, SignatureError
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.identity import CertifiedIdentity, Identity
from attest.keyless import Verified, verify_keyless
from attest.signer import PublicKey
from attest.trust import TrustedRoot
from attest.verify.artifact import Artifact
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


def check_with_key(bundle: Bundle, artifact: Artifact | None, expectation: Expectation, directory: Path) -> Signed:
    """Steps 2 and 3 for a bundle that names a key.

    Parameters
    ----------
    bundle : Bundle
    artifact : Artifact or None
        The file that was signed, where no statement was.
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
    facts = {"keySha256": key.hint, "keyType": key.type, "payloadSha256": _digest(bundle, artifact)}
    is_named = hint in key.names
    try:
        _verify(key, bundle.content, artifact)
    except SignatureError:
        if is_named:
            message = "The signature does not hold over the bytes that it came with."
            return Signed(signature=checked("signature", "FAILED", message, **facts), signer=skipped("signer", _UNTOLD))
        return Signed(
            signature=skipped("signature", "Intact or not cannot be told without the key that the bundle names."),
            signer=checked("signer", "FAILED", f"It names the key {hint}; you expect {key.hint}.", **facts),
        )
    signature = checked("signature", "PASSED", _holds_over(bundle.content), **facts)
    if not is_named:
        message = "It holds under the key you expect, but the bundle names another key: the name was altered."
        signature = checked("signature", "FAILED", message, **facts)
    signer = checked("signer", "PASSED", f"The key you expect, SHA-256 {key.hint}.", **facts)
    return Signed(
        signature=signature, signer=skipped("signer", _ANYBODY) if expectation.is_anybody else signer, key=key
    )


def check_keyless(
    bundle: Bundle, data: bytes, artifact: Artifact | None, expectation: Expectation, root: TrustedRoot
) -> Signed:
    """Steps 2 and 3 for a bundle that holds a certificate.

    Parameters
    ----------
    bundle : Bundle
    data : bytes
        The bundle's file.
    artifact : Artifact or None
        The file that was signed, where no statement was.
    expectation : Expectation
    root : TrustedRoot
    """
    facts = {"trustedRoot": root.source, "trustedRootSha256": root.sha256}
    is_of_file = isinstance(bundle.content, MessageSignature) and artifact is not None
    digest = bytes.fromhex(artifact.sha256) if is_of_file and artifact else None
    try:
        verified = verify_keyless(bundle, data, root, artifact_sha256=digest)
    except SignatureError as error:
        message = f"The signature is not accepted under the trusted root {root.source}."
        return Signed(
            signature=checked("signature", "FAILED", message, [error.message], **facts, code=error.code),
            signer=skipped("signer", _UNTOLD),
        )
    log = verified.log
    message = f"{_holds_over(bundle.content)} Logged in public at {log.index}; trusted root: {root.source}."
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


def _verify(key: PublicKey, content: Envelope | MessageSignature, artifact: Artifact | None) -> None:
    """Check what was signed with a key. Raises SignatureError."""
    if isinstance(content, Envelope):
        key.verify(content.signature, content.signed_bytes)
    elif artifact is None:
        raise SignatureError("signature-wrong", "the file is not at hand", fix="give the file that was signed")
    else:
        if content.digest is not None and content.digest.hex() not in artifact.digests.values():
            reason = "the bundle claims another digest of the file"
            raise SignatureError("signature-wrong", reason, fix="give the file that was signed")
        key.verify_digest(content.signature, artifact.digests)


def _digest(bundle: Bundle, artifact: Artifact | None) -> str:
    """SHA-256 of what was signed."""
    if isinstance(bundle.content, Envelope):
        return sha256(bundle.content.payload)
    return artifact.sha256 if artifact else ""


def _holds_over(content: Envelope | MessageSignature) -> str:
    if isinstance(content, Envelope):
        return f"It holds over all {len(content.payload):,} bytes of the statement."
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
