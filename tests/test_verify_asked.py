"""Every kind of bundle with everything that can be asked of it: success is said of what was checked, and of no more."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from keyless_evidence import attest
from readers import Readers, result
from tiny_evidence import TinyEvidence, sign_payload

from attest.bundle import Bundle, MessageSignature
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.oms import model_statement
from attest.signer import open_signer
from attest.trust_policy import read_trust_policy
from attest.verify import Files, verify

FILE = "config.json"
Asked = tuple[int, str, str]
"""Exit code, outcome of step 8, and files covered of files named."""


def evidence(tiny: TinyEvidence) -> Path:
    return tiny.directory


def evidence_without_its_directory(tiny: TinyEvidence) -> Path:
    return alone(tiny, tiny.bundle.read_bytes())


def model_signature(tiny: TinyEvidence) -> Path:
    digests = {
        path.relative_to(tiny.checkpoint).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tiny.checkpoint.rglob("*")
        if path.is_file()
    }
    return signed(tiny, model_statement("tiny", digests).payload)


def unknown_statement(tiny: TinyEvidence) -> Path:
    digest = hashlib.sha256((tiny.checkpoint / FILE).read_bytes()).hexdigest()
    subjects = [{"name": name, "digest": {"sha256": digest}} for name in ("one", "other")]
    value = {"_type": "https://in-toto.io/Statement/v1", "subject": subjects, "predicateType": "x:y", "predicate": {}}
    return signed(tiny, json.dumps(value).encode())


def signature_of_a_file(tiny: TinyEvidence) -> Path:
    signer, data = open_signer(str(tiny.key())), (tiny.checkpoint / FILE).read_bytes()
    content = MessageSignature(signature=signer.sign(data), digest=None, algorithm=None)
    return alone(tiny, Bundle(content=content, key_hint=signer.public_key.hint).to_json())


def result_of_somebody(tiny: TinyEvidence) -> Path:
    public = tiny.key().with_suffix(".pub.pem")
    done = attest("attest-result", tiny.directory, "--key", public, "--sign-with", tiny.key())
    assert done.exit_code == 0, done.stderr
    return alone(tiny, (tiny.directory / "claims.jsonl").read_bytes())


def signed(tiny: TinyEvidence, payload: bytes) -> Path:
    sign_payload(tiny, payload)
    return alone(tiny, tiny.bundle.read_bytes())


def alone(tiny: TinyEvidence, data: bytes) -> Path:
    folder = tiny.root / "alone"
    folder.mkdir()
    (folder / "bundle.json").write_bytes(data)
    (folder / SIGNER_KEY_NAME).write_bytes(tiny.key().with_suffix(".pub.pem").read_bytes())
    return folder / "bundle.json"


EXPECTED: dict[Callable[[TinyEvidence], Path], tuple[Asked, Asked, Asked]] = {
    evidence: ((0, "SKIPPED", "0/3"), (0, "PASSED", "3/3"), (0, "PASSED", "1/3")),
    evidence_without_its_directory: ((0, "SKIPPED", "0/3"), (0, "PASSED", "3/3"), (0, "PASSED", "1/3")),
    model_signature: ((0, "SKIPPED", "0/3"), (0, "PASSED", "3/3"), (1, "FAILED", "0/3")),
    unknown_statement: ((3, "SKIPPED", "0/?"), (3, "SKIPPED", "0/?"), (0, "PASSED", "1/2")),
    signature_of_a_file: ((3, "", ""), (3, "", ""), (0, "PASSED", "1/1")),
    result_of_somebody: ((0, "SKIPPED", "0/?"), (3, "SKIPPED", "0/?"), (1, "FAILED", "0/?")),
}
"""Where nothing is asked for besides, a checkpoint, one file."""


@pytest.mark.parametrize("who", ["--key", "--any-signer"])
@pytest.mark.parametrize("kind", EXPECTED, ids=lambda one: one.__name__)
def test_success_is_said_of_what_was_checked(tiny: TinyEvidence, kind: Callable[[TinyEvidence], Path], who: str):
    bundle = kind(tiny)
    public = [tiny.key().with_suffix(".pub.pem")] if who == "--key" else []
    ways = ([], ["--checkpoint", tiny.checkpoint], ["--artifact", tiny.checkpoint / FILE])
    for way, expected in zip(ways, EXPECTED[kind], strict=True):
        done = attest("verify", bundle, who, *public, *way, "--format", "json")
        value = json.loads(done.stdout or "{}")
        assert (done.exit_code, outcome(value), covered(value)) == expected, way
        if value:
            content = value["content"]
            assert (content == "PASSED") <= (value["compared"]["filesNamed"] == value["compared"]["filesCovered"])


def outcome(value: dict[str, Any]) -> str:
    return value["steps"][7]["outcome"] if value else ""


def covered(value: dict[str, Any]) -> str:
    if not value:
        return ""
    named = value["compared"]["filesNamed"]
    return f"{value['compared']['filesCovered']}/{'?' if named is None else named}"


def test_one_file_is_not_the_checkpoint_that_a_policy_asks_for(tiny: TinyEvidence):
    read = read_trust_policy(Readers(tiny).policy(requireCheckpoint=True))
    found = verify(tiny.directory, expectation=read, files=Files(artifact=tiny.checkpoint / FILE))
    assert result(found) == (["policy"], 1)
    assert "asks for every file of the checkpoint: 1 of 3 files" in found.checks[8].problems[0]


def test_leaving_something_out_is_no_way_to_be_silent(tiny: TinyEvidence):
    key = ["--key", tiny.key().with_suffix(".pub.pem")]
    assert attest("verify", tiny.directory, *key, "--ignore", FILE).exit_code == 2
    done = attest("verify", tiny.directory, *key, "--checkpoint", tiny.checkpoint, "--ignore", FILE)
    assert (done.exit_code, "Nothing was left out" in done.stdout) == (0, True)


def test_renewals_that_nobody_read_are_said(tiny: TinyEvidence):
    tiny.bundle.with_name(tiny.bundle.name + ".renewals.json").write_text('{"schemaVersion":1,"timeStamps":["AAAA"]}')
    done = attest("verify", tiny.directory, "--key", tiny.key().with_suffix(".pub.pem"))
    assert "Its 1 time stamps were not checked" in done.stdout
