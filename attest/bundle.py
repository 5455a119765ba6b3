"""Sigstore bundle: a statement or a file, its one signature, and what the signature is checked with.

Exactly one signature a bundle, as every Sigstore client demands; co-signers write bundles of their own. What attest
writes is version 0.3; older ones of others are read. What cannot be checked is refused by name, never skipped.

References
----------
sigstore/protobuf-specs, sigstore_bundle.proto; OpenSSF Model Signing v1.0, section 4.1 (``hint``).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from attest.checkpoint.tree import open_file
from attest.document import Limits, canonical, load, parse, record
from attest.envelope import Envelope, b64decode, b64encode
from attest.errors import CheckpointError, DocumentError, InputError
from attest.statement import MAX_STATEMENT, Statement

__all__ = ["BUNDLE_NAME", "MAX_BUNDLE", "MAX_TIMESTAMPS", "MEDIA_TYPE", "Bundle", "MessageSignature", "read_bundle"]

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_NAME = "statement.sigstore.json"
MAX_BUNDLE = 2 * MAX_STATEMENT
MAX_TIMESTAMPS = 32
"""Most timestamps, log entries and certificates that are read of each (GHSA-cq38-jh5f-37mq: endless data)."""

_TOLD_BY_BEGINNING = {
    b"<": ("is a web page", "run attest verify-report on it, save the bundles from its links, and give those"),
    b"-----BEGIN ": ("is a key or a certificate", "give a bundle, such as statement.sigstore.json"),
}
_BASE64_FIELDS = frozenset({"keyId", "signedEntryTimestamp", "rootHash", "canonicalizedBody"})
_Hint = Annotated[str, Limits(pattern="^([0-9a-f]{64}|[A-Za-z0-9+/]{43}=)$")]
_MediaType = Literal[
    "application/vnd.dev.sigstore.bundle.v0.3+json",
    "application/vnd.dev.sigstore.bundle+json;version=0.3",
    "application/vnd.dev.sigstore.bundle+json;version=0.2",
    "application/vnd.dev.sigstore.bundle+json;version=0.1",
]


@record
class _PublicKey:
    """Names the signer's key."""

    hint: _Hint


@record
class _Certificate:
    """DER of an X.509 certificate, in base64."""

    raw_bytes: str


@record
class _Chain:
    """Certificates, the signer's first."""

    certificates: Annotated[tuple[_Certificate, ...], Limits(min_length=1, max_length=MAX_TIMESTAMPS)]


@record
class _Timestamp:
    """A token of RFC 3161, in base64."""

    signed_timestamp: str


@record
class _Timestamps:
    """Trusted times of the signature."""

    rfc3161_timestamps: Annotated[tuple[_Timestamp, ...], Limits(max_length=MAX_TIMESTAMPS)] = ()


@record
class _VerificationMaterial:
    """What the signature is checked with."""

    tlog_entries: Annotated[tuple[dict[str, Any], ...], Limits(max_length=MAX_TIMESTAMPS)]
    public_key: _PublicKey | None = None
    certificate: _Certificate | None = None
    x509_certificate_chain: _Chain | None = None
    timestamp_verification_data: _Timestamps | None = None


@record
class _Signature:
    """A signature as DSSE has it."""

    sig: str
    keyid: Literal[""] = ""


@record
class _DsseEnvelope:
    """A payload with its signature."""

    payload: str
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: tuple[_Signature]


@record
class _MessageDigest:
    """Digest of the file that was signed."""

    algorithm: str
    digest: str


@record
class _MessageSignature:
    """A signature over a file."""

    signature: str
    message_digest: _MessageDigest | None = None


