"""Keyless signatures, made and verified through a whole Sigstore on loopback."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from alterations import KEYLESS_ALTERATIONS, first_entry, flipped
from keyless_evidence import ALICE, Signed, attest, signed_evidence
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, write_checkpoint
from verifying import check, failed, outcomes, step

from attest.bundle import BUNDLE_NAME, read_bundle
from attest.errors import DocumentError, SigningError
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.identity import Identity
from attest.keyless import bundled_root, sign_keyless
from attest.trust import TrustedRoot
from attest.verify import Expectation, Trust, verify


@pytest.fixture(scope="module", params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    with signed_evidence(tmp_path_factory.mktemp("keyless"), request.param) as made:
        yield made


@pytest.fixture
def signed(made: Signed) -> Signed:
    """With the bundle as it was signed."""
    made.tiny.bundle.write_bytes(made.good)
    return made


with_one_log = pytest.mark.parametrize("made", [1], ids=["rekor-v1"], indirect=True)
"""For what does not depend on the kind of the log."""


def test_all_steps_hold_and_say_who_and_when(signed: Signed):
    result = signed.check()
    assert set(outcomes(result).values()) == {"PASSED", "SKIPPED"}
    assert [name for name, outcome in outcomes(result).items() if outcome == "SKIPPED"] == ["policy"]
    assert (result.integrity, result.identity, result.time, result.content) == ("PASSED",) * 4
    assert ALICE in step(result, "signer").message
    sources = [one.source for one in result.times]
    assert sources == (["transparency-log"] if signed.loopback.rekor.version == 1 else []) + ["time-stamp-authority"]
    assert step(result, "signature").details["trustedRootSha256"] == TrustedRoot.read(signed.root).sha256
    assert result.exit_code == 0


def test_the_command_line_does_the_same(signed: Signed):
    arguments = ["verify", signed.tiny.directory, "--identity", ALICE, "--issuer", signed.loopback.url]
    done = attest(*arguments, "--trusted-root", signed.root, "--checkpoint", signed.tiny.checkpoint, "--offline")
    assert (done.exit_code, done.stderr) == (0, "")
    printed = signed.signing.stdout.splitlines()[-1].removeprefix("Verify with: attest ").split()
    assert attest(*printed, "--trusted-root", signed.root).exit_code == 0


def test_what_is_published_is_said_before_anything_is_asked(tmp_path: Path):
    tiny = TinyEvidence(root=tmp_path)
    write_checkpoint(tiny.checkpoint)
    tiny.write()
    with LoopbackSigstore.serving() as loopback:
        config = tmp_path / "config.json"
        config.write_text(json.dumps(loopback.client_trust_config()))
        announced = []

        def announce(publication: Any) -> None:
            announced.append((publication.identity.identity, publication.identity.issuer, list(loopback.asked)))

        payload = (tiny.directory / "statement.json").read_bytes()
        sign_keyless(payload, announce=announce, token=loopback.token(), trust_config=config)
        assert announced == [(ALICE, loopback.url, [])]
        assert loopback.asked


def test_the_warning_names_the_identity_and_that_it_stays(signed: Signed):
    assert f"warning: signing publishes {ALICE}" in signed.signing.stderr
    assert "for ever" in signed.signing.stderr
    assert signed.loopback.token().split(".")[0] not in signed.signing.stderr + signed.signing.stdout


@pytest.mark.parametrize(
    ("identity", "issuer"),
    [("bob@example.test", ""), ("ALICE@example.test", ""), (ALICE, "https://example.test"), (ALICE + " ", "")],
)
def test_another_identity_or_issuer_than_expected_exits_4(signed: Signed, identity: str, issuer: str):
    result = signed.check(expectation=signed.expectation(identity, issuer))
    assert (failed(result), result.exit_code) == (["signer"], 4)
    assert result.integrity == "PASSED"
    assert ALICE in step(result, "signer").message


def test_a_key_that_is_expected_is_not_an_identity(signed: Signed):
    result = signed.check(expectation=signed.tiny.expectation())
    assert (failed(result), result.exit_code) == (["signer"], 4)


def test_an_identity_that_is_expected_is_not_a_key(tiny: TinyEvidence):
    expected = Expectation(identity=Identity(identity=ALICE, issuer="https://example.test"))
    result = check(tiny, expectation=expected)
    assert (failed(result), result.integrity, result.exit_code) == (["signer"], "SKIPPED", 4)


def test_any_signer_says_whom_the_certificate_names(signed: Signed):
    result = signed.check(expectation=Expectation())
    assert (result.integrity, result.identity, result.exit_code) == ("PASSED", "SKIPPED", 0)
    assert ALICE in step(result, "signer").message


def test_another_root_does_not_vouch_for_it(signed: Signed):
    with LoopbackSigstore.serving(rekor=signed.loopback.rekor.version) as other:
        root = TrustedRoot.parse(json.dumps(other.trusted_root()).encode(), source="other")
    for trust in (Trust(root=root), Trust(), Trust(root=bundled_root("staging"))):
        result = signed.check(trust=trust)
        assert step(result, "signature").outcome == "FAILED"
        assert (result.integrity, result.identity, result.exit_code) == ("FAILED", "SKIPPED", 1)


# Altered. What is changed by name here, byte by byte in test_keyless_altered.py.


@pytest.mark.parametrize("change", KEYLESS_ALTERATIONS, ids=lambda change: change.__name__)
def test_what_is_altered_is_noticed_with_a_reason(signed: Signed, change: Callable[[dict[str, Any]], None]):
    signed.change(change)
    result = signed.check(checkpoint=None)
    assert result.exit_code == 1
    assert set(failed(result)) & {"signature", "time"}
    assert all(one.problems for one in result.checks if one.outcome == "FAILED" and one.id in {"signature", "time"})


def test_without_its_log_entry_nothing_can_be_decided(signed: Signed):
    signed.change(lambda value: value["verificationMaterial"].update(tlogEntries=[]))
    with pytest.raises(DocumentError) as caught:
        signed.check()
    assert caught.value.code == "unsupported-bundle"


def test_a_promise_or_its_time_that_is_altered_is_noticed(signed: Signed):
    if signed.loopback.rekor.version == 2:
        with pytest.raises(KeyError):
            first_entry(json.loads(signed.good))["integratedTime"]
        return

    def promise(value: dict[str, Any]) -> None:
        held = first_entry(value)["inclusionPromise"]
        held["signedEntryTimestamp"] = flipped(held["signedEntryTimestamp"])

    def time(value: dict[str, Any]) -> None:
        first_entry(value)["integratedTime"] = str(int(first_entry(value)["integratedTime"]) + 1)

    for change in (promise, time):
        signed.change(change)
        assert failed(signed.check(checkpoint=None)) == ["signature"]


def test_an_entry_about_another_signature_is_noticed(signed: Signed):
    payload = json.loads(signed.good)["dsseEnvelope"]["payload"]
    again = sign_keyless(
        base64.b64decode(payload), announce=print, token=signed.loopback.token(), trust_config=signed.config
    )
    bundle, _ = read_bundle(signed.tiny.bundle)
    for change in (
        {"log_entries": again.log_entries},
        {"content": again.content},
        {"certificate": again.certificate},
        {"certificate": again.certificate, "log_entries": again.log_entries},
    ):
        signed.tiny.bundle.write_bytes(replace(bundle, **change).to_json())
        assert "signature" in failed(signed.check(checkpoint=None)), list(change)
    signed.tiny.bundle.write_bytes(replace(bundle, timestamps=again.timestamps).to_json())
    assert "time" in failed(signed.check(checkpoint=None))


def test_a_time_stamp_that_was_taken_away_is_noticed_where_one_was_asked_for(signed: Signed):
    bundle, _ = read_bundle(signed.tiny.bundle)
    signed.tiny.bundle.write_bytes(replace(bundle, timestamps=()).to_json())
    asked = Trust(root=TrustedRoot.read(signed.root), authorities=TrustedRoot.read(signed.root).authorities)
    assert "time" in failed(signed.check(trust=asked))
    expected = [] if signed.loopback.rekor.version == 1 else ["signature"]
    assert failed(signed.check()) == expected


# Roots.


def test_the_root_inside_sigstore_is_the_default_and_nothing_is_written(
    signed: Signed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    arguments = ["verify", signed.tiny.directory, "--identity", ALICE, "--issuer", "https://example.test"]
    for more, code in (([], 1), (["--trusted-root", signed.root], 4)):
        done = attest(*arguments, *more)
        assert (done.exit_code, done.stderr) == (code, "")
    assert list(tmp_path.rglob("*")) == []
    assert [root.source.split(", ")[1] for root in (bundled_root(), bundled_root("staging"))] == [
        "production",
        "staging",
    ]


@pytest.mark.parametrize("data", [b"", b"[]", b'{"timestampAuthorities":[1]}', b'{"timestampAuthorities":[{}]}'])
def test_what_is_no_root_is_refused(data: bytes):
    with pytest.raises(DocumentError) as caught:
        TrustedRoot.parse(data, source="broken")
    assert caught.value.code in {"not-json", "not-a-trusted-root"}


def test_an_empty_root_vouches_for_nothing(signed: Signed):
    for data in (b"{}", b'{"mediaType":"application/vnd.dev.sigstore.trustedroot+json;version=0.1"}'):
        root = TrustedRoot.parse(data, source="empty")
        assert step(signed.check(trust=Trust(root=root)), "signature").outcome == "FAILED"


# Signing.


def test_nothing_is_written_where_signing_failed(signed: Signed, tmp_path: Path):
    tiny = TinyEvidence(root=tmp_path)
    write_checkpoint(tiny.checkpoint)
    tiny.write()
    with LoopbackSigstore.serving() as other:
        stranger = other.token()
    for token in (stranger, "no-token"):
        arguments = ["--keyless", "--trust-config", signed.config, "--identity-token", token]
        done = attest("sign", tiny.directory, *arguments)
        assert (done.exit_code, done.stderr.splitlines()[-1].split(":")[0]) == (3, "error[keyless-failed]")
        assert token not in done.stderr
    assert not tiny.bundle.exists()


@pytest.mark.parametrize("how", [["--keyless"], ["--log"]], ids=str)
def test_a_public_instance_out_of_reach_is_one_line_and_signs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: list[str]
):
    tiny = TinyEvidence(root=tmp_path)
    write_checkpoint(tiny.checkpoint)
    tiny.write()
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home"))
    key = ["--key", tiny.key()] if how == ["--log"] else ["--identity-token", "a.secret.token"]
    for instance in ([], ["--staging"]):
        done = attest("sign", tiny.directory, *how, *key, *instance)
        code = "log-failed" if how == ["--log"] else "keyless-failed"
        assert (done.exit_code, done.stderr.splitlines()[-1].split(":")[0]) == (3, f"error[{code}]")
        assert len(done.stderr.splitlines()) == 1 + (how == ["--log"])
        assert "secret" not in done.stderr
    assert not tiny.bundle.exists()


@pytest.mark.parametrize(
    ("text", "code"),
    [(None, "no-trust-file"), ("{", "not-json"), ("[]", "not-a-trust-config"), ("{}", "not-a-trust-config")],
)
def test_what_is_no_trust_configuration_is_refused(tiny: TinyEvidence, text: str | None, code: str):
    config = tiny.root / "config.json"
    if text is not None:
        config.write_text(text)
    done = attest("sign", tiny.directory, "--keyless", "--trust-config", config, "--identity-token", "x", "--force")
    assert (done.exit_code, done.stderr.split(":")[0]) == (3, f"error[{code}]")


def test_a_statement_that_sigstore_cannot_read_is_a_coded_error(signed: Signed):
    with pytest.raises(SigningError) as caught:
        sign_keyless(b"{}", announce=print, token=signed.loopback.token(), trust_config=signed.config)
    assert caught.value.code == "keyless-failed"


def test_a_key_of_an_earlier_signer_does_not_stay(tiny: TinyEvidence, signed: Signed):
    arguments = ["--keyless", "--trust-config", signed.config, "--identity-token", signed.loopback.token(), "--force"]
    assert (tiny.directory / SIGNER_KEY_NAME).exists()
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    assert not (tiny.directory / SIGNER_KEY_NAME).exists()
    result = verify(
        tiny.directory / BUNDLE_NAME,
        expectation=signed.expectation(),
        trust=Trust(root=TrustedRoot.read(signed.root)),
    )
    assert result.exit_code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--key", "k", "--keyless"],
        ["--key", "k", "--staging"],
        ["--key", "k", "--trust-config", "x"],
        ["--keyless", "--log"],
        ["--keyless", "--staging", "--trust-config", "x"],
    ],
    ids=str,
)
def test_a_contradiction_on_the_command_line_is_usage(tiny: TinyEvidence, arguments: list[str]):
    assert attest("sign", tiny.directory, *arguments).exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--identity", "x"],
        ["--issuer", "x"],
        ["--identity", "x", "--issuer", "x", "--any-signer"],
        ["--any-signer", "--offline", "--checkpoint", "hf://org/model"],
    ],
    ids=str,
)
def test_a_contradiction_in_whom_to_expect_is_usage(tiny: TinyEvidence, arguments: list[str]):
    assert attest("verify", tiny.directory, *arguments).exit_code == 2


@with_one_log
def test_without_the_extra_key_bundles_verify_and_keyless_ones_say_what_to_install(signed: Signed, tiny: TinyEvidence):
    program = (
        "import sys\nsys.modules['sigstore'] = None\nfrom attest.cli import main\n"
        "for arguments in (sys.argv[1:5], sys.argv[5:]):\n"
        "    try:\n        main(arguments)\n"
        "    except SystemExit as ended:\n        print('ended', ended.code, file=sys.stderr)\n"
    )
    with_key = ["verify", str(tiny.directory), "--key", str(tiny.key().with_suffix(".pub.pem"))]
    keyless = ["verify", str(signed.tiny.directory), "--any-signer"]
    run = [sys.executable, "-c", program, *with_key, *keyless]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    first, refusal, last = done.stderr.splitlines()
    assert (first, refusal.split(":")[0], last) == ("ended 0", "error[extra-missing]", "ended 3")
    assert "attest-checkpoints[keyless]" in refusal
