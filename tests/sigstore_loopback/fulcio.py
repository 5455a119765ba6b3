"""Fulcio: a certificate of ten minutes for whoever holds a token, with the promise of a certificate log in it.

References
----------
sigstore/fulcio, docs/certificate-specification.md and docs/oid-info.md; RFC 6962, sections 3.2 and 3.3.
"""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from sigstore_loopback.certificates import Authority, public_der

_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_TIMESTAMP_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
_LIFETIME = timedelta(minutes=10)


def _der(tag: int, content: bytes) -> bytes:
    """A DER element of fewer than 65,536 bytes."""
    size = len(content)
    length = bytes([size]) if size < 128 else b"\x82" + struct.pack(">H", size)
    return bytes([tag]) + length + content


def _vector(content: bytes) -> bytes:
    """An opaque of TLS with a length of two bytes."""
    return struct.pack(">H", len(content)) + content


@dataclass(frozen=True, kw_only=True)
class CertificateLog:
    """A certificate log that promises to take up whatever it is shown."""

    key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    @property
    def id(self) -> bytes:
        return sha256(public_der(self.key)).digest()

    def promise(self, to_be_signed: bytes, issuer: EllipticCurvePrivateKey, now: datetime) -> bytes:
        """The list of one signed certificate timestamp over a certificate that does not yet hold it."""
        milliseconds = int(now.timestamp() * 1000)
        issuer_id = sha256(public_der(issuer)).digest()
        length = len(to_be_signed).to_bytes(3, "big")
        signed = struct.pack(">BBQH", 0, 0, milliseconds, 1) + issuer_id + length + to_be_signed + _vector(b"")
        signature = self.key.sign(signed, ECDSA(SHA256()))
        timestamp = b"\0" + self.id + struct.pack(">Q", milliseconds) + _vector(b"") + b"\x04\x03" + _vector(signature)
        return _der(0x04, _vector(_vector(timestamp)))


@dataclass(frozen=True, kw_only=True)
class Fulcio:
    """The authority that signs certificates for identities.

    ``delay`` moves the certificates that it issues away from now.
    """

    authority: Authority
    log: CertificateLog = field(default_factory=CertificateLog)
    delay: timedelta = timedelta()

    def issue(self, body: bytes, claims: dict[str, Any], now: datetime) -> dict[str, Any]:
        """Answer to ``POST /api/v2/signingCert``, for claims that have been checked."""
        pem = b64decode(json.loads(body)["certificateSigningRequest"])
        request = x509.load_pem_x509_csr(pem)
        if not request.is_signature_valid:
            raise ValueError("the request is not signed with its own key")
        since = (now + self.delay).replace(microsecond=0)
        issuer = claims["iss"].encode()
        builder = (
            self.authority.begin(request.public_key(), since=since, until=since + _LIFETIME)
            .subject_name(x509.Name([]))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectAlternativeName([_name(claims)]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, _der(0x0C, issuer)), critical=False)
        )
        key = self.authority.key
        unpromised = builder.sign(key, SHA256()).tbs_certificate_bytes
        promise = x509.UnrecognizedExtension(_TIMESTAMP_LIST, self.log.promise(unpromised, key, now))
        leaf = builder.add_extension(promise, critical=False).sign(key, SHA256())
        chain = [one.public_bytes(Encoding.PEM).decode() for one in (leaf, *self.authority.chain)]
        return {"signedCertificateEmbeddedSct": {"chain": {"certificates": chain}}}


def _name(claims: dict[str, Any]) -> x509.GeneralName:
    """An address of mail where the token has one, else the subject as a URI."""
    if "email" in claims:
        return x509.RFC822Name(claims["email"])
    return x509.UniformResourceIdentifier(claims["sub"])
