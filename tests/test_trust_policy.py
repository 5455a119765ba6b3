"""A reader's trust policy, and the voices that it counts."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, sign_payload
from verifying import failed, step

from attest.attestation_result import AttestationResult, ReproducedValue
from attest.bundle import Bundle
from attest.claims import CLAIMS_NAME, MAX_CLAIMS, read_claims
from attest.cli import main
from attest.document import canonical, load
from attest.errors import AttestError, DocumentError, InputError
from attest.evidence import EVIDENCE_TYPE
from attest.evidence_directory import sign_with_key
from attest.signer import open_signer, write_key_pair
from attest.trust_policy import TRUST_POLICY_TYPE, read_trust_policy
from attest.verify import Files, Trust, Verification, state_result, verify

ALICE = "alice@example.test"


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


class Readers:
    """A reader with a policy, and people with keys."""

    def __init__(self, tiny: TinyEvidence) -> None:
        self.tiny = tiny
        self.folder = tiny.root / "reader"
        self.folder.mkdir()

    def key(self, name: str) -> Path:
        path = self.folder / f"{name}.pem"
        if not path.exists():
            write_key_pair(path)
        return path

    def pem(self, name: str) -> str:
        return (
            self.tiny.key().with_suffix(".pub.pem") if name == "author" else self.key(name).with_suffix(".pub.pem")
        ).read_text()

    def signer(self, name: str, *others: str, identities: tuple[Any, ...] = ()) -> dict[str, Any]:
        """Somebody with one key or more."""
        keys = [] if identities and not others else [self.pem(one) for one in (name, *others)]
        return {"name": name, "publicKeys": keys, "identities": list(identities)}

    def policy(self, *signers: dict[str, Any], **changes: Any) -> Path:
        """A policy that believes these; the author where none is given."""
        value = {
            "policyType": TRUST_POLICY_TYPE,
            "signers": list(signers) or [self.signer("author")],
            "minimumSigners": 1,
            "minimumReproductions": 0,
            "trustedTime": None,
            "predicateTypes": [],
            "assuranceLevels": [],
            "requireDetails": False,
            "requireCheckpoint": False,
        }
        path = self.folder / "policy.json"
        path.write_text(json.dumps(value | changes))
        return path

    def cosign(self, *names: str) -> None:
        for name in names:
            done = attest("sign", self.tiny.directory, "--key", self.key(name), "--cosign")
            assert done.exit_code == 0, done.stderr

    def check(self, policy: Path, *, with_checkpoint: bool = True, trust: Trust | None = None) -> Verification:
        files = Files(checkpoint=self.tiny.checkpoint if with_checkpoint else None)
        return verify(self.tiny.directory, expectation=read_trust_policy(policy), files=files, trust=trust)


@pytest.fixture
def readers(tiny: TinyEvidence) -> Readers:
    return Readers(tiny)


def result(verification: Verification) -> tuple[list[str], int]:
    return failed(verification), verification.exit_code


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


# Many voices.


def test_signers_of_the_same_statement_are_counted_by_name(readers: Readers):
    readers.cosign("bob", "carol")
    voices = [readers.signer(name) for name in ("author", "bob", "carol")]
    for count, code in ((1, 0), (2, 0), (3, 0)):
        assert readers.check(readers.policy(*voices, minimumSigners=count)).exit_code == code
    verification = readers.check(readers.policy(*voices[:2], readers.signer("dan"), minimumSigners=3))
    assert result(verification) == (["policy"], 1)
    assert "found 2: author, bob" in step(verification, "policy").problems[0]
    assert "claim 2: not signed by anybody" in step(verification, "policy").details["unheard"][0]


def test_one_voice_counts_once_however_often_it_signs(readers: Readers):
    readers.cosign("bob", "bob", "bob2")
    path = readers.tiny.directory / CLAIMS_NAME
    path.write_bytes(path.read_bytes() * 2)
    policy = readers.policy(readers.signer("author"), readers.signer("bob", "bob2"), minimumSigners=2)
    assert readers.check(policy).exit_code == 0
    three = readers.policy(
        readers.signer("author"), readers.signer("bob", "bob2"), readers.signer("carol"), minimumSigners=3
    )
    verification = readers.check(three)
    assert result(verification) == (["policy"], 1)
    assert step(verification, "policy").details["signers"] == ["author", "bob"]


def test_the_authors_own_signature_again_is_no_second_voice(readers: Readers):
    (readers.tiny.directory / CLAIMS_NAME).write_bytes(readers.tiny.bundle.read_bytes() + b"\n")
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumSigners=2)
    assert result(readers.check(policy)) == (["policy"], 1)


def test_keys_and_identities_count_alike(readers: Readers, loopback: LoopbackSigstore):
    root, config = readers.folder / "root.json", readers.folder / "config.json"
    root.write_text(json.dumps(loopback.trusted_root()))
    config.write_text(json.dumps(loopback.client_trust_config()))
    for _ in range(2):
        arguments = ["--keyless", "--trust-config", config, "--identity-token", loopback.token(), "--cosign"]
        assert attest("sign", readers.tiny.directory, *arguments).exit_code == 0
    alice = readers.signer("alice", identities=({"identity": ALICE, "issuer": loopback.url},))
    policy = readers.policy(readers.signer("author"), alice, minimumSigners=2)
    arguments = ["verify", readers.tiny.directory, "--policy", policy]
    assert attest(*arguments, "--trusted-root", root).exit_code == 0
    assert attest(*arguments).exit_code == 1  # under the public root, nobody knows her
    other = readers.signer("alice", identities=({"identity": ALICE, "issuer": "https://example.test"},))
    policy = readers.policy(readers.signer("author"), other, minimumSigners=2)
    assert attest(*arguments, "--trusted-root", root).exit_code == 1


def test_a_signature_over_another_statement_is_no_voice_here(readers: Readers):
    signer = open_signer(str(readers.key("bob")))
    other = sign_with_key((readers.tiny.directory / "statement.json").read_bytes() + b" ", signer)
    (readers.tiny.directory / CLAIMS_NAME).write_bytes(other.to_json())
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumSigners=2)
    assert result(readers.check(policy)) == (["policy"], 1)


def test_a_forged_line_counts_nothing_and_hides_nothing(readers: Readers):
    readers.cosign("bob")
    path = readers.tiny.directory / CLAIMS_NAME
    good = path.read_bytes()
    forged = json.loads(good)
    forged["dsseEnvelope"]["signatures"][0]["sig"] = json.loads(readers.tiny.bundle.read_bytes())["dsseEnvelope"][
        "signatures"
    ][0]["sig"]
    path.write_bytes(b"garbage\n{}\n" + json.dumps(forged).encode() + b"\n\n" + good)
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumSigners=2)
    verification = readers.check(policy)
    assert result(verification) == ([], 0)
    unheard = step(verification, "policy").details["unheard"]
    assert [line.split(":")[0] for line in unheard] == ["claim 1", "claim 2", "claim 3"]
    path.write_bytes(json.dumps(forged).encode())
    assert result(readers.check(policy)) == (["policy"], 1)


def test_endless_claims_are_refused(readers: Readers):
    path = readers.tiny.directory / CLAIMS_NAME
    path.write_bytes(b"{}\n" * (MAX_CLAIMS + 2))
    with pytest.raises(DocumentError) as caught:
        read_claims(path)
    assert caught.value.code == "document-too-large"
    with path.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(DocumentError):
        read_claims(path)


# Results of others.


def report(readers: Readers, name: str, *arguments: Any) -> Result:
    public = readers.tiny.key().with_suffix(".pub.pem")
    given = ["--key", public, "--sign-with", readers.key(name), *arguments]
    return attest("attest-result", readers.tiny.directory, *given)


def reproduced(readers: Readers, name: str, outcome: Any = "identical") -> Bundle:
    """Somebody's signed result that says a value came out so."""
    public = readers.tiny.expectation()
    verification = verify(readers.tiny.directory, expectation=public, files=Files(checkpoint=readers.tiny.checkpoint))
    values = (ReproducedValue(name="value", outcome=outcome),)
    statement = state_result(verification, values)
    return sign_with_key(statement.payload, open_signer(str(readers.key(name))))


