"""A reader's trust policy: what it asks for, and which policies are refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from keyless_evidence import ALICE, attest
from readers import Readers, result
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence
from verifying import failed, step

from attest.errors import AttestError, InputError
from attest.evidence import EVIDENCE_TYPE
from attest.trust_policy import read_trust_policy
from attest.verify import verify


@pytest.fixture
def readers(tiny: TinyEvidence) -> Readers:
    return Readers(tiny)


# One signer.


def test_a_policy_is_met_and_named_by_its_digest(readers: Readers):
    policy = readers.policy(requireDetails=True, requireCheckpoint=True, predicateTypes=[EVIDENCE_TYPE])
    verification = readers.check(policy)
    assert result(verification) == ([], 0)
    assert step(verification, "policy").outcome == "PASSED"
    assert read_trust_policy(policy).sha256 in step(verification, "policy").message
    assert step(verification, "signer").outcome == "PASSED"


def test_the_command_line_takes_a_policy_instead_of_a_signer(readers: Readers):
    policy = readers.policy()
    done = attest("verify", readers.tiny.directory, "--policy", policy)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "9 policy     PASSED" in done.stdout
    for more in (["--any-signer"], ["--key", readers.tiny.key()], ["--identity", "x", "--issuer", "y"]):
        assert attest("verify", readers.tiny.directory, "--policy", policy, *more).exit_code == 2


def test_somebody_whom_the_policy_does_not_name_exits_4(readers: Readers):
    verification = readers.check(readers.policy(readers.signer("bob")))
    assert result(verification) == (["signer", "policy"], 4)


UNMET: dict[str, dict[str, Any]] = {
    "asks for https://example.test/other; it is https://attest/evidence/v1": {
        "predicateTypes": ["https://example.test/other"]
    },
    "asks for the assurance level reproduced; it is self-attested": {"assuranceLevels": ["reproduced"]},
    "asks for step checkpoint, which is SKIPPED": {"requireCheckpoint": True},
    "asks for a trusted time from time-stamp-authority within its bounds: none is": {
        "trustedTime": {"sources": ["time-stamp-authority"], "notBefore": None, "notAfter": None}
    },
}


@pytest.mark.parametrize("problem", UNMET)
def test_what_is_not_met_is_said(readers: Readers, problem: str):
    verification = readers.check(readers.policy(**UNMET[problem]), with_checkpoint=False)
    assert result(verification) == (["policy"], 1)
    assert step(verification, "policy").problems == (problem,)


def test_a_policy_is_never_met_where_a_step_failed(readers: Readers):
    (readers.tiny.checkpoint / "more").touch()
    verification = readers.check(readers.policy())
    assert result(verification) == (["checkpoint", "policy"], 1)
    assert step(verification, "policy").problems == ("steps failed: checkpoint",)


def test_missing_details_are_noticed_where_they_are_asked_for(readers: Readers, tmp_path: Path):
    lone = tmp_path / "lone"
    lone.mkdir()
    shutil.copy(readers.tiny.bundle, lone / "b.json")
    read = read_trust_policy(readers.policy(requireDetails=True))
    assert failed(verify(lone / "b.json", expectation=read)) == ["policy"]


# Time.


@pytest.fixture(scope="module")
def loopback() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving() as running:
        yield running


@pytest.mark.parametrize(
    ("before", "after", "code"),
    [
        (None, None, 0),
        ("2026-01-01T00:00:00Z", "2999-01-01T00:00:00Z", 0),
        ("2999-01-01T00:00:00Z", None, 1),
        (None, "2026-01-01T00:00:00Z", 1),
    ],
)
def test_a_trusted_time_lies_within_the_bounds(
    readers: Readers, loopback: LoopbackSigstore, before: str | None, after: str | None, code: int
):
    tiny, url = readers.tiny, loopback.time_stamp_url
    required = {"sources": ["time-stamp-authority"], "notBefore": before, "notAfter": after}
    policy, authority = readers.policy(trustedTime=required), readers.folder / "tsa.pem"
    authority.write_bytes(loopback.authority.chain_pem)
    assert attest("verify", tiny.directory, "--policy", policy).exit_code == 1
    assert attest("sign", tiny.directory, "--key", tiny.key(), "--tsa", url, "--force").exit_code == 0
    assert attest("verify", tiny.directory, "--policy", policy).exit_code == 1  # by an authority nobody trusts
    assert attest("verify", tiny.directory, "--policy", policy, "--tsa-certificate", authority).exit_code == code


def test_the_time_of_a_log_is_not_that_of_an_authority(readers: Readers, loopback: LoopbackSigstore):
    tiny, root, config = readers.tiny, readers.folder / "root.json", readers.folder / "config.json"
    root.write_text(json.dumps(loopback.trusted_root()))
    config.write_text(json.dumps(loopback.client_trust_config()))
    arguments = ["--keyless", "--trust-config", config, "--identity-token", loopback.token(), "--force"]
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    value = json.loads(tiny.bundle.read_bytes())
    del value["verificationMaterial"]["timestampVerificationData"]
    tiny.bundle.write_text(json.dumps(value))
    alice = readers.signer("alice", identities=({"identity": ALICE, "issuer": loopback.url},))
    for source, code in (("transparency-log", 0), ("time-stamp-authority", 1)):
        required = {"sources": [source], "notBefore": None, "notAfter": None}
        policy = readers.policy(alice, trustedTime=required)
        assert attest("verify", tiny.directory, "--policy", policy, "--trusted-root", root).exit_code == code


# Policies that are none.


def no_signers(value: dict[str, Any]) -> None:
    value["signers"] = []


def too_many(value: dict[str, Any]) -> None:
    value["minimumSigners"] = 2


def nobody(value: dict[str, Any]) -> None:
    value["signers"][0]["publicKeys"] = []


def key_twice(value: dict[str, Any]) -> None:
    value["signers"].append(value["signers"][0] | {"name": "other"})


def name_twice(value: dict[str, Any]) -> None:
    value["signers"].append({"name": "author", "publicKeys": [], "identities": [{"identity": "a", "issuer": "b"}]})


def no_minimum(value: dict[str, Any]) -> None:
    value["minimumSigners"] = 0


def unknown_key(value: dict[str, Any]) -> None:
    value["minimumsigners"] = 1


def garbage_for_a_key(value: dict[str, Any]) -> None:
    value["signers"][0]["publicKeys"] = ["x"]


def no_issuer(value: dict[str, Any]) -> None:
    value["signers"][0]["identities"] = [{"identity": "a", "issuer": ""}]


def no_source(value: dict[str, Any]) -> None:
    value["trustedTime"] = {"sources": [], "notBefore": None, "notAfter": None}


def another_type(value: dict[str, Any]) -> None:
    value["policyType"] = "https://attest/comparison-policy/v1"


def values_for_nobody(value: dict[str, Any]) -> None:
    value["reproducedValues"] = ["checkpoint files"]


def another_tolerance(value: dict[str, Any]) -> None:
    value["reproductionOutcome"] = "differs"


SPOILED = (values_for_nobody, another_tolerance, no_signers, too_many, nobody, key_twice, name_twice, no_minimum, unknown_key, garbage_for_a_key, no_issuer,
           no_source, another_type)  # fmt: skip


@pytest.mark.parametrize("change", SPOILED, ids=lambda change: change.__name__)
def test_a_policy_that_cannot_be_meant_is_refused(readers: Readers, change: Callable[[dict[str, Any]], None]):
    path = readers.policy()
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))
    with pytest.raises(AttestError) as caught:
        read_trust_policy(path)
    assert caught.value.exit_code == 3


def test_a_policy_among_the_files_under_test_is_refused(readers: Readers):
    tiny = readers.tiny
    for folder in (tiny.directory, tiny.checkpoint):
        planted = shutil.copy(readers.policy(), folder / "policy.json")
        link = readers.folder / "link.json"
        link.unlink(missing_ok=True)
        link.symlink_to(planted)
        for path in (planted, link):
            done = attest("verify", tiny.directory, "--policy", path, "--checkpoint", tiny.checkpoint)
            assert (done.exit_code, done.stderr.split(":")[0]) == (3, "error[policy-under-test]")


def test_a_policy_that_is_not_there_is_a_coded_error(tmp_path: Path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(InputError) as caught:
            read_trust_policy(path)
        assert caught.value.code == "no-trust-policy"
