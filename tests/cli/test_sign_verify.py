from __future__ import annotations

import json
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_evidence import WEIGHTS, TinyEvidence, sign_payload, state

from attest.bundle import read_bundle
from attest.cli import main
from attest.document import canonical
from attest.evidence import CHUNKS_NAME
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.signer import PublicKey


def attest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def public(tiny: TinyEvidence) -> Path:
    """The public key that the tiny evidence is signed with."""
    return tiny.key().with_suffix(".pub.pem")


def unsign(tiny: TinyEvidence) -> None:
    tiny.bundle.unlink()
    (tiny.directory / SIGNER_KEY_NAME).unlink()


@pytest.mark.parametrize("key_type", ["p256", "ed25519"])
def test_the_whole_way_as_the_commands_say_it(tiny: TinyEvidence, monkeypatch: pytest.MonkeyPatch, key_type: str):
    unsign(tiny)
    monkeypatch.chdir(tiny.root)
    made = attest("keygen", "-o", "my key.pem", "--type", key_type)
    assert (made.exit_code, made.stderr) == (0, "")
    assert Path("my key.pem").stat().st_mode & 0o777 == 0o600
    hint = PublicKey.read(Path("my key.pub.pem")).hint
    assert hint in made.stdout
    signed = attest("sign", "evidence", "--key", "my key.pem")
    assert (signed.exit_code, signed.stderr) == (0, "")
    assert hint in signed.stdout
    program, *arguments = shlex.split(signed.stdout.partition("Verify with: ")[2])
    assert program == "attest"
    verified = attest(*arguments, "--checkpoint", "checkpoint")
    assert (verified.exit_code, verified.stderr) == (0, "")
    assert verified.stdout.count(" PASSED ") == 10
    assert "conclusion  yours to draw" in verified.stdout


def test_the_summary_is_six_lines_behind_nine_steps(tiny: TinyEvidence, public: Path):
    lines = attest("verify", tiny.directory, "--key", public).stdout.splitlines()
    assert lines[9] == ""
    assert [line.split()[0] for line in lines[:9]] == [str(number) for number in range(1, 10)]
    assert [line.split()[:2] for line in lines[10:14]] == [
        ["integrity", "PASSED"],
        ["identity", "PASSED"],
        ["time", "SKIPPED"],
        ["content", "SKIPPED"],
    ]
    assert lines[14] == "coverage    0 of 3 files and 0 of 254 bytes were read and are the same."
    assert lines[15].split()[0] == "conclusion"
    assert len(lines) == 16


def test_json_is_one_object(tiny: TinyEvidence, public: Path):
    (tiny.checkpoint / WEIGHTS).write_bytes(b"")
    done = attest("verify", tiny.directory, "--key", public, "--checkpoint", tiny.checkpoint, "--format", "json")
    value = json.loads(done.stdout)
    assert done.exit_code == 1
    assert list(value) == ["schemaVersion", "steps", "integrity", "identity", "time", "content", "compared", "coverage"]
    assert (value["schemaVersion"], value["integrity"], value["identity"], value["content"]) == (
        1, "PASSED", "PASSED", "FAILED"
    )  # fmt: skip
    assert [step["step"] for step in value["steps"]] == list(range(1, 10))
    assert {"step", "id", "outcome", "message", "problems", "details"} == set(value["steps"][0])
    (differing,) = value["coverage"]["differing"]
    assert (differing["path"], differing["sizeFound"], differing["chunkCount"]) == (WEIGHTS, 0, 3)
    assert differing["chunks"][1]["tensor"] == "layer.0.weight"


def test_keygen_and_sign_write_json_too(tiny: TinyEvidence):
    unsign(tiny)
    key = tiny.root / "k.pem"
    made = json.loads(attest("keygen", "-o", key, "--format", "json").stdout)
    assert (made["privateKey"], made["publicKey"]) == (str(key), str(tiny.root / "k.pub.pem"))
    signed = json.loads(attest("sign", tiny.directory, "--key", f"file:{key}", "--format", "json").stdout)
    assert signed["keySha256"] == made["keySha256"]
    assert signed["written"] == [str(tiny.bundle), str(tiny.directory / SIGNER_KEY_NAME)]
    assert attest(*shlex.split(signed["verifyCommand"])[1:]).exit_code == 0


def test_results_go_to_a_file(tiny: TinyEvidence, public: Path):
    output = tiny.root / "result.json"
    done = attest("verify", tiny.directory, "--key", public, "--format", "json", "-o", output)
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(output.read_text())["integrity"] == "PASSED"
    again = attest("verify", tiny.directory, "--key", public, "-o", output)
    assert (again.exit_code, again.stderr.startswith("error[output-exists]: ")) == (3, True)
    assert attest("verify", tiny.directory, "--key", public, "-o", output, "--force").exit_code == 0


# Exit codes.


