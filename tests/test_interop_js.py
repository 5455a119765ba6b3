"""``@sigstore/verify`` as it is, on what attest signed, intact and altered."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
from keyless_evidence import ALICE, Signed, attest, signed_evidence
from sigstore_js.program import SigstoreJs, install
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence

from attest.signer import KeyType, PublicKey

pytestmark = pytest.mark.interop
Change = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def packages() -> Path:
    return install()


def flipped(text: str) -> str:
    """The same base64 with its last byte changed: in certificates and time stamps one of the signature."""
    data = bytearray(b64decode(text))
    data[-1] ^= 1
    return b64encode(data).decode()


def payload(bundle: dict[str, Any]) -> None:
    bundle["dsseEnvelope"]["payload"] = flipped(bundle["dsseEnvelope"]["payload"])


def signature(bundle: dict[str, Any]) -> None:
    signatures = bundle["dsseEnvelope"]["signatures"]
    signatures[0]["sig"] = flipped(signatures[0]["sig"])


def certificate(bundle: dict[str, Any]) -> None:
    held = bundle["verificationMaterial"]["certificate"]
    held["rawBytes"] = flipped(held["rawBytes"])


def log_checkpoint(bundle: dict[str, Any]) -> None:
    note = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
    origin, size, root, *rest = note["envelope"].split("\n")
    note["envelope"] = "\n".join((origin, size, flipped(root), *rest))


def log_body(bundle: dict[str, Any]) -> None:
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["canonicalizedBody"] = flipped(entry["canonicalizedBody"])


def no_log(bundle: dict[str, Any]) -> None:
    bundle["verificationMaterial"]["tlogEntries"] = []


def stamp(bundle: dict[str, Any]) -> None:
    stamps = bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamps[0]["signedTimestamp"] = flipped(stamps[0]["signedTimestamp"])


def no_stamp(bundle: dict[str, Any]) -> None:
    del bundle["verificationMaterial"]["timestampVerificationData"]


OF_KEYS: tuple[Change, ...] = (payload, signature, stamp, no_stamp)
KEYLESS: tuple[Change, ...] = (payload, signature, certificate, log_checkpoint, log_body, no_log, stamp)


def altered(good: bytes, changes: tuple[Change, ...]) -> Mapping[str, bytes]:
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
    cases = altered(signed.good, KEYLESS)
    answers = dict(zip(cases, verify(list(cases.values())), strict=True))
    assert answers.pop("intact") == "verified"
    assert set(answers) == {change.__name__ for change in KEYLESS}
    assert "verified" not in answers.values(), answers


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
    cases = altered(tiny.bundle.read_bytes(), (payload, signature, log_checkpoint, log_body, no_log, stamp))
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
    cases = altered(tiny.bundle.read_bytes(), OF_KEYS)
    answers = dict(zip(cases, verify(list(cases.values())), strict=True))
    assert answers.pop("intact") == "verified"
    assert "verified" not in answers.values(), answers
    bare = {"tlogThreshold": 0, "timestampThreshold": 0}
    assert verify([cases["no_stamp"], cases["payload"]], options=bare) == ["verified", answers["payload"]]
    assert verify([cases["intact"]], keys=()) == ["PUBLIC_KEY_ERROR"]
