"""Clones that lack a part of their history: the rest is read, and that something lacks is said."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from git_repository import commit, git
from programs import program

from attest.cli import main
from attest.errors import InputError
from attest.finding import Finding
from attest.licenses.git import history_files, notice_changes
from attest.licenses.source import Source

OLD = "# Copyright 2024 Upstream Team\n" + program(1, 2, 3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("history") / "whole"
    commit(root, {"a.py": OLD, "big.py": program(*range(40, 60))})
    commit(root, {"a.py": program(1, 2, 4), "lib/b.py": program(7, 8)})
    git(root, "config", "uploadpack.allowFilter", "true")
    return root


def clone(whole: Path, to: Path, *words: str) -> Path:
    git(to.parent, "clone", "--quiet", "--no-checkout", *words, f"file://{whole}", str(to))
    return to


def read(repository: Path) -> tuple[list[str], list[Finding]]:
    """Paths of the versions that were read, and what was found of the others."""
    items = list(history_files(repository))
    paths = [item.path for item in items if isinstance(item, Source)]
    return sorted(paths), [finding for item in items if not isinstance(item, Source) for finding in item.findings]


def incomplete(missing: int, cut: int = 0) -> list[Finding]:
    text = f"objects that the history names and the repository lacks: {missing}; commits at which it is cut off: {cut}"
    return [Finding(code="history-incomplete", path=".", line=None, text=text)]


def loose(repository: Path, name: str) -> Path:
    """Where git keeps an object that no pack holds."""
    id_ = git(repository, "rev-parse", name)
    return repository / ".git" / "objects" / id_[:2] / id_[2:]


def test_a_whole_history_has_no_finding(whole: Path):
    assert read(whole) == (["a.py", "a.py", "big.py", "lib/b.py"], [])


def test_notices_say_where_files_of_a_change_lack(whole: Path, tmp_path: Path):
    partial = clone(whole, tmp_path / "partial", "--filter=blob:limit=5")
    assert [finding.code for finding in notice_changes(whole, "HEAD")[1]] == ["notice-removed"]
    changes, findings = notice_changes(partial, "HEAD")
    assert changes == ()
    assert findings == tuple(incomplete(4))


def test_a_move_without_a_change_is_followed_where_files_lack(tmp_path: Path):
    root = tmp_path / "whole"
    commit(root, {"a.py": OLD, "big.py": program(*range(40, 60)), "c.py": "1"})
    commit(root, {"a.py": None, "lib/a.py": OLD, "big.py": None, "large.py": program(*range(39, 59))})
    commit(root, {"lib/a.py": program(1, 2, 3)})
    git(root, "config", "uploadpack.allowFilter", "true")
    changes, findings = notice_changes(clone(root, tmp_path / "partial", "--filter=blob:limit=5k"), "HEAD")
    assert [change.path for change in changes] == ["lib/a.py"]
    assert [finding.code for finding in findings] == ["history-incomplete", "notice-removed"]


def test_a_clone_without_its_large_files(whole: Path, tmp_path: Path):
    partial = clone(whole, tmp_path / "partial", "--filter=blob:limit=5k")
    assert read(partial) == (["a.py", "a.py", "lib/b.py"], incomplete(1))


def test_a_clone_without_any_file_or_folder(whole: Path, tmp_path: Path):
    assert read(clone(whole, tmp_path / "blobless", "--filter=blob:none")) == ([], incomplete(4))
    assert read(clone(whole, tmp_path / "treeless", "--filter=tree:0")) == ([], incomplete(2))


def test_a_shallow_clone_is_cut_off_at_a_commit(whole: Path, tmp_path: Path):
    shallow = clone(whole, tmp_path / "shallow", "--depth=1")
    assert read(shallow) == (["a.py", "big.py", "lib/b.py"], incomplete(0, cut=1))


def test_a_snapshot_that_lacks_one_object_and_a_branch_that_leads_nowhere(tmp_path: Path):
    commit(tmp_path, {"a.py": OLD, "b.py": program(4)})
    loose(tmp_path, "HEAD:b.py").unlink()
    (tmp_path / ".git" / "refs" / "heads" / "gone").write_text("1" * 40 + "\n")
    assert read(tmp_path) == (["a.py"], incomplete(2))


def test_a_repository_of_branches_that_lead_nowhere(tmp_path: Path):
    commit(tmp_path, {"a.py": OLD})
    loose(tmp_path, "HEAD").unlink()
    assert read(tmp_path) == ([], incomplete(1))


def test_an_object_that_is_there_and_damaged_is_an_error(tmp_path: Path):
    commit(tmp_path, {"a.py": OLD})
    path = loose(tmp_path, "HEAD:a.py")
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert caught.value.code == "damaged-repository"


def test_code_is_looked_for_in_the_rest_and_the_evidence_says_so(whole: Path, tmp_path: Path):
    partial = clone(whole, tmp_path / "partial", "--filter=blob:limit=5k")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.py").write_text(program(1, 2, 3))
    words = ["scan", tmp_path / "mine", "--against", partial, "--against-history", "--evidence", tmp_path / "evidence"]
    result = CliRunner().invoke(main, list(map(str, words)))
    assert result.exit_code == 0, result.output
    assert "of the other side [history-incomplete]: objects that the history names and the repository lacks: 1" in (
        result.output
    )
    assert "a notice of that one that this one does not have: # Copyright 2024 Upstream Team" in result.output
    origins = json.loads((tmp_path / "evidence" / "statement.json").read_bytes())["predicate"]["origins"]
    assert [finding["code"] for finding in origins["findings"]] == ["history-incomplete"]
    again = ["reproduce", tmp_path / "evidence", "--repo", tmp_path / "mine", "--against", partial]
    assert CliRunner().invoke(main, list(map(str, again))).exit_code == 0
