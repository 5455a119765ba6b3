"""attest reproduce as its users call it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from measured import measured

from attest.cli import main
from attest.document import dump
from attest.evidence import EVIDENCE_TYPE, Evidence, FingerprintSummary
from attest.evidence_directory import write_evidence
from attest.statement import DigestSet, Statement, Subject


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)


@pytest.fixture
def evidence(tmp_path: Path) -> Path:
    write_evidence(tmp_path / "evidence", measured("seed-1").statement(), measured("seed-1").details)
    return tmp_path / "evidence"


def write_false(folder: Path, evidence: Evidence) -> Path:
    statement = Statement.build(
        subjects=(Subject(name=".", digest=DigestSet(sha256=evidence.checkpoint.tree_digest)),),
        predicate_type=EVIDENCE_TYPE,
        predicate=dump(evidence),
    )
    write_evidence(folder, statement, measured("seed-1").details)
    return folder


def test_the_same_numbers_are_0(evidence: Path, family: Path):
    result = attest("reproduce", evidence, "--checkpoint", family / "seed-1")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "evidence about seed-1"
    assert re.fullmatch(
        r"reproduced: (\d+) of \1 values are the same numbers again, measured from 2 files, [\d,]+ bytes", lines[-1]
    )
    assert all(" identical " in f"{line} " for line in lines[2:-2])


def test_other_numbers_are_1(evidence: Path, family: Path):
    result = attest("reproduce", evidence, "--checkpoint", family / "seed-2")
    assert (result.exit_code, result.stderr) == (1, "")
    assert "checkpoint files                     differs           differ: model.safetensors" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("not reproduced: ")


@pytest.mark.parametrize(("name", "reproduced"), [("seed-1", True), ("seed-3", False)])
def test_the_object_for_programs(evidence: Path, family: Path, name: str, *, reproduced: bool):
    result = attest("reproduce", evidence, "--checkpoint", family / name, "--format", "json", "--threads", "1")
    value = json.loads(result.stdout)
    assert result.exit_code == (0 if reproduced else 1)
    assert value["reproduced"] is reproduced
    assert value["statementSha256"] == measured("seed-1").statement().digest
    assert {one["outcome"] for one in value["values"]} == ({"identical"} if reproduced else {"identical", "differs"})


def test_what_could_not_be_decided_is_3(evidence: Path, family: Path, tmp_path: Path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "model.safetensors").write_bytes(b"")
    for arguments, code in (
        (["missing", "--checkpoint", family / "seed-1"], "no-bundle"),
        ([evidence, "--checkpoint", tmp_path / "missing"], "no-checkpoint"),
        ([evidence, "--checkpoint", tmp_path / "broken"], "truncated-file"),
        ([evidence, "--checkpoint", family / "seed-1", "--repo", tmp_path / "missing"], "no-repository"),
        ([tmp_path, "--checkpoint", family / "seed-1"], "no-statement"),
    ):
        result = attest("reproduce", *arguments)
        assert (result.exit_code, result.stdout) == (3, ""), code
        assert result.stderr.startswith(f"error[{code}]: ")
        assert result.stderr.count("\n") == 1


def test_what_a_hostile_author_wrote_cannot_move_the_cursor_or_fill_the_screen(tmp_path: Path, family: Path):
    signed = measured("seed-1").evidence
    hostile = FingerprintSummary(
        id="\x1b[2J\u202e" + "x" * 1_000_000, detail="\x07", not_measured=None, table=None
    )  # fmt: skip
    evidence = replace(
        signed,
        checkpoint=replace(signed.checkpoint, name="\x1b]0;verified\x07"),
        fingerprints=(*signed.fingerprints, hostile),
    )
    result = attest("reproduce", write_false(tmp_path / "evidence", evidence), "--checkpoint", family / "seed-1")
    assert result.stdout.replace("\n", "").isprintable()
    assert len(result.stdout) < 10_000
    assert (result.exit_code, "not decided: " in result.stdout) == (3, True)  # nobody knows this fingerprint
    assert "evidence about \\x1b]0;verified\\x07" in result.stdout


def test_a_file_of_a_hostile_name_is_told_visibly(evidence: Path, family: Path, tmp_path: Path):
    copy = Path(shutil.copytree(family / "seed-1", tmp_path / "copy"))
    (copy / "\u3164").touch()
    result = attest("reproduce", evidence, "--checkpoint", copy)
    assert result.exit_code == 1
    assert "not in the evidence: \\u3164" in result.stdout


def test_output_to_a_file_keeps_the_exit_code(evidence: Path, family: Path, tmp_path: Path):
    result = attest("reproduce", evidence, "--checkpoint", family / "seed-2", "-o", tmp_path / "out.txt")
    assert (result.exit_code, result.stdout) == (1, "")
    assert (tmp_path / "out.txt").read_text().splitlines()[-1].startswith("not reproduced: ")


def test_as_a_program(evidence: Path, family: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "attest", "reproduce", evidence, "--checkpoint", family / "seed-2"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.splitlines()[-1].startswith("not reproduced: ")


@pytest.fixture(scope="module")
def comparison(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A signed comparison of two evidence directories, which lie beside it."""
    folder = tmp_path_factory.mktemp("comparison")
    for name in ("seed-1", "seed-2"):
        write_evidence(folder / name, measured(name).statement(), measured(name).details)
    assert attest("compare", folder / "seed-1", folder / "seed-2", "--evidence", folder / "comparison").exit_code == 0
    assert attest("keygen", "-o", folder / "key.pem").exit_code == 0
    assert attest("sign", folder / "comparison", "--key", folder / "key.pem").exit_code == 0
    return folder


def test_a_comparison_is_made_again(comparison: Path):
    pair = ["--a", comparison / "seed-1", "--b", comparison / "seed-2"]
    result = attest("reproduce", comparison / "comparison", *pair)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "evidence about seed-1 and seed-2"
    assert re.fullmatch(r"reproduced: (\d+) of \1 values are the same numbers again", lines[-1])
    value = json.loads(attest("reproduce", comparison / "comparison", *pair, "--format", "json").stdout)
    assert (value["reproduced"], value["sameProgram"], value["notMeasured"]) == (True, True, [])


def test_a_comparison_of_others_is_1(comparison: Path):
    result = attest("reproduce", comparison / "comparison", "--a", comparison / "seed-1", "--b", comparison / "seed-1")
    assert result.exit_code == 1
    assert "checkpoint b" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("not reproduced: ")


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ["--a", "seed-1"],
            "Give --checkpoint, or --repo for evidence about a repository, or --a and --b for a comparison.",
        ),
        (["--checkpoint", "seed-1"], "A comparison needs --a and --b."),
    ],
)
def test_copies_of_something_else_are_a_usage_error(comparison: Path, given: list[str], says: str):
    result = attest("reproduce", comparison / "comparison", given[0], comparison / given[1])
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in result.stderr


def test_who_made_a_comparison_again_can_sign_that(comparison: Path, tmp_path: Path):
    words = [
        "--key",
        comparison / "key.pub.pem",
        "--sign-with",
        comparison / "key.pem",
        "--claims",
        tmp_path / "claims",
    ]
    pair = ["--reproduce", "--a", comparison / "seed-2", "--b", comparison / "seed-1"]
    result = attest("attest-result", comparison / "comparison", *words, *pair)
    assert (result.exit_code, result.stderr) == (0, "")
    assert re.search(r"and \d+ values measured again, 0 of them different", result.stdout)
