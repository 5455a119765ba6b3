"""``@sigstore/verify`` as it is, on what attest signed, intact and altered."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from alterations import (
    Alteration,
    body_of_the_entry,
    certificate,
    checkpoint_of_the_log,
    inclusion_proof,
    no_entry,
    no_time_stamp,
    payload,
    signature,
)
from keyless_evidence import ALICE, Signed, attest, signed_evidence
from sigstore_js.program import SigstoreJs, install
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence

from attest.signer import KeyType, PublicKey

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def packages() -> Path:
    return install()


def signature_of_the_time_stamp(value: dict[str, Any]) -> None:
    """Its last byte; this verifier does not read the certificates inside."""
    held = value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"][0]
    data = bytearray(b64decode(held["signedTimestamp"]))
    data[-1] ^= 1
    held["signedTimestamp"] = b64encode(data).decode()


ANY = (payload, signature, signature_of_the_time_stamp)
OF_LOG = (checkpoint_of_the_log, body_of_the_entry, inclusion_proof, no_entry)
"""``root_of_the_log`` is not among them: this verifier takes the root from the checkpoint."""


def altered(good: bytes, changes: tuple[Alteration, ...]) -> Mapping[str, bytes]:
    """The bundle, and what each change makes of it."""
    found = {"intact": good}
    for change in changes:
        value = json.loads(good)
        change(value)
        found[change.__name__] = json.dumps(value).encode()
    return found


@pytest.fixture(scope="module", params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    rekor: Literal[1, 2] = request.param
    with signed_evidence(tmp_path_factory.mktemp("signed"), rekor) as made:
        yield made


@pytest.fixture
def verify(signed: Signed, packages: Path) -> SigstoreJs:
    """The verifier, which trusts that Sigstore and expects Alice."""
    who = {"subjectAlternativeName": f"^{ALICE}$", "extensions": {"issuer": signed.loopback.url}}
    options = {"ctlogThreshold": 1, "tlogThreshold": 1, "timestampThreshold": 1}
    return SigstoreJs(folder=packages, root=signed.loopback.trusted_root(), policy=who, options=options)


def test_keyless_evidence_verifies_and_altered_does_not(signed: Signed, verify: SigstoreJs):
    cases = altered(signed.good, (*ANY, certificate, *OF_LOG))
    answers = dict(zip(cases, verify(list(cases.values())), strict=True))
    assert answers.pop("intact") == "verified"
    assert "verified" not in answers.values(), answers


@pytest.mark.parametrize("signed", [1], ids=["rekor-v1"], indirect=True)
def test_somebody_else_and_another_sigstore_are_told_apart(signed: Signed, verify: SigstoreJs):
    policy = verify.policy or {}
    bob = {**policy, "subjectAlternativeName": "^bob@example.test$"}
    elsewhere = {**policy, "extensions": {"issuer": "https://example.test"}}
    assert verify([signed.good], policy=bob) == ["UNTRUSTED_SIGNER_ERROR"]
    assert verify([signed.good], policy=elsewhere) == ["UNTRUSTED_SIGNER_ERROR"]
    with LoopbackSigstore.serving(rekor=signed.loopback.rekor.version) as other:
        assert verify([signed.good], root=other.trusted_root()) != ["verified"]


def test_a_logged_signature_of_a_key_verifies_and_altered_does_not(
    signed: Signed, verify: SigstoreJs, tiny: TinyEvidence
):
    arguments = ["--log", "--trust-config", signed.config, "--tsa", signed.loopback.time_stamp_url, "--force"]
    done = attest("sign", tiny.directory, "--key", tiny.key(), *arguments)
    assert done.exit_code == 0, done.stderr
    key = PublicKey.read(tiny.key().with_suffix(".pub.pem"))
    cases = altered(tiny.bundle.read_bytes(), (*ANY, *OF_LOG))
    answers = dict(zip(cases, verify(list(cases.values()), keys=(key,), policy=None), strict=True))
    assert answers.pop("intact") == "verified"
    assert "verified" not in answers.values(), answers


def test_evidence_with_a_key_verifies_and_altered_does_not(packages: Path, tiny: TinyEvidence, key_type: KeyType):
    with LoopbackSigstore.serving() as loopback:
        done = attest("sign", tiny.directory, "--key", tiny.key(key_type), "--tsa", loopback.time_stamp_url, "--force")
    assert done.exit_code == 0, done.stderr
    key = PublicKey.read(tiny.key(key_type).with_suffix(".pub.pem"))
    options = {"tlogThreshold": 0, "timestampThreshold": 1}
    verify = SigstoreJs(folder=packages, root=loopback.trusted_root(), keys=(key,), options=options)
    cases = altered(tiny.bundle.read_bytes(), (*ANY, no_time_stamp))
    answers = dict(zip(cases, verify(list(cases.values())), strict=True))
    assert answers.pop("intact") == "verified"
    assert "verified" not in answers.values(), answers
    bare = {"tlogThreshold": 0, "timestampThreshold": 0}
    assert verify([cases["no_time_stamp"], cases["payload"]], options=bare) == ["verified", answers["payload"]]
    assert verify([cases["intact"]], keys=()) == ["PUBLIC_KEY_ERROR"]
