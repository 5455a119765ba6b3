"""Sigstore bundle v0.3 around a statement signed with a key.

Exactly one signature a bundle, as every Sigstore client demands; co-signers write bundles of their own. Keyless
material (certificates, log entries, timestamps) is refused by name: what cannot be checked is never skipped.

References
----------
sigstore/protobuf-specs, sigstore_bundle.proto (v0.3); OpenSSF Model Signing v1.0, section 4.1 (``hint``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from attest.checkpoint.tree import open_file
from attest.document import canonical, load, parse, record
from attest.envelope import Envelope, b64decode, b64encode
from attest.errors import CheckpointError, DocumentError, InputError
from attest.statement import MAX_STATEMENT, Sha256, Statement

__all__ = ["BUNDLE_NAME", "MAX_BUNDLE", "MEDIA_TYPE", "Bundle", "read_bundle"]

MEDIA_TYPE: Final = "application/vnd.dev.sigstore.bundle.v0.3+json"
BUNDLE_NAME = "statement.sigstore.json"
MAX_BUNDLE = 2 * MAX_STATEMENT


@record
class _PublicKey:
    hint: Sha256


@record
class _VerificationMaterial:
    public_key: _PublicKey
    tlog_entries: tuple[()]


@record
class _Signature:
    keyid: Literal[""]
    sig: str


@record
class _DsseEnvelope:
    payload: str
    payload_type: Literal["application/vnd.in-toto+json"]
    signatures: tuple[_Signature]


@record
class _Wire:
    media_type: Literal["application/vnd.dev.sigstore.bundle.v0.3+json"]
    verification_material: _VerificationMaterial
    dsse_envelope: _DsseEnvelope


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A signed statement.

    Parameters
    ----------
    envelope : Envelope
        Payload and signature; nothing about it has been verified.
    key_hint : str
        SHA-256 of the signer's public key (PEM, SubjectPublicKeyInfo) as the bundle claims it.
    """

    envelope: Envelope
    key_hint: str

    def statement(self, *, where: str) -> Statement:
        """The statement in the payload, parsed from the very bytes that are signed."""
        return Statement.parse(self.envelope.payload, where=where)

    def to_json(self) -> bytes:
        """Canonical JSON of the bundle, without a final newline."""
        return canonical(
            {
                "mediaType": MEDIA_TYPE,
                "verificationMaterial": {"publicKey": {"hint": self.key_hint}, "tlogEntries": []},
                "dsseEnvelope": {
                    "payload": b64encode(self.envelope.payload),
                    "payloadType": self.envelope.payload_type,
                    "signatures": [{"keyid": "", "sig": b64encode(self.envelope.signature)}],
                },
            }
        )

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
        envelope = wire.dsse_envelope
        return cls(
            envelope=Envelope(
                payload=b64decode(envelope.payload, where=f"{where}#/dsseEnvelope/payload"),
                payload_type=envelope.payload_type,
                signature=b64decode(envelope.signatures[0].sig, where=f"{where}#/dsseEnvelope/signatures/0/sig"),
            ),
            key_hint=wire.verification_material.public_key.hint,
        )


def _refuse_other_kinds(value: object, where: str) -> None:
    """Name what a foreign bundle holds that this reader does not check."""
    if not isinstance(value, dict) or "mediaType" not in value:
        raise DocumentError(
            "not-a-bundle", "not a Sigstore bundle", fix=f"give a {BUNDLE_NAME} that attest wrote", where=where
        )
    material = value.get("verificationMaterial")
    held = set(material) if isinstance(material, dict) else set()
    foreign = sorted(held & {"certificate", "x509CertificateChain", "timestampVerificationData"})
    if isinstance(material, dict) and material.get("tlogEntries"):
        foreign.append("tlogEntries")
    if "messageSignature" in value:
        foreign.append("messageSignature")
    if foreign:
        raise DocumentError(
            "unsupported-bundle",
            f"holds {', '.join(foreign)}, which attest does not check yet",
            fix="verify it with a Sigstore client",
            where=where,
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
            fix="sign the evidence first: attest sign EVIDENCE_DIR --key KEY",
            where=str(path),
        ) from error
    return Bundle.from_json(data, where=file.name), data
