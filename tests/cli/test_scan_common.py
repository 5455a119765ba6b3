"""What a third holds, too, goes the way of other evidence: left out, written, signed, shown, scanned again."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from programs import program

from attest.cli import main

OLD, UTIL = program(700, 701, 702, 703), program(600, 601)
TREES = {
    "third": {"old.py": OLD, "util.py": UTIL, "logo.json": "{}\n"},
    "fourth": {"a.txt": "nothing of it\n"},
    "theirs": {f"m{number}.py": program(10 * number, 10 * number + 1) for number in range(22)}
    | {"model.py": OLD + program(900, 901, 902), "util.py": UTIL, "logo.json": "{}\n"},
    "sibling": {"ours.py": OLD + program(800, 801, 802), "logo.json": "{}\n"},
    "copy": {"ours.py": OLD + program(900, 901, 902), "util.py": UTIL},
}


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, list(map(str, arguments)))


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("trees")
    for name, files in TREES.items():
        (root / name).mkdir()
        for path, text in files.items():
            (root / name / path).write_text(text)
    thirds = ["--common", root / "third", "--common", root / "fourth"]
    result = run("scan", root / "copy", "--against", root / "theirs", *thirds, "--evidence", root / "evidence")
    assert result.exit_code == 0, result.output
    return root


def signed(folder: Path) -> dict[str, Any]:
    statement: dict[str, Any] = json.loads((folder / "statement.json").read_bytes())
    return statement


def test_a_sibling_is_distinctive_until_the_third_is_given(trees: Path):
    words = ["scan", trees / "sibling", "--against", trees / "theirs"]
    assert ": distinctive" in run(*words).output
    page = run(*words, "--common", trees / "third").output
    assert ": distinctive" not in page
    assert "programs that hold at least three tenths of one of the other side: 0" in page
    assert "files with the same bytes as one of the other side, and as a common one: 1" in page


def test_a_copy_stays_distinctive_and_the_page_says_what_was_left_out(trees: Path):
    page = run("scan", trees / "copy", "--against", trees / "theirs", "--common", trees / "third").output
    assert "programs left out as common: 1 here and 1 there" in page
    assert "of it was left out as common" in page
    assert ": distinctive" in page


def test_the_thirds_are_signed_with_their_digests(trees: Path):
    statement = signed(trees / "evidence")
    predicate = statement["predicate"]
    common = predicate["origins"]["common"]
    assert [one["name"] for one in common["repositories"]] == ["third", "fourth"]
    assert (common["programs"], common["referencePrograms"], common["identicalCount"]) == (1, 1, 1)
    assert predicate["command"][-4:] == ["--common", "third", "--common", "fourth"]
    digests = {one["name"]: one["digest"]["sha256"] for one in statement["subject"]}
    assert digests["common:third"] == common["repositories"][0]["treeDigest"]
    detail = json.loads((trees / "evidence" / "detail" / "origins.json").read_bytes())
    assert detail["commonIdentical"] == common["identical"] == [{"path": "util.py", "origin": "util.py"}]
    assert detail["identical"] == [{"path": "ours.py", "origin": "model.py"}]


def test_it_is_reproduced_with_the_same_thirds_alone(trees: Path):
    words = ["reproduce", trees / "evidence", "--repo", trees / "copy", "--against", trees / "theirs"]
    thirds = ["--common", trees / "fourth", "--common", trees / "third"]
    again = run(*words, *thirds)
    assert again.exit_code == 0, again.output
    assert "reproduced: 8 of 8 values are the same numbers again" in again.output
    left = run(*words)
    assert left.exit_code == 0
    assert "give --against, every --releases, and the same as --common" in left.output
    other = run(*words, "--common", trees / "theirs", "--common", trees / "fourth")
    assert other.exit_code == 3
    assert "not decided" in other.output


def test_the_report_and_a_result_know_the_thirds(trees: Path, tmp_path: Path):
    assert run("keygen", "-o", tmp_path / "key.pem").exit_code == 0
    assert run("sign", trees / "evidence", "--key", tmp_path / "key.pem").exit_code == 0
    result = run("report", trees / "evidence", "-o", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    page = (tmp_path / "page.html").read_text()
    assert "of which <bdi>third</bdi> and <bdi>fourth</bdi> hold nearly all" in page
    assert "No third repository was given" not in page
    words = [
        "attest-result",
        trees / "evidence",
        "--key",
        tmp_path / "key.pub.pem",
        "--sign-with",
        tmp_path / "key.pem",
    ]
    copies = ["--repo", trees / "copy", "--against", trees / "theirs"]
    thirds = ["--common", trees / "third", "--common", trees / "fourth", "--claims", tmp_path / "claims.jsonl"]
    assert "8 values measured again, 0 of them different\n" in run(*words, "--reproduce", *copies, *thirds).output


def test_reviewers_of_code_read_what_the_share_is_of(trees: Path):
    words = ["scan", trees / "copy", "--against", trees / "theirs", "--common", trees / "third", "--format", "sarif"]
    assert "model.py holds 1 of it (without the 0." in run(*words).output


def test_thirds_without_another_side_are_refused(trees: Path):
    assert "need --against" in run("scan", trees / "copy", "--common", trees / "third").output
