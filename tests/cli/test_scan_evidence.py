"""A scan goes the way of every other evidence: written, signed, verified, scanned again."""

import json
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


def test_what_is_needed_is_asked_for(folder: Path, found: Scanned, tmp_path: Path):
    assert "Give --checkpoint, or --repo" in run("reproduce", folder / "evidence").output
    assert "needs --repo" in run("reproduce", folder / "evidence", "--checkpoint", tmp_path).output
    assert "need --against" in run("scan", found.places.repository, "--against-history").output
    assert run("scan", found.places.repository, "--evidence", folder / "evidence").exit_code == 3
    (tmp_path / "other").mkdir()
    assert "output-not-evidence" in run("scan", tmp_path, "--evidence", tmp_path / "other", "--force").output
