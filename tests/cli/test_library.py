"""``attest library`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attest.cli import main
from attest.demo.weights import family
from attest.evidence_directory import write_evidence
from attest.measure import measure


def attest(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    for name in ("seed-1", "seed-2", "seed-1-continued"):
        measured = measure(family() / name)
        write_evidence(folder / name, measured.statement(), measured.details)
    return folder


def test_the_whole_way_as_the_page_says_it(evidence: Path, tmp_path: Path):
    library, panel = tmp_path / "library", tmp_path / "panel.json"
    built = attest("library", "build", evidence / "seed-1", "-o", library, "--lineage", "one")
    assert (built.exit_code, built.stderr) == (0, "")
    assert attest("library", "add", library, evidence / "seed-2", "--lineage", "two").exit_code == 0
    listed = attest("library", "list", library)
    assert "2 members" in listed.stdout
    assert "one" in listed.stdout
    asked = attest("library", "query", library, evidence / "seed-1-continued", "--format", "json")
    answer = json.loads(asked.stdout)
    assert answer["candidates"][0]["member"]["name"] == "seed-1"
    text = attest("library", "query", library, family() / "seed-1-continued", "--top", "1").stdout
    assert "No conclusion is drawn here" in text
    assert "seed-2" not in text
    made = attest("library", "panel", library, "-o", panel, "--name", "mine")
    assert made.stdout == "1 independent and 0 derived pairs of 2 members\n"
    compared = attest(
        "compare", evidence / "seed-2", evidence / "seed-1-continued", "--panel", panel, "--format", "json"
    )
    held = json.loads(compared.stdout)
    assert (held["panel"]["name"], held["panel"]["leftOut"], held["panel"]["ranks"]) == ("mine", 1, [])
    assert any("reference panel mine" in one["reason"] for one in held["notCompared"])


def test_hostile_names_and_origins_are_escaped(evidence: Path, tmp_path: Path):
    library = tmp_path / "library"
    attest("library", "build", evidence / "seed-1", "-o", library, "--lineage", "a\x1b[2Jb")
    for command in (["list", library], ["query", library, evidence / "seed-2"]):
        said = attest("library", *command)
        assert said.exit_code == 0
        assert "\x1b" not in said.stdout
        assert "a\\x1b[2Jb" in said.stdout


def test_a_checkpoint_given_twice_is_one_member(evidence: Path, tmp_path: Path):
    library = tmp_path / "library"
    built = attest("library", "build", evidence / "seed-1", evidence / "seed-1", "-o", library)
    assert (built.exit_code, "given before" in built.stderr) == (0, True)
    assert "1 member" in attest("library", "list", library).stdout
    again = attest("library", "add", library, evidence / "seed-1")
    assert (again.exit_code, "the library holds already" in again.stderr) == (3, True)


def test_nothing_is_overwritten(evidence: Path, tmp_path: Path):
    library = tmp_path / "library"
    attest("library", "build", evidence / "seed-1", "-o", library)
    again = attest("library", "build", evidence / "seed-1", "-o", library)
    assert (again.exit_code, "error[output-exists]" in again.stderr) == (3, True)


def test_a_panel_that_is_no_panel_is_refused(evidence: Path, tmp_path: Path):
    wrong = tmp_path / "panel.json"
    wrong.write_text("{}")
    said = attest("compare", evidence / "seed-1", evidence / "seed-2", "--panel", wrong)
    assert (said.exit_code, "error[not-of-schema]" in said.stderr) == (3, True)