def test_a_result_is_signed_whatever_it_says_and_verifies(readers: Readers):
    done = report(readers, "bob", "--checkpoint", readers.tiny.checkpoint)
    assert (done.exit_code, done.stderr) == (0, "")
    (readers.tiny.checkpoint / "more").touch()
    assert report(readers, "bob", "--checkpoint", readers.tiny.checkpoint).exit_code == 1
    claims = read_claims(readers.tiny.directory / CLAIMS_NAME)
    outcomes = []
    for claim in claims:
        assert claim.bundle is not None
        predicate = load(AttestationResult, claim.bundle.statement(where="x").predicate, where="x")
        assert predicate.signer is not None
        assert predicate.signer.key_sha256 == readers.tiny.expectation().key.hint  # type: ignore[union-attr]
        assert predicate.coverage is not None
        outcomes.append({one.id: one.outcome for one in predicate.steps}["checkpoint"])
        lone = readers.folder / "claim.json"
        lone.write_bytes(claim.data)
        done = attest("verify", lone, "--key", readers.key("bob").with_suffix(".pub.pem"))
        assert done.exit_code == 0, done.output
    assert outcomes == ["PASSED", "FAILED"]


def test_reproductions_by_others_are_counted(readers: Readers):
    path = readers.tiny.directory / CLAIMS_NAME
    voices = [readers.signer(name) for name in ("author", "bob", "carol")]
    policy = readers.policy(*voices, minimumReproductions=2)
    assert result(readers.check(policy)) == (["policy"], 1)
    path.write_bytes(reproduced(readers, "bob").to_json() + b"\n" + reproduced(readers, "carol").to_json())
    verification = readers.check(policy)
    assert result(verification) == ([], 0)
    assert "measured again by bob, carol" in step(verification, "policy").message


