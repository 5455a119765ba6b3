"""The loopback certificate authority: whom it names, for how long, and what it refuses."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier
from sigstore_loopback.certificates import Authority, public_der
from sigstore_loopback.fulcio import Fulcio

NOW = datetime(2026, 1, 2, 3, 4, 5, 600000, UTC)
CLAIMS = {"iss": "https://issuer.test", "email": "alice@example.test"}
ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
KEY = generate_private_key(SECP256R1())


@pytest.fixture(scope="module")
def fulcio() -> Fulcio:
    since = NOW - timedelta(hours=1)
    root = Authority.make("root", since=since)
    return Fulcio(authority=Authority.make("intermediate", since=since, above=root))


def request(data: bytes | None = None) -> bytes:
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, SHA256())
    pem = data or made.public_bytes(Encoding.PEM)
    return json.dumps({"certificateSigningRequest": b64encode(pem).decode()}).encode()


def chain_of(answer: dict[str, Any]) -> list[x509.Certificate]:
    texts = answer["signedCertificateEmbeddedSct"]["chain"]["certificates"]
    return [x509.load_pem_x509_certificate(text.encode()) for text in texts]


def test_a_certificate_names_the_identity_its_issuer_and_the_key_for_ten_minutes(fulcio: Fulcio):
    leaf, *above = chain_of(fulcio.issue(request(), CLAIMS, NOW))
    for certificate, issuer in zip([leaf, *above], above, strict=False):
        certificate.verify_directly_issued_by(issuer)
    assert public_der(leaf) == public_der(KEY)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert (names.critical, names.value.get_values_for_type(x509.RFC822Name)) == (True, ["alice@example.test"])
    issuer = leaf.extensions.get_extension_for_oid(ISSUER).value
    assert isinstance(issuer, x509.UnrecognizedExtension)
    assert issuer.value == b"\x0c\x13https://issuer.test"
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CODE_SIGNING]
    assert leaf.not_valid_before_utc == NOW.replace(microsecond=0)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(minutes=10)


def test_a_machine_is_named_by_a_uri_and_a_delay_moves_the_certificate(fulcio: Fulcio):
    claims = {"iss": "https://issuer.test", "sub": "https://ci.test/job"}
    late = Fulcio(authority=fulcio.authority, delay=timedelta(days=-1))
    leaf, *_ = chain_of(late.issue(request(), claims, NOW))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["https://ci.test/job"]
    assert leaf.not_valid_after_utc < NOW


def test_the_promise_in_a_certificate_is_signed_by_the_certificate_log(fulcio: Fulcio):
    leaf, issuer, *_ = chain_of(fulcio.issue(request(), CLAIMS, NOW))
    held = leaf.extensions.get_extension_for_class(x509.PrecertificateSignedCertificateTimestamps).value
    (promise,) = list(held)
    assert promise.log_id == fulcio.log.id
    assert promise.timestamp == NOW.replace(tzinfo=None)
    body = leaf.tbs_precertificate_bytes
    milliseconds = int(NOW.timestamp() * 1000)
    digest = sha256(public_der(issuer)).digest()
    signed = struct.pack(">BBQH", 0, 0, milliseconds, 1) + digest + len(body).to_bytes(3, "big") + body + b"\0\0"
    fulcio.log.key.public_key().verify(promise.signature, signed, ECDSA(SHA256()))


def test_a_request_that_is_not_signed_with_its_own_key_is_refused(fulcio: Fulcio):
    made = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(KEY, SHA256())
    der = bytearray(made.public_bytes(Encoding.DER))
    der[-1] ^= 1
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + b64encode(bytes(der)) + b"\n-----END CERTIFICATE REQUEST-----\n"
    for body in (request(pem), request(b"no request"), b"{}"):
        with pytest.raises((ValueError, KeyError)):
            fulcio.issue(body, CLAIMS, NOW)
