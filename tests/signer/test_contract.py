"""What every signer must do; a new one needs a line in ``location`` that says where it finds a key."""

from __future__ import annotations

from pathlib import Path

import pytest
from softhsm import PIN

from attest.errors import AttestError, SignatureError, SigningError
from attest.signer import SIGNERS, KeyFile, KmsKey, Pkcs11Key, Signer, open_signer, write_key_pair


@pytest.fixture(params=SIGNERS, ids=lambda kind: kind.__name__)
def kind(request: pytest.FixtureRequest) -> type[Signer]:
    made: type[Signer] = request.param
    return made


@pytest.fixture
def location(kind: type[Signer], tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Where a signer of that kind finds a key."""
    if kind is KeyFile:
        write_key_pair(tmp_path / "key.pem")
        return str(tmp_path / "key.pem")
    place = {KmsKey: "kms_key", Pkcs11Key: "token_key"}[kind]
    return str(request.getfixturevalue(place)).removeprefix("pkcs11:")


def answer(_location: str) -> bytes:
    return PIN.encode()


def test_schemes_are_plain_and_lead_to_one_signer(kind: type[Signer]):
    assert kind.schemes
    for scheme in kind.schemes:
        assert scheme == scheme.lower()
        assert [other for other in SIGNERS if scheme in other.schemes] == [kind]


def test_each_scheme_opens_the_signer(kind: type[Signer], location: str):
    for scheme in kind.schemes:
        assert isinstance(open_signer(f"{scheme}:{location}" if scheme else location, ask_password=answer), kind)


def test_what_it_signs_verifies_and_nothing_else_does(kind: type[Signer], location: str):
    signer = kind.open(location, ask_password=answer)
    for data in (b"", b"data", bytes(100_000)):
        signature = signer.sign(data)
        signer.public_key.verify(signature, data)
        with pytest.raises(SignatureError):
            signer.public_key.verify(signature, data + b"\x00")
        with pytest.raises(SignatureError):
            signer.public_key.verify(signature[:-1], data)
        with pytest.raises(SignatureError):
            signer.public_key.verify(b"", data)


def test_it_is_the_same_signer_when_opened_again_and_shows_no_secret(kind: type[Signer], location: str):
    first, second = (kind.open(location, ask_password=answer) for _ in range(2))
    assert first.public_key == second.public_key
    assert len(first.public_key.hint) == 64
    assert not any(secret in repr(first) for secret in ("PRIVATE", "very secret", PIN))
    assert all(isinstance(caution, str) for caution in first.cautions)


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