def test_any_signer_says_that_it_is_integrity_only(tiny: TinyEvidence):
    done = attest("verify", tiny.directory, "--any-signer")
    assert done.exit_code == 0
    assert "Integrity only: whoever signed, nobody's identity was checked." in done.stdout
    assert "identity    SKIPPED  nobody's identity was checked" in done.stdout


@pytest.mark.parametrize("arguments", [[], ["--key", "x.pem", "--any-signer"]], ids=["neither", "both"])
def test_an_expectation_is_required(tiny: TinyEvidence, arguments: list[str]):
    done = attest("verify", tiny.directory, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--any-signer" in done.stderr


def test_another_signer_exits_4(tiny: TinyEvidence):
    other = tiny.key("ed25519").with_suffix(".pub.pem")
    done = attest("verify", tiny.directory, "--key", other)
    assert done.exit_code == 4
    assert "3 signer     FAILED" in done.stdout
    assert "cannot be told" in done.stdout


def test_an_altered_detail_exits_1_and_is_named(tiny: TinyEvidence, public: Path):
    (tiny.directory / CHUNKS_NAME).write_bytes(b"{}")
    done = attest("verify", tiny.directory, "--key", public)
    assert done.exit_code == 1
    assert f"    - {CHUNKS_NAME}: is not the file that the statement names" in done.stdout


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not-json"),
        (b"{}", "not-a-bundle"),
        (b"\n<html>", "not-a-bundle"),
        (b"[" * 10_000, "too-deep"),
        (b"-----BEGIN PUBLIC KEY-----\n", "not-a-bundle"),
        (b'{"predicateType":""}', "not-a-bundle"),
    ],
    ids=str,
)
def test_what_is_no_bundle_exits_3_with_one_line(tiny: TinyEvidence, public: Path, data: bytes, code: str):
    tiny.bundle.write_bytes(data)
    done = attest("verify", tiny.directory, "--key", public)
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith(f"error[{code}]: ")
    assert done.stderr.count("\n") == 1


def test_what_was_given_in_place_of_a_bundle_is_told(tiny: TinyEvidence, public: Path):
    key = attest("verify", public, "--any-signer")
    assert (
        key.stderr
        == f"error[not-a-bundle]: {public.name}: is a key or a certificate; give a bundle, such as statement.sigstore.json\n"
    )
    statement = attest("verify", tiny.directory / "statement.json", "--key", public)
    assert "is a statement that nobody signed; give the folder that it lies in" in statement.stderr
    assert "whoever signed hands out the public key" in attest("verify", tiny.directory, "--key", "none").stderr


def test_a_signature_that_is_there_is_told_from_other_files(tiny: TinyEvidence):
    again = attest("sign", tiny.directory, "--key", tiny.key())
    assert again.exit_code == 3
    assert "--cosign adds a signature beside it, --force replaces it" in again.stderr


def test_an_unknown_kind_of_statement_exits_3(tiny: TinyEvidence, public: Path):
    value = json.loads(state(tiny.measure()).payload)
    sign_payload(tiny, canonical(value | {"predicateType": "https://else/v1"}))
    done = attest("verify", tiny.directory, "--key", public)
    assert done.exit_code == 3
    assert "not a predicate that this version knows: https://else/v1" in done.stdout


def test_what_is_not_there_exits_3(tiny: TinyEvidence, public: Path):
    for arguments in (
        ["verify", tiny.root / "none", "--key", public],
        ["verify", tiny.directory, "--key", tiny.root / "none.pem"],
        ["verify", tiny.directory, "--key", public, "--checkpoint", tiny.root / "none"],
        ["sign", tiny.root / "none", "--key", tiny.key()],
        ["sign", tiny.directory, "--key", tiny.root / "none.pem"],
        ["keygen", "-o", tiny.root / "none" / "key.pem"],
    ):
        done = attest(*arguments)
        assert (done.exit_code, done.stdout) == (3, "")
        assert done.stderr.count("\n") == 1


# What sign refuses; nothing is written then.


def without_a_detail(tiny: TinyEvidence) -> None:
    (tiny.directory / CHUNKS_NAME).unlink()


def with_an_altered_detail(tiny: TinyEvidence) -> None:
    (tiny.directory / CHUNKS_NAME).write_bytes(b"{}")


def with_a_link_out(tiny: TinyEvidence) -> None:
    (tiny.directory / "detail").rename(tiny.root / "elsewhere")
    (tiny.directory / "detail").symlink_to(tiny.root / "elsewhere")


def with_a_contradiction(tiny: TinyEvidence) -> None:
    evidence = tiny.measure()
    tiny.write(state(replace(evidence, checkpoint=replace(evidence.checkpoint, bytes=1))))


def of_an_unknown_kind(tiny: TinyEvidence) -> None:
    value = json.loads(state(tiny.measure()).payload)
    (tiny.directory / "statement.json").write_bytes(canonical(value | {"predicateType": "https://else/v1"}))


def of_no_kind(tiny: TinyEvidence) -> None:
    (tiny.directory / "statement.json").write_bytes(b"{}")


