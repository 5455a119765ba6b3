"""Log entries beside a key: proved by the log, and about this very signature."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from alterations import (
    Alteration,
    body_of_the_entry,
    checkpoint_of_the_log,
    first_entry,
    garbage_for_an_entry,
    inclusion_proof,
    root_of_the_log,
    signed_entry_timestamp,
    time_of_the_log,
)
from keyless_evidence import attest
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence, write_checkpoint

from attest.document import canonical
from attest.log_entry import LoggedSignature, refuse_other_entry
from attest.signer import open_signer, write_key_pair

states_time = pytest.mark.parametrize("made", [1], ids=["rekor-v1"], indirect=True)
"""Rekor v2 states none."""


class Logged:
    """Tiny evidence that was signed with a key and logged, and the Sigstore whose log it is."""

    def __init__(self, root: Path, loopback: LoopbackSigstore) -> None:
        self.tiny, self.loopback = TinyEvidence(root=root), loopback
        write_checkpoint(self.tiny.checkpoint)
        self.tiny.write()
        self.config, self.root = root / "config.json", root / "root.json"
        self.config.write_text(json.dumps(loopback.client_trust_config()))
        self.root.write_text(json.dumps(loopback.trusted_root()))
        self.signing = self.sign()
        self.good = self.tiny.bundle.read_bytes()

    def sign(self, *more: Any, key_type: Any = "p256") -> Any:
        key = self.tiny.key(key_type)
        return attest("sign", self.tiny.directory, "--key", key, "--log", "--trust-config", self.config, *more)

    def verify(self, *more: Any, key_type: Any = "p256") -> Any:
        public = self.tiny.key(key_type).with_suffix(".pub.pem")
        return attest("verify", self.tiny.bundle, "--key", public, *(more or ("--trusted-root", self.root)))


@pytest.fixture(scope="module", params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Logged]:
    with LoopbackSigstore.serving(rekor=request.param) as loopback:
        yield Logged(tmp_path_factory.mktemp("logged"), loopback)


@pytest.fixture
def logged(made: Logged) -> Logged:
    """With the bundle as it was signed first."""
    made.tiny.bundle.write_bytes(made.good)
    return made


def change(logged: Logged, changes: Alteration) -> None:
    value = json.loads(logged.good)
    changes(value)
    logged.tiny.bundle.write_text(json.dumps(value))


def test_a_logged_signature_verifies_and_says_where_and_when(logged: Logged):
    assert logged.signing.exit_code == 0, logged.signing.stderr
    assert "publishes the public key" in logged.signing.stderr
    done = logged.verify("--trusted-root", logged.root, "--format", "json")
    assert done.exit_code == 0, done.output
    steps = {check["id"]: check for check in json.loads(done.stdout)["steps"]}
    assert steps["signature"]["details"]["logIndexes"] == [0]
    assert "Logged in public at 0" in steps["signature"]["message"]
    has_time = logged.loopback.rekor.version == 1
    assert steps["time"]["outcome"] == ("PASSED" if has_time else "SKIPPED")
    assert [one["source"] for one in steps["time"]["details"].get("times", ())] == ["transparency-log"] * has_time


def test_an_entry_of_a_log_that_nobody_named_is_not_checked_and_that_is_said(logged: Logged):
    done = logged.verify("--trusted-root", logged.root)
    assert "not checked" not in done.stdout.split("3 signer")[0]
    with LoopbackSigstore.serving(rekor=logged.loopback.rekor.version) as other:
        root = logged.root.with_name("other.json")
        root.write_text(json.dumps(other.trusted_root()))
    for done in (logged.verify("--trusted-root", root), logged.verify("--format", "text")):
        assert done.exit_code == 0, done.output
        assert "Logged in public" not in done.stdout
        assert "1 entries were not checked" in done.stdout
        assert "4 time       SKIPPED" in done.stdout


def size_of_the_tree(value: dict[str, Any]) -> None:
    first_entry(value)["inclusionProof"]["treeSize"] = "9"


def no_proof(value: dict[str, Any]) -> None:
    del first_entry(value)["inclusionProof"]


def kind_of_the_entry(value: dict[str, Any]) -> None:
    first_entry(value)["kindVersion"]["version"] = "0.0.3"


def name_of_the_log(value: dict[str, Any]) -> None:
    first_entry(value)["logId"] = {}


ENTRY_ALTERATIONS: tuple[Alteration, ...] = (
    inclusion_proof, root_of_the_log, checkpoint_of_the_log, body_of_the_entry, garbage_for_an_entry,
    size_of_the_tree, no_proof, kind_of_the_entry, name_of_the_log,
)  # fmt: skip


@pytest.mark.parametrize(
    "changes",
    ENTRY_ALTERATIONS,
    ids=lambda change: change.__name__,
)
def test_an_altered_entry_fails(logged: Logged, changes: Alteration):
    change(logged, changes)
    done = logged.verify()
    assert done.exit_code == 1, done.output
    assert "2 signature  FAILED" in done.stdout
    assert "4 time       SKIPPED" in done.stdout


@states_time
def test_an_altered_promise_or_time_fails(logged: Logged):
    for changes in (signed_entry_timestamp, time_of_the_log):
        change(logged, changes)
        assert logged.verify().exit_code == 1


def test_a_time_without_a_promise_is_nobodys(logged: Logged):
    def changes(value: dict[str, Any]) -> None:
        first_entry(value).pop("inclusionPromise", None)
        first_entry(value)["integratedTime"] = "1000000000"

    change(logged, changes)
    done = logged.verify()
    assert (done.exit_code, "4 time       SKIPPED" in done.stdout) == (0, True)


def test_the_true_entry_of_another_signature_fails(logged: Logged):
    assert logged.sign("--force").exit_code == 0  # the same bytes and key; ECDSA gives another signature
    other = first_entry(json.loads(logged.tiny.bundle.read_bytes()))
    assert other["logIndex"] != "0"
    change(logged, lambda value: first_entry(value).update(other))
    done = logged.verify()
    assert done.exit_code == 1
    assert "about another signature" in done.stdout


@states_time
def test_a_log_whose_key_was_not_trusted_then_fails(logged: Logged, tmp_path: Path):
    root = logged.loopback.trusted_root()
    root["tlogs"][0]["publicKey"]["validFor"] = {"start": "2001-01-01T00:00:00Z", "end": "2002-01-01T00:00:00Z"}
    (tmp_path / "root.json").write_text(json.dumps(root))
    done = logged.verify("--trusted-root", tmp_path / "root.json")
    assert (done.exit_code, "not trusted at" in done.stdout) == (1, True)


def test_other_keys_countersignatures_and_model_signatures_are_logged_too(logged: Logged):
    done = logged.sign("--model-sig", "--force")
    assert done.exit_code == 0, done.stderr
    arguments = ["--trusted-root", logged.root, "--checkpoint", logged.tiny.checkpoint]
    public = logged.tiny.key().with_suffix(".pub.pem")
    done = attest("verify", logged.tiny.directory / "model.sig", "--key", public, *arguments)
    assert (done.exit_code, "Logged in public" in done.stdout) == (0, True)
    done = logged.sign("--cosign", key_type="ed25519")
    if logged.loopback.rekor.version == 1:
        assert done.exit_code == 0, done.stderr
        (line,) = (logged.tiny.directory / "claims.jsonl").read_bytes().splitlines()
        logged.tiny.bundle.write_bytes(line)
        assert "Logged in public" in logged.verify("--trusted-root", logged.root, key_type="ed25519").stdout
    else:
        assert (done.exit_code, done.stderr.splitlines()[-1].split(":")[0]) == (3, "error[log-failed]")
        assert not (logged.tiny.directory / "claims.jsonl").exists()


def test_a_log_that_does_not_answer_leaves_nothing_signed(logged: Logged, tmp_path: Path):
    config = logged.loopback.client_trust_config()
    config["signingConfig"]["rekorTlogUrls"][0]["url"] = "http://127.0.0.1:9"
    (tmp_path / "config.json").write_text(json.dumps(config))
    arguments = ["--key", logged.tiny.key(), "--log", "--trust-config", tmp_path / "config.json", "--force"]
    done = attest("sign", logged.tiny.directory, *arguments)
    assert (done.exit_code, done.stderr.splitlines()[-1].split(":")[0]) == (3, "error[log-failed]")
    assert logged.tiny.bundle.read_bytes() == logged.good


# What an entry says, of every kind.


def test_an_entry_of_each_kind_is_about_one_signature_only(tmp_path: Path):
    key = write_key_pair(tmp_path / "key.pem")
    other = write_key_pair(tmp_path / "other.pem")
    signed = b"signed"
    signature = open_signer(str(tmp_path / "key.pem")).sign(signed)
    mine = LoggedSignature(
        key=key,
        signature=signature,
        digests={"sha256": sha256(signed).hexdigest()},
        payload_sha256=sha256(b"payload").hexdigest(),
    )
    for kind, spec in bodies(mine).items():
        name, _, version = kind.partition("/")
        body = canonical({"kind": name, "apiVersion": version, "spec": spec})
        refuse_other_entry(body, mine)
        others = {
            "other bytes": replace(mine, digests={"sha256": "0" * 64}, payload_sha256="0" * 64),
            "another signature": replace(mine, signature=signature[:-1]),
            "another key": replace(mine, key=other),
        }
        for reason, expected in others.items():
            with pytest.raises(ValueError, match=reason):
                refuse_other_entry(body, expected)
    with pytest.raises(ValueError, match="not read"):
        refuse_other_entry(canonical({"kind": "intoto", "apiVersion": "0.0.2", "spec": {}}), mine)
    with pytest.raises(ValueError, match="occurs twice"):
        refuse_other_entry(b'{"kind":"dsse","kind":"dsse"}', mine)


def bodies(mine: LoggedSignature) -> dict[str, Any]:
    """What each kind of entry says of a signature."""

    def text(data: bytes) -> str:
        return base64.b64encode(data).decode()

    def two(digest: str) -> dict[str, Any]:
        return {"algorithm": "SHA2_256", "digest": text(bytes.fromhex(digest))}

    signed, payload = mine.digests["sha256"], mine.payload_sha256 or ""
    verifier = {"publicKey": {"rawBytes": text(mine.key.der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    signature = {"content": text(mine.signature), "verifier": verifier}
    pem = text(mine.key.pem)
    return {
        "hashedrekord/0.0.1": {
            "data": {"hash": {"algorithm": "sha256", "value": signed}},
            "signature": {"content": text(mine.signature), "publicKey": {"content": pem}},
        },
        "dsse/0.0.1": {
            "payloadHash": {"algorithm": "sha256", "value": payload},
            "signatures": [{"signature": text(mine.signature), "verifier": pem}],
        },
        "hashedrekord/0.0.2": {"hashedRekordV002": {"data": two(signed), "signature": signature}},
        "dsse/0.0.2": {"dsseV002": {"payloadHash": two(payload), "signatures": [signature]}},
    }
