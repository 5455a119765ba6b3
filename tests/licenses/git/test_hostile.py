"""Repositories made to make git wait, fill the memory, or leave its folder."""

import os
import subprocess
from pathlib import Path

import pytest
from git_repository import AUTHOR, commit, git
from time_limit import no_longer_than

from attest.errors import InputError
from attest.licenses.git import repository as module
from attest.licenses.readable import Skipped
from attest.licenses.scan import read_files, scan


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    commit(tmp_path / "r", {"LICENSE": "words", "a.py": "x = 1\n"})
    return tmp_path / "r"


def refused(root: Path, revision: str = "main") -> str:
    with no_longer_than(120), pytest.raises(InputError) as caught:
        list(read_files(root, revision))
    return caught.value.code


def tree(root: Path, rows: bytes) -> str:
    """Id of a tree of any rows, which git itself would not make."""
    done = subprocess.run(
        ["git", "hash-object", "-t", "tree", "-w", "--stdin", "--literally"],  # noqa: S607
        input=rows,
        cwd=root,
        env=AUTHOR,
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


def commit_of(root: Path, id_: str) -> str:
    made = git(root, "commit-tree", id_, "-m", "x")
    git(root, "update-ref", "refs/heads/main", made)
    return made


def test_trees_in_trees_that_unfold_to_ten_thousand_million_files(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_MAX_OUTPUT", 1024 * 1024)
    rows = b"100644 a.py\0" + bytes.fromhex(git(repository, "rev-parse", "HEAD:a.py"))
    for _ in range(10):
        below = bytes.fromhex(tree(repository, rows))
        rows = b"".join(b"40000 %d\0" % name + below for name in range(10))
    commit_of(repository, tree(repository, rows))
    assert refused(repository) == "too-much-git"


def test_git_that_takes_too_long_is_ended(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_TIME_LIMIT", 0.0)
    assert refused(repository) == "too-much-git"


@pytest.mark.parametrize("name", ["..", ".", ".git"])
def test_a_tree_whose_names_lead_out_is_not_shown(repository: Path, name: str):
    blob = bytes.fromhex(git(repository, "rev-parse", "HEAD:a.py"))
    folder = bytes.fromhex(tree(repository, b"100644 passwd\0" + blob))
    commit_of(repository, tree(repository, f"40000 {name}\0".encode() + folder + b"100644 fine.py\0" + blob))
    items = list(read_files(repository, "main"))
    assert [item.path for item in items] == [None, "fine.py"]
    assert isinstance(items[0], Skipped)
    assert items[0].reason == "unsafe-name"


@pytest.mark.parametrize("place", ["pack/pack-1.idx", "info/packs", "ab/cdef"])
def test_a_pipe_among_the_objects_is_not_waited_for(repository: Path, place: str):
    path = repository / ".git" / "objects" / place
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    assert refused(repository) == "objects-elsewhere"


def test_an_object_that_is_a_link_is_not_followed(repository: Path):
    id_ = git(repository, "rev-parse", "HEAD:a.py")
    path = repository / ".git" / "objects" / id_[:2] / id_[2:]
    path.unlink()
    path.symlink_to("/etc/passwd")
    assert refused(repository) == "objects-elsewhere"


def test_references_that_are_pipes_links_or_noise_name_nothing(repository: Path):
    directory = repository / ".git"
    (directory / "packed-refs").write_bytes(b"\xff\0" * 1000 + b"\n" + b"0" * 40 + b" refs/heads/$(x)\n")
    os.mkfifo(directory / "refs" / "heads" / "pipe")
    (directory / "refs" / "heads" / "link").symlink_to("/etc/passwd")
    (directory / "refs" / "heads" / "loop").symlink_to(".")
    for revision in ("pipe", "link", "loop", "loop/main", "$(x)"):
        assert refused(repository, revision) == "unknown-revision"
    assert {item.path for item in read_files(repository, "main")} == {"LICENSE", "a.py"}


@pytest.mark.parametrize("head", [b"", b"ref: ../../../etc/passwd", b"\xff" * 100, b"0" * 40])
def test_a_head_that_names_nothing_is_an_error(repository: Path, tmp_path: Path, head: bytes):
    bare = tmp_path / "bare.git"
    git(tmp_path, "clone", "--quiet", "--bare", "--no-local", str(repository), str(bare))
    (bare / "HEAD").write_bytes(head)
    with pytest.raises(InputError) as caught:
        scan(bare)
    assert caught.value.code in ("unknown-revision", "damaged-repository")


def test_a_file_named_git_that_leads_elsewhere_is_not_followed(repository: Path, tmp_path: Path):
    work = tmp_path / "work"
    work.mkdir()
    (work / ".git").write_text(f"gitdir: {repository / '.git'}\n")
    (work / "a.py").write_text("x")
    assert refused(work) == "no-repository"
    assert {item.path for item in read_files(work)} == {".git", "a.py"}


def test_a_truncated_object_is_an_error(repository: Path):
    id_ = git(repository, "rev-parse", "HEAD:a.py")
    path = repository / ".git" / "objects" / id_[:2] / id_[2:]
    path.chmod(0o644)
    path.write_bytes(path.read_bytes()[:10])
    assert refused(repository) == "damaged-repository"
