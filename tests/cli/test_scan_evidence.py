"""A scan goes the way of every other evidence: written, signed, verified, scanned again."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from git_repository import commit
from scanned import Scanned

from attest.cli import main


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def folder(found: Scanned, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed evidence, made by the commands as a user types them."""
    root = tmp_path_factory.mktemp("commands")
    assert run("keygen", "-o", root / "key.pem").exit_code == 0
    releases = [word for release in found.places.releases for word in ("--releases", release)]
    against = ["--against", found.places.reference or "", *releases]
    result = run("scan", found.places.repository, "--history", *against, "--evidence", root / "evidence")
    assert result.exit_code == 0, result.output
    assert "Files with the same bytes:\n  m4.py as m4.py\n" in result.output
    assert run("sign", root / "evidence", "--key", root / "key.pem").exit_code == 0
    return root


def test_the_command_line_that_is_signed_names_no_folder(folder: Path):
    statement = json.loads((folder / "evidence" / "statement.json").read_bytes())
    assert statement["predicateType"] == "https://attest/repository-scan/v1"
    assert statement["predicate"]["command"] == [
        "attest", "scan", "copy", "--history", "--against", "library-1.10", "--releases", "library-1.10",
        "--releases", "library-1.9",
    ]  # fmt: skip
    assert str(folder.parent) not in json.dumps(statement)


def test_it_is_verified(folder: Path):
    result = run("verify", folder / "evidence", "--key", folder / "key.pub.pem", "--format", "json")
    assert result.exit_code == 0, result.output
    outcomes = {step["id"]: step["outcome"] for step in json.loads(result.output)["steps"]}
    assert outcomes["subjects"] == outcomes["details"] == outcomes["statement"] == "PASSED"


def test_a_checkpoint_is_no_copy_of_a_repository(folder: Path, family: Path):
    result = run("verify", folder / "evidence", "--key", folder / "key.pub.pem", "--checkpoint", family / "seed-1")
    assert "attest reproduce --repo reads that again" in result.output


def test_it_is_reproduced_and_a_change_is_seen(folder: Path, found: Scanned, tmp_path: Path):
    places = found.places
    theirs = ["--against", places.reference or "", "--releases", places.releases[0], "--releases", places.releases[1]]
    result = run("reproduce", folder / "evidence", "--repo", places.repository, *theirs)
    assert result.exit_code == 0, result.output
    assert "reproduced: 10 of 10 values are the same numbers again" in result.output
    shutil.copytree(places.repository, tmp_path / "mine")
    commit(tmp_path / "mine", {"model.py": "# empty\n"})
    assert run("reproduce", folder / "evidence", "--repo", tmp_path / "mine", *theirs).exit_code == 1


def test_a_result_says_that_it_came_out_again(folder: Path, found: Scanned, tmp_path: Path):
    places = found.places
    words = ["attest-result", folder / "evidence", "--key", folder / "key.pub.pem", "--sign-with", folder / "key.pem"]
    words += ["--reproduce", "--claims", tmp_path / "claims.jsonl"]
    theirs = ["--against", places.reference or "", "--releases", places.releases[0], "--releases", places.releases[1]]
    result = run(*words, "--repo", places.repository, *theirs)
    assert result.exit_code == 0, result.output
    assert "10 values measured again, 0 of them different" in result.output
    shutil.copytree(places.repository, tmp_path / "mine")
    (tmp_path / "mine" / "README.md").write_text("")
    assert run(*words, "--repo", tmp_path / "mine").exit_code == 1
    assert "needs --repo" in run(*words, "--checkpoint", tmp_path).output
    assert len((tmp_path / "claims.jsonl").read_text().splitlines()) == 2


def test_what_comments_name_is_signed_and_needed_again(tmp_path: Path):
    body = "def f(x):\n    return x + 1\n"
    commit(tmp_path / "copy", {"a.py": "# Copied from lib.b.f\n" + body})
    commit(tmp_path / "library", {"lib/b.py": body})
    commit(tmp_path / "other", {"lib/b.py": body.replace("1", "2")})
    reference = ["--reference", tmp_path / "library"]
    done = run("scan", tmp_path / "copy", *reference, "--against", tmp_path / "other", "--evidence", tmp_path / "e")
    assert "comments that name a place in code: 1; over code that is equal there: 1" in done.output
    statement = json.loads((tmp_path / "e" / "statement.json").read_bytes())
    (named,) = statement["predicate"]["copiedFrom"]
    assert (named["name"], named["kind"], named["files"]) == ("library", "folder", 1)
    subjects = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert subjects["copied-from:library"] == named["treeDigest"]
    again = ["reproduce", tmp_path / "e", "--repo", tmp_path / "copy", "--against", tmp_path / "other"]
    assert re.search("files of library +not-measured", run(*again).output)
    assert run(*again, "--reference", tmp_path / "other").exit_code == 3
    assert run(*again, *reference).exit_code == 0


def test_what_is_needed_is_asked_for(folder: Path, found: Scanned, tmp_path: Path):
    assert "Give --checkpoint, or --repo" in run("reproduce", folder / "evidence").output
    assert "needs --repo" in run("reproduce", folder / "evidence", "--checkpoint", tmp_path).output
    assert "need --against" in run("scan", found.places.repository, "--against-history").output
    for words in (["--against", tmp_path], ["--evidence", tmp_path / "new"], ["--format", "spdx"]):
        refused = run("scan", found.places.repository, "--engine", "scancode", *words)
        assert refused.exit_code == 2
        assert "Run it by itself" in " ".join(refused.output.replace("│", " ").split())
    assert run("scan", found.places.repository, "--evidence", folder / "evidence").exit_code == 3
    (tmp_path / "other").mkdir()
    assert (
        "output-not-evidence"
        in run("scan", found.places.repository, "--evidence", tmp_path / "other", "--force").output
    )


def test_evidence_lies_outside_of_what_is_scanned(tmp_path: Path):
    """Inside, the next scan would find it, and no two would be alike; around it, --force would take the repository away."""
    repository, other = tmp_path / "evidence" / "repository", tmp_path / "other"
    for folder in (repository, other):
        folder.mkdir(parents=True)
        (folder / "a.py").write_text("# Copyright 2026 A\n")
    (tmp_path / "evidence" / "statement.json").write_text("{}")
    for place in (repository / "evidence", other / "evidence", tmp_path / "evidence"):
        refused = run("scan", repository, "--against", other, "--evidence", place, "--force")
        assert (refused.exit_code, refused.stderr.split(":")[0]) == (3, "error[output-in-repository]")
    assert sorted(repository.iterdir()) == [repository / "a.py"]
