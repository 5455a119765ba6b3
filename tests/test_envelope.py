from __future__ import annotations

import base64
from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicNumbers
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from attest.envelope import Envelope, b64decode, b64encode, pre_authentication_encoding
from attest.errors import DocumentError, SignatureError
from attest.signer import PublicKey

# DSSE v1.0.2, protocol.md, "Test Vectors" (https://github.com/secure-systems-lab/dsse, Apache-2.0).
VECTOR_TYPE = "http://example.com/HelloWorld"
VECTOR_PAYLOAD = b"hello world"
VECTOR_SIGNED = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
VECTOR_KEY = EllipticCurvePublicNumbers(
    x=46950820868899156662930047687818585632848591499744589407958293238635476079160,
    y=5640078356564379163099075877009565129882514886557779369047442380624545832820,
    curve=SECP256R1(),
)
VECTOR_RAW_SIGNATURE = base64.b64decode(
    "A3JqsQGtVsJ2O2xqrI5IcnXip5GToJ3F+FnZ+O88SjtR6rDAajabZKciJTfUiHqJPcIAriEGAHTVeCUjW2JIZA=="
)


def test_the_dsse_vector_encodes():
    assert pre_authentication_encoding(VECTOR_TYPE, VECTOR_PAYLOAD) == VECTOR_SIGNED


def test_the_dsse_vector_verifies():
    raw = VECTOR_RAW_SIGNATURE
    signature = encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
    pem = VECTOR_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    key = PublicKey.parse(pem, where="vector")
    envelope = Envelope(payload=VECTOR_PAYLOAD, payload_type=VECTOR_TYPE, signature=signature)
    key.verify(envelope.signature, envelope.signed_bytes)
    with pytest.raises(SignatureError):
        key.verify(envelope.signature, envelope.payload)


def test_lengths_count_bytes_not_characters():
    assert pre_authentication_encoding("é", "né".encode()) == "DSSEv1 2 é 3 né".encode()


@given(st.text(), st.binary(), st.text(), st.binary())
def test_two_payloads_never_encode_alike(type_a: str, a: bytes, type_b: str, b: bytes):
    encoded_alike = pre_authentication_encoding(type_a, a) == pre_authentication_encoding(type_b, b)
    assert encoded_alike == ((type_a, a) == (type_b, b))


@given(st.binary())
def test_base64_reads_back(data: bytes):
    assert b64decode(b64encode(data), where="x") == data


@given(st.text() | st.text(alphabet="AQgw+/=-_ \n"))
def test_any_text_is_canonical_base64_or_a_document_error(text: str):
    with suppress(DocumentError):
        assert b64encode(b64decode(text, where="x")) == text


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("AA", id="no padding"),
        pytest.param("AA=", id="half the padding"),
        pytest.param("AB==", id="unused bits are set"),
        pytest.param("AAA=AAAA", id="padding inside"),
        pytest.param("AAAA====", id="padding too many"),
        pytest.param("AA==\n", id="final newline"),
        pytest.param("AAAA AAAA", id="space"),
        pytest.param("-_-_", id="URL alphabet"),
        pytest.param("\uff21\uff21\uff21\uff21", id="full-width letters"),
    ],
)
def test_base64_that_is_not_canonical_is_refused(text: str):
    with pytest.raises(DocumentError):
        b64decode(text, where="x")