def with_a_fault_in_the_predicate(tiny: TinyEvidence) -> None:
    value = json.loads(state(tiny.measure()).payload)
    value["predicate"]["tool"]["version"] = 1
    (tiny.directory / "statement.json").write_bytes(canonical(value))


@pytest.mark.parametrize(
    "spoil",
    [
        without_a_detail,
        with_an_altered_detail,
        with_a_link_out,
        with_a_contradiction,
        of_an_unknown_kind,
        of_no_kind,
        with_a_fault_in_the_predicate,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_what_would_not_verify_is_not_signed(tiny: TinyEvidence, spoil: Any):
    unsign(tiny)
    spoil(tiny)
    done = attest("sign", tiny.directory, "--key", tiny.key())
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.startswith("error[")
    assert done.stderr.count("\n") == 1
    assert not tiny.bundle.exists()
    assert not (tiny.directory / SIGNER_KEY_NAME).exists()


def test_an_earlier_signature_is_replaced_only_with_force(tiny: TinyEvidence):
    before = tiny.bundle.read_bytes()
    key = tiny.key("ed25519")
    done = attest("sign", tiny.directory, "--key", key)
    assert (done.exit_code, tiny.bundle.read_bytes()) == (3, before)
    assert attest("sign", tiny.directory, "--key", key, "--force").exit_code == 0
    assert attest("verify", tiny.directory, "--key", key.with_suffix(".pub.pem")).exit_code == 0


def test_the_statement_is_signed_and_not_what_an_earlier_bundle_says(tiny: TinyEvidence):
    other = state(replace(tiny.measure(), command=("another",)))
    (tiny.directory / "statement.json").write_bytes(other.payload)
    assert attest("sign", tiny.directory, "--key", tiny.key(), "--force").exit_code == 0
    assert read_bundle(tiny.bundle)[0].envelope.payload == other.payload


def test_keys_are_overwritten_only_with_force(tiny: TinyEvidence):
    key = tiny.key()
    before = key.read_bytes()
    done = attest("keygen", "-o", key)
    assert (done.exit_code, done.stdout, key.read_bytes()) == (3, "", before)
    assert attest("keygen", "-o", key, "--force").exit_code == 0
    assert key.read_bytes() != before


def test_a_key_that_others_can_read_is_warned_about_on_stderr(tiny: TinyEvidence):
    tiny.key().chmod(0o644)
    done = attest("sign", tiny.directory, "--key", tiny.key(), "--force")
    assert done.exit_code == 0
    assert done.stderr.startswith("warning: ")
    assert "chmod 600" in done.stderr


def test_a_key_without_its_public_half_beside_it_names_the_copy(tiny: TinyEvidence):
    (tiny.root / "elsewhere").mkdir()
    lone = shutil.copy(tiny.key(), tiny.root / "elsewhere" / "key.pem")
    signed = json.loads(attest("sign", tiny.directory, "--key", lone, "--force", "--format", "json").stdout)
    assert shlex.split(signed["verifyCommand"])[-1] == str(tiny.directory / SIGNER_KEY_NAME)


# Hostile names reach the terminal as escapes.


def test_nothing_in_a_bundle_can_move_the_cursor(tiny: TinyEvidence, public: Path):
    evil = "a\x1b[2J\u202eb\r\n8 checkpoint PASSED"
    evidence = tiny.measure()
    first, *rest = evidence.checkpoint.files
    files = (replace(first, path=evil), *rest)
    tiny.write(state(replace(evidence, checkpoint=replace(evidence.checkpoint, files=files))))
    tiny.sign()
    (tiny.checkpoint / "x\u202e\u200by").touch()
    done = attest("verify", tiny.directory, "--key", public, "--checkpoint", tiny.checkpoint)
    assert done.exit_code == 1
    assert all(character.isprintable() or character == "\n" for character in done.stdout)
    assert sum(line.startswith("8 checkpoint") for line in done.stdout.splitlines()) == 1


def test_a_hostile_predicate_type_is_escaped(tiny: TinyEvidence, public: Path):
    value = json.loads(state(tiny.measure()).payload)
    sign_payload(tiny, canonical(value | {"predicateType": "https://\x1b[31mevil\x07"}))
    done = attest("verify", tiny.directory, "--key", public)
    assert r"https://\x1b[31mevil\x07" in done.stdout


def test_very_many_problems_are_cut_in_text_but_not_in_json(tiny: TinyEvidence, public: Path):
    for number in range(30):
        (tiny.checkpoint / f"extra-{number}").touch()
    arguments = ["verify", tiny.directory, "--key", public, "--checkpoint", tiny.checkpoint]
    text = attest(*arguments).stdout
    assert text.count("not named: extra-") == 20
    assert "and 10 more; --format json has them all" in text
    assert len(json.loads(attest(*arguments, "--format", "json").stdout)["coverage"]["extra"]) == 30
