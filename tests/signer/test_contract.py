"""What every signer must do; a new one needs a line in ``LOCATIONS`` that says where it finds a key."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.kms.utils import ECDSAPrivateKey
from moto.server import ThreadedMotoServer

from attest.errors import AttestError, SignatureError, SigningError
from attest.signer import SIGNERS, KeyFile, KmsKey, Signer, open_signer, write_key_pair


def key_file(folder: Path) -> str:
    write_key_pair(folder / "key.pem")
    return str(folder / "key.pem")


def kms_key(_folder: Path) -> str:
    """A key in the KMS that ``kms`` runs."""
    made = boto3.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    return str(made["KeyMetadata"]["KeyId"])


LOCATIONS: Mapping[type[Signer], Callable[[Path], str]] = {KeyFile: key_file, KmsKey: kms_key}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Address of a KMS that moto runs."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


def sign_digest(key: ECDSAPrivateKey, message: bytes, _algorithm: str) -> bytes:
    """What KMS does with ``MessageType=DIGEST``, which moto takes for a message to hash."""
    signature: bytes = key.private_key.sign(message, ECDSA(Prehashed(SHA256())))
    return signature


@pytest.fixture(autouse=True)
def kms(endpoint: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that leads to that KMS."""
    monkeypatch.setattr(ECDSAPrivateKey, "sign", sign_digest)
    values = {"AWS_ACCESS_KEY_ID": "AKIASECRET", "AWS_SECRET_ACCESS_KEY": "very secret", "AWS_ENDPOINT_URL": endpoint}
    for name, value in {**values, "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(params=SIGNERS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Signer]:
    made: type[Signer] = request.param
    return made


@pytest.fixture
def location(kind: type[Signer], tmp_path: Path) -> str:
    return LOCATIONS[kind](tmp_path)


def test_schemes_are_plain_and_lead_to_one_signer(kind: type[Signer]):
    assert kind.schemes
    for scheme in kind.schemes:
        assert scheme == scheme.lower()
        assert [other for other in SIGNERS if scheme in other.schemes] == [kind]


def test_each_scheme_opens_the_signer(kind: type[Signer], location: str):
    for scheme in kind.schemes:
        assert isinstance(open_signer(f"{scheme}:{location}" if scheme else location), kind)


def test_what_it_signs_verifies_and_nothing_else_does(kind: type[Signer], location: str):
    signer = kind.open(location)
    for data in (b"", b"data", bytes(100_000)):
        signature = signer.sign(data)
        signer.public_key.verify(signature, data)
        with pytest.raises(SignatureError):
            signer.public_key.verify(signature, data + b"\x00")
        with pytest.raises(SignatureError):
            signer.public_key.verify(signature[:-1], data)
        with pytest.raises(SignatureError):
            signer.public_key.verify(b"", data)


def test_it_is_the_same_signer_when_opened_again(kind: type[Signer], location: str):
    assert kind.open(location).public_key == kind.open(location).public_key
    assert len(kind.open(location).public_key.hint) == 64


def test_it_shows_no_secret(kind: type[Signer], location: str):
    assert "PRIVATE" not in repr(kind.open(location))
    assert all(isinstance(caution, str) for caution in kind.open(location).cautions)


def test_a_key_that_is_not_there_is_a_coded_error(kind: type[Signer]):
    with pytest.raises(AttestError) as caught:
        kind.open("no/such/key")
    assert caught.value.exit_code == 3


@pytest.mark.parametrize("uri", ["pkcs99:token", "http://x/key.pem"])
def test_an_unknown_scheme_is_a_coded_error(uri: str):
    with pytest.raises(SigningError) as caught:
        open_signer(uri)
    assert caught.value.code == "unknown-signer"
    assert f"file:{uri}" in str(caught.value)


def test_a_key_of_another_kind_in_kms_is_refused():
    for usage, spec in (("SIGN_VERIFY", "RSA_2048"), ("SIGN_VERIFY", "ECC_NIST_P384")):
        made = boto3.client("kms").create_key(KeyUsage=usage, KeySpec=spec)
        with pytest.raises(AttestError) as caught:
            open_signer(f"awskms:{made['KeyMetadata']['KeyId']}")
        assert (caught.value.code, caught.value.exit_code) == ("unusable-key", 3)


def test_kms_is_asked_by_alias_and_shown_a_digest_only(tmp_path: Path):
    boto3.client("kms").create_alias(AliasName="alias/attest", TargetKeyId=kms_key(tmp_path))
    signer = open_signer("awskms:alias/attest")
    data = bytes(1_000_000)  # more than KMS would take
    signer.public_key.verify(signer.sign(data), data)
    assert "secret" not in repr(signer)


def test_a_kms_that_is_not_there_is_a_coded_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SigningError) as caught:
        open_signer("awskms:alias/attest")
    assert caught.value.code == "kms-refused"


def test_what_does_not_hold_is_not_taken_from_kms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    signer = open_signer(f"awskms:{kms_key(tmp_path)}")
    monkeypatch.undo()  # moto as it is: it hashes the digest again
    with pytest.raises(SigningError) as caught:
        signer.sign(b"data")
    assert caught.value.code == "kms-refused"
