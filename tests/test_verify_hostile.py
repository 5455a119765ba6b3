"""Statements and directories made to mislead, signed by the very key that the reader expects."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_evidence import TinyEvidence, sign_payload, state
from verifying import ALL_STEPS, check, exit_code, failed, outcomes, step

from attest.digest import sha256, tree_digest
from attest.document import canonical
from attest.evidence import CHUNKS_NAME, File
from attest.evidence_directory import describe_detail
from attest.verify import Files, Verification, verify

# Statements that lie, although the expected key signed them.


def lying(tiny: TinyEvidence, **changes: Any) -> Verification:
    """Verify evidence whose checkpoint summary was changed before it was signed."""
    evidence = tiny.measure()
    changed = replace(evidence, checkpoint=replace(evidence.checkpoint, **changes))
    tiny.write(state(changed))
    tiny.sign()
    return check(tiny, checkpoint=None)


def files_named(*names: str) -> dict[str, Any]:
    """A consistent list of files with these names."""
    files = tuple(File(path=name, size=1, sha256=sha256(b"x"), basis="computed", server_sha256=None) for name in names)
    digest = tree_digest((file.path, file.size, file.sha256) for file in files)
    return {"files": files, "file_count": len(files), "bytes": len(files), "tree_digest": digest}


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["../outside"], id="parent"),
        pytest.param(["sub/../../outside"], id="parent inside"),
        pytest.param(["/etc/passwd"], id="absolute"),
        pytest.param(["a\\b"], id="backslash"),
        pytest.param(["C:evil"], id="drive"),
        pytest.param(["C:/evil"], id="drive and folder"),
        pytest.param(["\\\\host\\share"], id="share"),
        pytest.param(["a//b"], id="empty part"),
        pytest.param(["a/"], id="folder"),
        pytest.param(["./a"], id="dot"),
        pytest.param(["."], id="the name of the tree"),
        pytest.param([""], id="empty name"),
        pytest.param(["a\nb"], id="newline"),
        pytest.param(["a\x00b"], id="NUL"),
        pytest.param(["a\u202eb"], id="right-to-left override"),
        pytest.param(["a", "a"], id="twice"),
        pytest.param([], id="no file at all"),
    ],
)
def test_file_names_that_no_checkpoint_has_fail(tiny: TinyEvidence, names: list[str]):
    assert failed(lying(tiny, **files_named(*names))) == ["subjects"]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"tree_digest": "0" * 64}, id="tree digest"),
        pytest.param({"bytes": 1}, id="total of bytes"),
        pytest.param({"file_count": 2}, id="fewer files than listed"),
        pytest.param({"file_count": 4}, id="more files than listed"),
        pytest.param({"file_count": 1000}, id="1,000 files of which 3 are listed"),
    ],
)
def test_a_summary_that_contradicts_itself_fails(tiny: TinyEvidence, change: dict[str, Any]):
    assert failed(lying(tiny, **change)) == ["subjects"]


def test_a_negative_size_is_not_of_the_schema(tiny: TinyEvidence):
    files = tiny.measure().checkpoint.files
    changed = (replace(files[0], size=-1), *files[1:])
    total = sum(file.size for file in changed)
    digest = tree_digest((file.path, file.size, file.sha256) for file in changed)
    assert "statement" in failed(lying(tiny, files=changed, bytes=total, tree_digest=digest))


def drop_first(subjects: list[Any]) -> list[Any]:
    return subjects[1:]


def drop_last(subjects: list[Any]) -> list[Any]:
    return subjects[:-1]


def double(subjects: list[Any]) -> list[Any]:
    return [*subjects, subjects[1]]


def add(subjects: list[Any]) -> list[Any]:
    return [*subjects, {"name": "../evil", "digest": {"sha256": "0" * 64}}]


def swap_digests(subjects: list[Any]) -> list[Any]:
    first, second, *rest = subjects
    return [first | {"digest": second["digest"]}, second | {"digest": first["digest"]}, *rest]


def replace_by_copy(subjects: list[Any]) -> list[Any]:
    return [subjects[0], *subjects[:-1]]


@pytest.mark.parametrize(
    "change",
    [drop_first, drop_last, double, add, swap_digests, replace_by_copy],
    ids=lambda change: change.__name__,
)
def test_subjects_that_are_not_the_files_fail(tiny: TinyEvidence, change: Callable[[list[Any]], list[Any]]):
    value = json.loads(state(tiny.measure()).payload)
    tiny.write()
    sign_payload(tiny, canonical(value | {"subject": change(value["subject"])}))
    (tiny.directory / "statement.json").unlink()
    assert failed(check(tiny)) == ["subjects"]


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param(b"", "not-json", id="empty"),
        pytest.param(b"{}", "not-a-statement", id="empty object"),
        pytest.param(b'{"_type":NaN}', "not-finite", id="NaN"),
        pytest.param(b'{"_type":1,"_type":1}', "duplicate-key", id="duplicate key"),
        pytest.param(b"[" * 10_000 + b"]" * 10_000, "too-deep", id="depth 10,000"),
        pytest.param(b"\xef\xbb\xbf{}", "not-json", id="byte order mark"),
        pytest.param(b"\xff", "not-utf-8", id="not UTF-8"),
    ],
)
def test_a_signed_payload_that_is_no_statement_fails(tiny: TinyEvidence, payload: bytes, code: str):
    sign_payload(tiny, payload)
    result = check(tiny)
    assert outcomes(result) == {
        "bundle": "PASSED",
        "signature": "PASSED",
        "signer": "PASSED",
        "time": "SKIPPED",
        "statement": "FAILED",
        "subjects": "SKIPPED",
        "details": "SKIPPED",
        "checkpoint": "SKIPPED",
        "policy": "SKIPPED",
    }
    assert step(result, "statement").details["code"] == code
    assert result.exit_code == 1


def test_a_predicate_of_another_shape_fails(tiny: TinyEvidence):
    value = json.loads(state(tiny.measure()).payload)
    value["predicate"]["more"] = 1
    sign_payload(tiny, canonical(value))
    assert failed(check(tiny)) == ["statement"]


def test_a_predicate_of_an_unknown_kind_could_not_be_decided(tiny: TinyEvidence):
    value = json.loads(state(tiny.measure()).payload)
    sign_payload(tiny, canonical(value | {"predicateType": "https://example.test/unknown/v1"}))
    result = check(tiny)
    assert outcomes(result) == dict.fromkeys(ALL_STEPS, "SKIPPED") | dict.fromkeys(ALL_STEPS[:3], "PASSED")
    assert "https://example.test/unknown/v1" in step(result, "statement").message
    assert (result.integrity, result.content, result.exit_code) == ("SKIPPED", "SKIPPED", 3)


# Evidence directories that were spoiled.


@pytest.mark.parametrize("name", ["detail/../../secret", "/etc/passwd", "statement.json", "detail/a/b", "detail/.x"])
def test_a_detail_name_that_leads_away_fails(tiny: TinyEvidence, name: str):
    evidence = tiny.measure()
    away = describe_detail(name, "text/plain", b"secret")
    (tiny.root / "secret").write_bytes(b"secret")
    tiny.write(state(replace(evidence, details=(*evidence.details, away))))
    tiny.sign()
    result = check(tiny)
    assert failed(result) == ["details"]
    assert len(step(result, "details").problems) == 1


def test_a_detail_that_is_named_twice_fails(tiny: TinyEvidence):
    evidence = tiny.measure()
    tiny.write(state(replace(evidence, details=(*evidence.details, evidence.details[0]))))
    tiny.sign()
    assert failed(check(tiny)) == ["details"]


def without_a_detail(tiny: TinyEvidence) -> None:
    (tiny.directory / CHUNKS_NAME).unlink()


def without_the_folder(tiny: TinyEvidence) -> None:
    shutil.rmtree(tiny.directory / "detail")


def with_the_folder_elsewhere(tiny: TinyEvidence) -> None:
    (tiny.directory / "detail").rename(tiny.root / "elsewhere")
    (tiny.directory / "detail").symlink_to(tiny.root / "elsewhere")


def with_a_detail_elsewhere(tiny: TinyEvidence) -> None:
    (tiny.directory / CHUNKS_NAME).rename(tiny.root / "elsewhere")
    (tiny.directory / CHUNKS_NAME).symlink_to(tiny.root / "elsewhere")


def with_a_loop(tiny: TinyEvidence) -> None:
    shutil.rmtree(tiny.directory / "detail")
    (tiny.directory / "detail").symlink_to("detail")


def with_a_fifo(tiny: TinyEvidence) -> None:
    (tiny.directory / CHUNKS_NAME).unlink()
    os.mkfifo(tiny.directory / CHUNKS_NAME)


def with_another_statement(tiny: TinyEvidence) -> None:
    (tiny.directory / "statement.json").write_bytes(state(replace(tiny.measure(), command=())).payload)


def with_garbage_for_a_statement(tiny: TinyEvidence) -> None:
    (tiny.directory / "statement.json").write_bytes(b"garbage")


SPOILS = [
    without_a_detail,
    without_the_folder,
    with_the_folder_elsewhere,
    with_a_detail_elsewhere,
    with_a_loop,
    with_a_fifo,
    with_another_statement,
    with_garbage_for_a_statement,
]


@pytest.mark.parametrize("spoil", SPOILS, ids=lambda spoil: spoil.__name__)
def test_a_spoiled_directory_fails(tiny: TinyEvidence, spoil: Callable[[TinyEvidence], None]):
    spoil(tiny)
    for path in (tiny.directory, tiny.bundle):
        result = verify(path, expectation=tiny.expectation(), files=Files(checkpoint=tiny.checkpoint))
        assert (failed(result), result.exit_code) == (["details"], 1)


def test_files_that_nobody_signed_are_named(tiny: TinyEvidence):
    (tiny.directory / "detail" / "more.json").touch()
    details = step(check(tiny), "details")
    assert details.outcome == "PASSED"
    assert details.details["unsigned"] == ["detail/more.json"]
    assert "1 more in detail/ are not named" in details.message


def test_nothing_in_the_directory_configures_anything(tiny: TinyEvidence, monkeypatch: pytest.MonkeyPatch):
    for name in ("pyproject.toml", "attest.toml", ".attest", "sitecustomize.py", ".env", "trusted_root.json"):
        (tiny.directory / name).write_text("[tool.attest]\nany-signer = true\nraise SystemExit(0)\n")
    monkeypatch.chdir(tiny.directory)
    assert exit_code(Path(), tiny.expectation("ed25519"), tiny.checkpoint) == 4
    assert exit_code(Path(), tiny.expectation("p256"), tiny.checkpoint) == 0
