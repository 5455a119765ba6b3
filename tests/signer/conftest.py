"""Where keys lie that are in no file: a KMS that moto runs, and a token of SoftHSM."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from moto.kms.utils import ECDSAPrivateKey
from servers.aws import serving_aws
from softhsm import SoftHsm, uri


@pytest.fixture(scope="session")
def kms_endpoint() -> Iterator[str]:
    """Address of a KMS that moto runs."""
    with serving_aws() as address:
        yield address


def sign_digest(key: ECDSAPrivateKey, message: bytes, _algorithm: str) -> bytes:
    """What KMS does with ``MessageType=DIGEST``, which moto takes for a message to hash."""
    signature: bytes = key.private_key.sign(message, ECDSA(Prehashed(SHA256())))
    return signature


@pytest.fixture
def kms_key(kms_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A P-256 key in that KMS, to which the environment leads."""
    monkeypatch.setattr(ECDSAPrivateKey, "sign", sign_digest)
    values = {
        "AWS_ACCESS_KEY_ID": "AKIASECRET",
        "AWS_SECRET_ACCESS_KEY": "very secret",
        "AWS_ENDPOINT_URL": kms_endpoint,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    made = boto3.client("kms").create_key(KeyUsage="SIGN_VERIFY", KeySpec="ECC_NIST_P256")
    return str(made["KeyMetadata"]["KeyId"])


@pytest.fixture(scope="module")
def token_key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URI of a P-256 key on a token."""
    hsm = SoftHsm.start(tmp_path_factory.mktemp("softhsm"))
    hsm.add_token("contract")
    hsm.add_keys("contract", (("p256", "k", b"\x01"),))
    yield uri("contract", name="k")
    hsm.stop()
