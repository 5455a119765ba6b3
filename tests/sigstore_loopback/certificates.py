"""Certificate authorities, and the certificates of services that they sign."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_NO_USE = {
    "digital_signature": False,
    "content_commitment": False,
    "key_encipherment": False,
    "data_encipherment": False,
    "key_agreement": False,
    "key_cert_sign": False,
    "crl_sign": False,
    "encipher_only": False,
    "decipher_only": False,
}
SIGNS_DATA = x509.KeyUsage(**{**_NO_USE, "digital_signature": True})
_SIGNS_CERTIFICATES = x509.KeyUsage(**{**_NO_USE, "key_cert_sign": True, "crl_sign": True})
LIFETIME = timedelta(days=3650)


def public_der(key: EllipticCurvePrivateKey) -> bytes:
    """SubjectPublicKeyInfo of a key."""
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def common_name(text: str) -> x509.Name:
    """A name that no other instance has."""
    name = f"{text} {secrets.token_hex(4)}"
    return x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "loopback.test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )


@dataclass(frozen=True, kw_only=True)
class Authority:
    """A certificate authority: its key, its certificate, and the authority above it."""

    key: EllipticCurvePrivateKey
    certificate: x509.Certificate
    above: Authority | None

    @classmethod
    def make(
        cls, name: str, *, since: datetime, above: Authority | None = None, lifetime: timedelta = LIFETIME
    ) -> Authority:
        """A root, or an authority below another one."""
        key, subject = generate_private_key(SECP256R1()), common_name(name)
        signing_key = above.key if above else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(above.certificate.subject if above else subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + lifetime)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else None), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        authority_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key())
        certificate = builder.add_extension(authority_id, critical=False).sign(signing_key, SHA256())
        return cls(key=key, certificate=certificate, above=above)

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """Its certificate and those above it."""
        return (self.certificate, *(self.above.chain if self.above else ()))

    def begin(self, public_key: object, *, since: datetime, until: datetime) -> x509.CertificateBuilder:
        """A certificate for somebody's key, without subject and use."""
        return (
            x509.CertificateBuilder()
            .issuer_name(self.certificate.subject)
            .public_key(public_key)  # type: ignore[arg-type]  # whatever key a request holds
            .serial_number(x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(until)
            .add_extension(SIGNS_DATA, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)  # type: ignore[arg-type]
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )

    def issue_for_time_stamping(self, *, since: datetime) -> tuple[EllipticCurvePrivateKey, x509.Certificate]:
        """Key and certificate of a time-stamp authority (RFC 3161, section 2.3)."""
        key = generate_private_key(SECP256R1())
        certificate = (
            self.begin(key.public_key(), since=since, until=since + LIFETIME)
            .subject_name(common_name("loopback time-stamp authority"))
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING]), critical=True)
            .sign(self.key, SHA256())
        )
        return key, certificate
