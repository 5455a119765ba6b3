"""Keys in AWS KMS, as moto runs it."""

from __future__ import annotations

import boto3
import pytest

from attest.errors import AttestError, SigningError
from attest.signer import open_signer

pytestmark = pytest.mark.usefixtures("kms_key")


def test_a_key_of_another_kind_is_refused():
    for usage, spec in (("SIGN_VERIFY", "RSA_2048"), ("SIGN_VERIFY", "ECC_NIST_P384")):
        made = boto3.client("kms").create_key(KeyUsage=usage, KeySpec=spec)
        with pytest.raises(AttestError) as caught:
            open_signer(f"awskms:{made['KeyMetadata']['KeyId']}")
        assert (caught.value.code, caught.value.exit_code) == ("unusable-key", 3)


def test_it_is_asked_by_alias_and_shown_a_digest_only(kms_key: str):
    boto3.client("kms").create_alias(AliasName="alias/attest", TargetKeyId=kms_key)
    signer = open_signer("awskms:alias/attest")
    data = bytes(1_000_000)  # more than KMS would take
    signer.public_key.verify(signer.sign(data), data)


def test_a_kms_that_is_not_there_is_a_coded_error(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(SigningError) as caught:
        open_signer("awskms:alias/attest")
    assert caught.value.code == "kms-refused"


def test_what_does_not_hold_is_not_taken_from_it(kms_key: str, monkeypatch: pytest.MonkeyPatch):
    signer = open_signer(f"awskms:{kms_key}")
    monkeypatch.undo()  # moto as it is: it hashes the digest again
    with pytest.raises(SigningError) as caught:
        signer.sign(b"data")
    assert caught.value.code == "kms-refused"