@pytest.mark.parametrize(("name", "outcome"), [("bob", "differs"), ("bob", "not-measured"), ("dan", "identical")])
def test_what_is_no_reproduction_by_a_trusted_other_counts_nothing(readers: Readers, name: str, outcome: str):
    path = readers.tiny.directory / CLAIMS_NAME
    path.write_bytes(reproduced(readers, name, outcome).to_json())
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumReproductions=1)
    assert result(readers.check(policy)) == (["policy"], 1)


def test_whoever_signed_the_statement_does_not_reproduce_it(readers: Readers):
    readers.cosign("bob")
    path = readers.tiny.directory / CLAIMS_NAME
    path.write_bytes(path.read_bytes() + reproduced(readers, "bob").to_json())
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumReproductions=1)
    assert result(readers.check(policy)) == (["policy"], 1)


def test_a_result_about_another_statement_counts_nothing(readers: Readers):
    bundle = reproduced(readers, "bob")
    payload = json.loads(bundle.envelope.payload)
    payload["predicate"]["statementSha256"] = payload["subject"][0]["digest"]["sha256"] = "0" * 64
    signed = sign_with_key(canonical(payload), open_signer(str(readers.key("bob"))))
    (readers.tiny.directory / CLAIMS_NAME).write_bytes(signed.to_json())
    policy = readers.policy(readers.signer("author"), readers.signer("bob"), minimumReproductions=1)
    assert result(readers.check(policy)) == (["policy"], 1)


def test_a_result_that_contradicts_itself_fails(readers: Readers):
    payload = json.loads(reproduced(readers, "bob").envelope.payload)
    payload["subject"][0]["digest"]["sha256"] = "0" * 64
    sign_payload(readers.tiny, canonical(payload))
    lone = readers.folder / "lone.json"
    shutil.copy(readers.tiny.bundle, lone)
    assert failed(verify(lone, expectation=readers.tiny.expectation())) == ["subjects"]


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


SPOILED = (no_signers, too_many, nobody, key_twice, name_twice, no_minimum, unknown_key, garbage_for_a_key, no_issuer,
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
        assert caught.value.code == "no-policy"
