"""Many voices about one statement: co-signers, and results of those who measured again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import Result
from keyless_evidence import ALICE, attest
from readers import Readers, result
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, sign_payload
from verifying import failed, step

from attest.attestation_result import AttestationResult, ReproducedValue
from attest.bundle import Bundle
from attest.claims import CLAIMS_NAME, MAX_CLAIMS, read_claims
from attest.document import canonical, load
from attest.errors import DocumentError
from attest.evidence_directory import sign_with_key
from attest.signer import open_signer
from attest.verify import Files, state_result, verify


@pytest.fixture
def readers(tiny: TinyEvidence) -> Readers:
    return Readers(tiny)


@pytest.fixture(scope="module")
def loopback() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving() as running:
        yield running


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


SHORT = {
    "1 values are the same within a tolerance only, first 'value'": ("within-tolerance", {}),
    "1 values differ, first 'value'": ("differs", {"reproductionOutcome": "within-tolerance"}),
    "nothing was measured again": ("not-measured", {}),
    "'checkpoint files' was not measured again": ("identical", {"reproducedValues": ["value", "checkpoint files"]}),
}


@pytest.mark.parametrize("reason", SHORT)
def test_a_reproduction_that_falls_short_of_the_policy_says_why(readers: Readers, reason: str):
    outcome, asked = SHORT[reason]
    path = readers.tiny.directory / CLAIMS_NAME
    path.write_bytes(reproduced(readers, "bob", outcome).to_json())
    voices = [readers.signer(name) for name in ("author", "bob", "carol")]
    policy = {"minimumReproductions": 1, "reproductionOutcome": "identical"} | asked
    verification = readers.check(readers.policy(*voices, **policy))
    assert result(verification) == (["policy"], 1)
    too_few, why = step(verification, "policy").problems
    assert too_few.startswith("asks for 1 others who measured again, ")
    assert why.startswith("claim 1, by bob: ")
    assert reason in why
    path.write_bytes(path.read_bytes() + b"\n" + reproduced(readers, "carol").to_json())
    verification = readers.check(readers.policy(*voices, **policy | {"reproducedValues": ["value"]}))
    assert result(verification) == ([], 0)
    if "checkpoint files" not in reason:
        assert "1 results of others fell short" in step(verification, "policy").message


def test_a_value_within_its_tolerance_counts_where_the_policy_lets_it(readers: Readers):
    (readers.tiny.directory / CLAIMS_NAME).write_bytes(reproduced(readers, "bob", "within-tolerance").to_json())
    voices = [readers.signer(name) for name in ("author", "bob")]
    assert result(readers.check(readers.policy(*voices, minimumReproductions=1))) == ([], 0)


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
