"""Steps 2 and 3: the signature over the exact bytes, and who made it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attest.bundle import Bundle, MessageSignature
from attest.digest import sha256
from attest.envelope import Envelope
from attest.errors import InputError, SignatureError
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.identity import CertifiedIdentity, Identity
from attest.keyless import LogTime, verify_keyless, verify_log_entries
from attest.log_entry import LoggedSignature
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
    certified : CertifiedIdentity or None
        Whom the certificate names, where it holds and was made without a key.
    logs : tuple of LogTime
        Log entries that hold.
    """

    signature: Check
    signer: Check
    key: PublicKey | None = None
    certified: CertifiedIdentity | None = None
    logs: tuple[LogTime, ...] = ()


def check_with_key(
    bundle: Bundle,
    artifact: Artifact | None,
    expectation: Expectation,
    directory: Path,
    root: TrustedRoot | None = None,
) -> Signed:
    """Steps 2 and 3 for a bundle that names a key.

    Parameters
    ----------
    bundle : Bundle
    artifact : Artifact or None
        The file that was signed, where no statement was.
    expectation : Expectation
    directory : Path
        Where the signer's key may lie, if any signer will do.
    root : TrustedRoot or None
        Names the logs whose entries are checked; None where the bundle holds no entry.

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
    signature, logs = _check_logs(bundle, key, artifact, root, facts)
    if not is_named:
        message = "It holds under the key you expect, but the bundle names another key: the name was altered."
        signature = checked("signature", "FAILED", message, **facts)
    signer = checked("signer", "PASSED", f"The key you expect, SHA-256 {key.hint}.", **facts)
    signer = skipped("signer", _ANYBODY) if expectation.is_anybody else signer
    return Signed(signature=signature, signer=signer, key=key, logs=logs)


def _check_logs(
    bundle: Bundle, key: PublicKey, artifact: Artifact | None, root: TrustedRoot | None, facts: Mapping[str, str]
) -> tuple[Check, tuple[LogTime, ...]]:
    """Step 2 for a signature that holds under a key: the log entries beside it, where there are any."""
    message = _holds_over(bundle.content)
    if root is None:
        return checked("signature", "PASSED", message, **facts), ()
    facts = {**facts, "trustedRoot": root.source, "trustedRootSha256": root.sha256}
    try:
        logs = verify_log_entries(bundle, _logged(bundle, key, artifact), root)
    except SignatureError as error:
        message = f"The signature holds, but a log entry beside it does not, under the trusted root {root.source}."
        return checked("signature", "FAILED", message, [error.message], **facts, code=error.code), ()
    if logs:
        message += f" Logged in public at {', '.join(str(log.index) for log in logs)}; trusted root: {root.source}."
    unread = len(bundle.log_entries) - len(logs)
    if unread:
        message += (
            f" {unread} entries were not checked: they are of logs that the trusted root {root.source} does not name."
        )
    return checked("signature", "PASSED", message, **facts, logIndexes=[log.index for log in logs]), logs


def _logged(bundle: Bundle, key: PublicKey, artifact: Artifact | None) -> LoggedSignature:
    """What a log entry must be about."""
    content = bundle.content
    if isinstance(content, Envelope):
        return LoggedSignature.of(content, key)
    digests = artifact.digests if artifact else {}
    return LoggedSignature(key=key, signature=content.signature, digests=digests, payload_sha256=None)


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
    signer = _check_identity(verified.signer, expectation)
    return Signed(signature=signature, signer=signer, certified=verified.signer, logs=(log,))


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
