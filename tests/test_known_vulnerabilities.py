"""Vulnerabilities that other verifiers had and that have no test elsewhere; docs/known-attacks.md names all of them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from keyless_evidence import Signed, attest, signed_evidence
from sigstore_loopback.certificates import LIFETIME
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, sign_payload
from verifying import check, failed, step

from attest.bundle import MAX_BUNDLE
from attest.document import canonical
from attest.errors import DocumentError
from attest.trust import TrustedRoot
from attest.verify import Trust

HALF_AN_HOUR = timedelta(minutes=30)


@pytest.fixture
def signed(tmp_path: Path) -> Any:
    with signed_evidence(tmp_path, 1) as made:
        yield made


def root(signed: Signed, **period: str | None) -> Trust:
    """The instance's root with another period for the key of its log."""
    value = signed.loopback.trusted_root()
    value["tlogs"][0]["publicKey"]["validFor"] = {name: text for name, text in period.items() if text}
    return Trust(root=TrustedRoot.parse(json.dumps(value).encode(), source="test"))


@pytest.mark.parametrize("lifetimes", [(HALF_AN_HOUR, LIFETIME), (LIFETIME, HALF_AN_HOUR)], ids=["root", "below"])
def test_an_authority_that_had_expired_when_it_signed(tiny: TinyEvidence, lifetimes: tuple[timedelta, timedelta]):
    with LoopbackSigstore.serving(lifetimes=lifetimes) as loopback:
        config = tiny.root / "config.json"
        config.write_text(json.dumps(loopback.client_trust_config()))
        arguments = ["--keyless", "--trust-config", config, "--identity-token", loopback.token(), "--force"]
        done = attest("sign", tiny.directory, *arguments)  # signing verifies what it signed
        assert (done.exit_code, done.stderr.splitlines()[-1].split(":")[0]) == (3, "error[keyless-failed]")
        assert "chain" in done.stderr or "no authority that is trusted and valid" in done.stderr


def test_a_log_is_trusted_only_for_its_keys_time(signed: Signed):
    now = datetime.now(UTC)
    past, future = (now - timedelta(hours=1)).isoformat(), (now + timedelta(hours=1)).isoformat()
    assert signed.check(trust=root(signed, start=past, end=future)).exit_code == 0
    for period in ({"start": past, "end": past}, {"start": future}):
        result = signed.check(trust=root(signed, **period))
        assert (failed(result), result.exit_code) == (["signature"], 1)


def test_a_time_without_a_promise_is_nobodys(signed: Signed):
    def change(value: dict[str, Any]) -> None:
        del value["verificationMaterial"]["tlogEntries"][0]["inclusionPromise"]

    signed.change(change)
    result = signed.check()
    assert [one.source for one in result.times] == ["time-stamp-authority"]

    def strip(value: dict[str, Any]) -> None:
        change(value)
        del value["verificationMaterial"]["timestampVerificationData"]

    signed.change(strip)
    result = signed.check()
    assert ("signature" in failed(result), result.times, result.exit_code) == (True, (), 1)


def test_endless_lists_are_refused(signed: Signed):
    signed.change(lambda value: value["verificationMaterial"].update(tlogEntries=[{}] * 33))
    with pytest.raises(DocumentError):
        signed.check()
    signed.tiny.bundle.write_bytes(b" " * (MAX_BUNDLE + 1))
    with pytest.raises(DocumentError):
        signed.check()


def test_many_subjects_are_no_reason_to_skip_any(tiny: TinyEvidence):
    subjects = [{"name": f"file-{number}", "digest": {"sha256": f"{number:064x}"}} for number in range(1025)]
    value = json.loads((tiny.directory / "statement.json").read_bytes())
    sign_payload(tiny, canonical(value | {"subject": [*value["subject"], *subjects]}))
    result = check(tiny, checkpoint=None)
    assert failed(result) == ["subjects", "details"]
    assert len(step(result, "subjects").problems) == 1026
