from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_evidence import WEIGHTS, TinyEvidence
from verifying import ALL_STEPS, ANYBODY, INTACT, check, exit_code, failed, outcomes, step

from attest.bundle import read_bundle
from attest.comparison import COMPARISON_TYPE, Comparison, Side
from attest.digest import CHUNK_SIZE
from attest.document import dump
from attest.errors import InputError
from attest.evidence import Evidence
from attest.evidence_directory import SIGNER_KEY_NAME, write_evidence
from attest.signer import KeyType
from attest.statement import DigestSet, Statement, Subject
from attest.verify import Files, Verification, verify

# What is intact.


def test_all_steps_pass_and_are_numbered(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    result = check(tiny, expectation=tiny.expectation(key_type))
    assert [(one.step, one.id, one.outcome) for one in result.checks] == [
        (number, name, INTACT[name]) for number, name in enumerate(ALL_STEPS, start=1)
    ]
    assert (result.integrity, result.identity, result.content) == ("PASSED", "PASSED", "PASSED")
    assert result.exit_code == 0
    coverage = result.coverage
    assert coverage is not None
    assert coverage.is_complete
    assert coverage.files_named == coverage.files_present == coverage.files_covered == 3
    assert coverage.bytes_named == coverage.bytes_present == coverage.bytes_covered > 0
    assert not hasattr(Verification, "__bool__")


def test_a_bundle_file_is_verified_like_its_directory(tiny: TinyEvidence):
    by_file = verify(tiny.bundle, expectation=tiny.expectation(), files=Files(checkpoint=tiny.checkpoint))
    assert by_file == check(tiny)


def test_what_was_not_looked_at_is_skipped_with_a_reason(tiny: TinyEvidence, tmp_path: Path):
    (tmp_path / "alone").mkdir()
    lone = tmp_path / "alone" / "any-name.json"
    shutil.copy(tiny.bundle, lone)
    result = verify(lone, expectation=tiny.expectation())
    assert outcomes(result) == INTACT | {"details": "SKIPPED", "checkpoint": "SKIPPED"}
    assert "3 detail files" in step(result, "details").message
    assert "--checkpoint" in step(result, "checkpoint").message
    assert (result.integrity, result.content, result.exit_code) == ("PASSED", "SKIPPED", 0)


def test_a_single_file_is_a_checkpoint(tiny: TinyEvidence):
    for name in ("config.json", "NOTICE.txt"):
        (tiny.checkpoint / name).unlink()
    weights = tiny.checkpoint / "model.safetensors"
    (tiny.checkpoint / WEIGHTS).rename(weights)
    (tiny.checkpoint / "sub").rmdir()
    tiny.write()
    tiny.sign()
    assert check(tiny, checkpoint=weights).exit_code == 0
    shutil.copy(weights, tiny.root / "other.safetensors")
    assert failed(check(tiny, checkpoint=tiny.root / "other.safetensors")) == ["checkpoint"]


# Who signed.


def test_another_key_than_expected_exits_4_and_the_other_steps_still_run(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    other = tiny.expectation("ed25519" if key_type == "p256" else "p256")
    result = check(tiny, expectation=other)
    assert outcomes(result) == INTACT | {"signature": "SKIPPED", "signer": "FAILED"}
    assert (result.integrity, result.identity, result.content) == ("SKIPPED", "FAILED", "PASSED")
    assert result.exit_code == 4
    assert other.key is not None
    assert other.key.hint in step(result, "signer").message
    assert result.bundle.key_hint in step(result, "signer").message


def test_any_failure_weighs_more_than_an_unexpected_signer(tiny: TinyEvidence):
    (tiny.directory / "detail/bytes.bin").write_bytes(b"")
    result = check(tiny, expectation=tiny.expectation("ed25519"))
    assert (failed(result), result.exit_code) == (["signer", "details"], 1)


def test_a_name_that_was_swapped_is_found_out(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    bundle, _ = read_bundle(tiny.bundle)
    tiny.bundle.write_bytes(replace(bundle, key_hint="ab" * 32).to_json())
    result = check(tiny, expectation=tiny.expectation(key_type))
    assert (failed(result), result.identity, result.exit_code) == (["signature"], "PASSED", 1)


def test_a_signature_by_another_key_in_the_expected_name_is_found_out(tiny: TinyEvidence):
    tiny.sign("ed25519")
    bundle, _ = read_bundle(tiny.bundle)
    expected = tiny.expectation("p256").key
    assert expected is not None
    tiny.bundle.write_bytes(replace(bundle, key_hint=expected.hint).to_json())
    result = check(tiny)
    assert (failed(result), result.identity, result.exit_code) == (["signature"], "SKIPPED", 1)


def test_any_signer_is_integrity_only(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    result = check(tiny, expectation=ANYBODY)
    assert (result.integrity, result.identity, result.content) == ("PASSED", "SKIPPED", "PASSED")
    assert result.exit_code == 0
    assert "nobody's identity was checked" in step(result, "signer").message


def no_key(tiny: TinyEvidence) -> None:
    (tiny.directory / SIGNER_KEY_NAME).unlink()


def another_key(tiny: TinyEvidence) -> None:
    key = tiny.expectation("ed25519").key
    assert key is not None
    (tiny.directory / SIGNER_KEY_NAME).write_bytes(key.pem)


def garbage_for_a_key(tiny: TinyEvidence) -> None:
    (tiny.directory / SIGNER_KEY_NAME).write_bytes(b"garbage")


def fifo_for_a_key(tiny: TinyEvidence) -> None:
    (tiny.directory / SIGNER_KEY_NAME).unlink()
    os.mkfifo(tiny.directory / SIGNER_KEY_NAME)


@pytest.mark.parametrize(
    "spoil", [no_key, another_key, garbage_for_a_key, fifo_for_a_key], ids=lambda spoil: spoil.__name__
)
def test_any_signer_needs_the_key_that_the_bundle_names(tiny: TinyEvidence, spoil: Callable[[TinyEvidence], None]):
    spoil(tiny)
    with pytest.raises(InputError) as caught:
        check(tiny, expectation=ANYBODY)
    assert (caught.value.code, caught.value.exit_code) == ("no-signer-key", 3)
    assert check(tiny).exit_code == 0  # the reader's own key needs no copy


def test_signed_anew_by_an_attacker_is_not_by_whom_the_reader_expects(tiny: TinyEvidence):
    (tiny.checkpoint / "config.json").write_bytes(b"{}")
    expected = tiny.expectation("p256")
    tiny.write()
    tiny.sign("ed25519")
    assert exit_code(tiny.directory, expected, tiny.checkpoint) == 4


# Comparisons.


def compared(evidence: Evidence, tree_b: str = "0" * 64) -> Comparison:
    side = Side(
        name="first", tree_digest=evidence.checkpoint.tree_digest, statement_sha256=None, parameters=1, layers=1
    )
    return Comparison(
        measured_at="2026-01-02T03:04:05Z",
        tool=evidence.tool,
        environment=evidence.environment,
        a=side,
        b=replace(side, name="second", tree_digest=tree_b),
        protocol=None,
        tests=(),
        controls=(),
        found=(),
        panel=None,
        not_compared=(),
        does_not_show=(),
    )


def sign_comparison(tiny: TinyEvidence, comparison: Comparison, subjects: dict[str, str]) -> None:
    statement = Statement.build(
        subjects=tuple(Subject(name=name, digest=DigestSet(sha256=digest)) for name, digest in subjects.items()),
        predicate_type=COMPARISON_TYPE,
        predicate=dump(comparison),
    )
    write_evidence(tiny.directory, statement, {}, force=True)
    tiny.sign()


def test_a_comparison_is_verified(tiny: TinyEvidence, tmp_path: Path):
    comparison = compared(tiny.measure())
    sign_comparison(tiny, comparison, {"a:first": comparison.a.tree_digest, "b:second": comparison.b.tree_digest})
    result = check(tiny, checkpoint=None)
    assert outcomes(result) == INTACT | {"checkpoint": "SKIPPED"}
    assert step(result, "details").message == "The statement names no detail files."
    lone = verify(Path(shutil.copy(tiny.bundle, tmp_path / "lone.json")), expectation=tiny.expectation())
    assert step(lone, "details").message == "The statement names no detail files."
    assert lone.compared.text == "no file of a checkpoint was read."
    result = check(tiny)
    message = "It is side A, all 3 files and 254 bytes; nothing was read of side B."
    assert (step(result, "checkpoint").message, result.content, result.exit_code) == (message, "SKIPPED", 0)
    (tiny.checkpoint / "config.json").touch()
    (tiny.checkpoint / "new").touch()
    result = check(tiny)
    assert (failed(result), result.exit_code) == (["checkpoint"], 1)


def test_a_comparison_with_itself_is_both_sides(tiny: TinyEvidence):
    digest = tiny.measure().checkpoint.tree_digest
    sign_comparison(tiny, compared(tiny.measure(), digest), {"a:first": digest, "b:second": digest})
    result = check(tiny)
    assert step(result, "checkpoint").message == "It is side A and B, all 3 files and 254 bytes."
    assert (result.content, result.compared.is_whole) == ("PASSED", True)


@pytest.mark.parametrize(
    "names", [("a:first", "b:other"), ("b:second", "a:first"), ("a:first",), ("first", "second")], ids=str
)
def test_a_comparison_of_other_subjects_fails(tiny: TinyEvidence, names: tuple[str, ...]):
    comparison = compared(tiny.measure())
    digests = (comparison.a.tree_digest, comparison.b.tree_digest)
    sign_comparison(tiny, comparison, dict(zip(names, digests, strict=False)))
    assert failed(check(tiny)) == ["subjects"]


# Nothing heavy.


def test_verifying_imports_no_numerics(tiny: TinyEvidence):
    key = str(tiny.key().with_suffix(".pub.pem"))
    arguments = ["verify", str(tiny.directory), "--key", key, "--checkpoint", str(tiny.checkpoint)]
    program = (
        "import sys; from attest.cli import main\n"
        f"main({arguments!r}, standalone_mode=False)\n"
        "print(sorted({'numba', 'scipy', 'torch', 'transformers'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_chunk_is_what_a_browser_hashes_in_one_call():
    assert CHUNK_SIZE == 64 * 1024 * 1024