@record
class _Wire:
    """A bundle as it is written."""

    media_type: _MediaType
    verification_material: _VerificationMaterial
    dsse_envelope: _DsseEnvelope | None = None
    message_signature: _MessageSignature | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class MessageSignature:
    """A signature over the bytes of a file that is not in the bundle.

    Parameters
    ----------
    signature : bytes
    digest : bytes or None
        The file's digest as the bundle claims it; a hint, nothing is checked with it alone.
    algorithm : str or None
        Name of the digest, ``SHA2_256``.
    """

    signature: bytes
    digest: bytes | None
    algorithm: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """What was signed, and what the signature is checked with; nothing about it has been verified.

    Parameters
    ----------
    content : Envelope or MessageSignature
        A payload with its signature, or the signature over a file that lies elsewhere.
    key_hint : str or None
        Name of the signer's key as the bundle claims it. attest writes the SHA-256 of its PEM
        (SubjectPublicKeyInfo) in hexadecimal, others that of its DER in base64.
    certificate : bytes or None
        The signer's certificate, DER. Either this or ``key_hint`` is there.
    timestamps : tuple of bytes
        Answers of time-stamp authorities (RFC 3161) over the signature, DER.
    log_entries : tuple of mapping
        Entries of transparency logs, JSON as it stands in the bundle.
    """

    content: Envelope | MessageSignature
    key_hint: str | None = None
    certificate: bytes | None = None
    timestamps: tuple[bytes, ...] = ()
    log_entries: tuple[Mapping[str, Any], ...] = ()

    @property
    def envelope(self) -> Envelope:
        """The signed payload. Raises DocumentError where only a file was signed."""
        if isinstance(self.content, MessageSignature):
            raise DocumentError(
                "not-a-statement",
                "signs the bytes of a file, and holds no statement",
                fix="give the file: attest verify BUNDLE --artifact FILE",
                where="bundle",
            )
        return self.content

    def statement(self, *, where: str) -> Statement:
        """The statement in the payload, parsed from the very bytes that are signed."""
        return Statement.parse(self.envelope.payload, where=where)

    def to_json(self) -> bytes:
        """Canonical JSON of the bundle in version 0.3, without a final newline."""
        material: dict[str, Any] = {"tlogEntries": list(self.log_entries)}
        if self.key_hint is not None:
            material["publicKey"] = {"hint": self.key_hint}
        if self.certificate is not None:
            material["certificate"] = {"rawBytes": b64encode(self.certificate)}
        if self.timestamps:
            tokens = [{"signedTimestamp": b64encode(token)} for token in self.timestamps]
            material["timestampVerificationData"] = {"rfc3161Timestamps": tokens}
        return canonical({"mediaType": MEDIA_TYPE, "verificationMaterial": material, **_write_content(self.content)})

    @classmethod
    def from_json(cls, data: bytes, *, where: str) -> Bundle:
        """Bundle held by a file's bytes.

        Raises
        ------
        DocumentError
            Malformed, more than one signature, or a kind of bundle that is not read here.
        """
        value = parse(data, where=where, max_bytes=MAX_BUNDLE)
        _refuse_other_kinds(value, where)
        wire = load(_Wire, value, where=where)
        material = wire.verification_material
        stamps = material.timestamp_verification_data
        tokens = stamps.rfc3161_timestamps if stamps else ()
        chain = material.x509_certificate_chain
        certificate = chain.certificates[0] if chain else material.certificate
        place = f"{where}#/verificationMaterial"
        _refuse_other_base64(list(material.tlog_entries), place)
        return cls(
            content=_read_content(wire, where),
            key_hint=material.public_key.hint if material.public_key else None,
            certificate=b64decode(certificate.raw_bytes, where=place) if certificate else None,
            timestamps=tuple(b64decode(token.signed_timestamp, where=place) for token in tokens),
            log_entries=material.tlog_entries,
        )


def _write_content(content: Envelope | MessageSignature) -> dict[str, Any]:
    if isinstance(content, Envelope):
        signatures = [{"keyid": "", "sig": b64encode(content.signature)}]
        payload = {"payload": b64encode(content.payload), "payloadType": content.payload_type}
        return {"dsseEnvelope": {**payload, "signatures": signatures}}
    message: dict[str, Any] = {"signature": b64encode(content.signature)}
    if content.digest is not None:
        message["messageDigest"] = {"algorithm": content.algorithm, "digest": b64encode(content.digest)}
    return {"messageSignature": message}


def _read_content(wire: _Wire, where: str) -> Envelope | MessageSignature:
    """What was signed. Its callers have seen that exactly one of the two kinds is there."""
    envelope, message = wire.dsse_envelope, wire.message_signature
    if envelope is not None:
        return Envelope(
            payload=b64decode(envelope.payload, where=f"{where}#/dsseEnvelope/payload"),
            payload_type=envelope.payload_type,
            signature=b64decode(envelope.signatures[0].sig, where=f"{where}#/dsseEnvelope/signatures/0/sig"),
        )
    place = f"{where}#/messageSignature"
    if message is None:
        raise DocumentError("not-a-bundle", "holds no signature", fix="ask its author", where=where)
    digest = message.message_digest
    return MessageSignature(
        signature=b64decode(message.signature, where=place),
        digest=b64decode(digest.digest, where=place) if digest else None,
        algorithm=digest.algorithm if digest else None,
    )


def _refuse_other_kinds(value: object, where: str) -> None:
    """Name what is wrong with a foreign bundle as a whole, before its schema is looked at."""
    if isinstance(value, dict) and "predicateType" in value:
        raise DocumentError(
            "not-a-bundle",
            "is a statement that nobody signed",
            fix="give the folder that it lies in, and where a signature is asked for sign that first: attest sign FOLDER",
            where=where,
        )
    if not isinstance(value, dict) or "mediaType" not in value:
        raise DocumentError(
            "not-a-bundle", "not a Sigstore bundle", fix="give a bundle, such as statement.sigstore.json", where=where
        )
    envelope = value.get("dsseEnvelope")
    signatures = envelope.get("signatures") if isinstance(envelope, dict) else None
    if isinstance(signatures, list) and len(signatures) != 1:
        raise DocumentError(
            "signature-count",
            f"{len(signatures)} signatures; a bundle holds exactly one",
            fix="ask each signer for a bundle of its own",
            where=where,
        )
    material = value.get("verificationMaterial")
    held = {name for name, item in material.items() if item is not None} if isinstance(material, dict) else set()
    signers = sorted(held & {"publicKey", "certificate", "x509CertificateChain"})
    contents = sorted(set(value) & {"dsseEnvelope", "messageSignature"})
    reason = ""
    if len(signers) > 1:
        reason = f"names its signer in two ways: {' and '.join(signers)}"
    elif len(contents) > 1:
        reason = "holds a statement and the signature of a file"
    elif isinstance(material, dict) and not signers:
        reason = "names neither a key nor a certificate"
    elif isinstance(material, dict):
        reason = _unsupported_log(material, has_key=signers == ["publicKey"])
    if reason:
        raise DocumentError("unsupported-bundle", reason, fix="verify it with another Sigstore client", where=where)


def _refuse_other_base64(value: Any, where: str) -> None:
    """Refuse log entries whose bytes are not in canonical base64, which sigstore reads in many spellings."""
    for name, item in value.items() if isinstance(value, dict) else enumerate(value):
        if isinstance(item, str) and (name in _BASE64_FIELDS or (isinstance(name, int) and where.endswith("/hashes"))):
            b64decode(item, where=f"{where}/{name}")
        elif isinstance(item, dict | list):
            _refuse_other_base64(item, f"{where}/{name}")


def _unsupported_log(material: dict[str, Any], *, has_key: bool) -> str:
    """Why the log entries cannot be checked; empty where they can."""
    entries = material.get("tlogEntries")
    if entries == [] and not has_key:
        return "holds a certificate and no log entry, so that nobody says when it was valid"
    if isinstance(entries, list) and '"intoto"' in json.dumps(
        [one.get("kindVersion") for one in entries if isinstance(one, dict)]
    ):
        return "holds a log entry of the kind intoto, which is not checked here"
    return ""


def read_bundle(path: Path) -> tuple[Bundle, bytes]:
    """Bundle in a file, or in the evidence directory that is given instead, with the file's bytes.

    Raises
    ------
    InputError
        There is no such file.
    DocumentError
        It is not a bundle.
    """
    try:
        file = path / BUNDLE_NAME if path.is_dir() else Path(os.path.realpath(path))
        with open_file(file.parent, file.name) as stream:
            data = stream.read(MAX_BUNDLE + 1)
    except (CheckpointError, OSError) as error:
        raise InputError(
            "no-bundle",
            error.message if isinstance(error, CheckpointError) else f"cannot be read ({error.strerror})",
            fix="check the path, or sign the evidence first: attest sign EVIDENCE_DIR --key KEY",
            where=str(path / BUNDLE_NAME if os.path.isdir(path) else path),  # noqa: PTH112 - False, not an error, of a name too long
        ) from error
    for beginning, (what, fix) in _TOLD_BY_BEGINNING.items():
        if data[:64].lstrip().startswith(beginning):
            raise DocumentError("not-a-bundle", what, fix=fix, where=file.name)
    return Bundle.from_json(data, where=file.name), data
