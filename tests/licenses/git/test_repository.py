import shutil
from pathlib import Path

import pytest
from git_repository import commit, git

from attest.errors import InputError
from attest.licenses.git import history_files, is_git_repository, notice_changes
from attest.licenses.readable import Skipped
from attest.licenses.scan import read_files, scan
from attest.licenses.source import Source

HEADER = "# Copyright 2024 Somebody\n"


def texts(root: Path, revision: str | None = None) -> dict[str, str]:
    return {file.path: file.data.decode() for file in read_files(root, revision) if isinstance(file, Source)}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    commit(root, {"a.py": HEADER + "x = 1\n", "b/LICENSE": "words"})
    git(root, "tag", "first")
    commit(root, {"a.py": "x = 2\n", "c.py": "y"})
    return root


def bare(root: Path, target: Path) -> Path:
    git(root.parent, "clone", "--quiet", "--bare", "--no-local", str(root), str(target))
    return target


def test_a_tree_at_a_revision(repository: Path):
    assert texts(repository, "first") == {"a.py": HEADER + "x = 1\n", "b/LICENSE": "words"}
    assert (
        texts(repository, "HEAD") == texts(repository, "main") == {"a.py": "x = 2\n", "b/LICENSE": "words", "c.py": "y"}
    )


def test_a_commit_by_its_id_whole_or_short(repository: Path):
    first = git(repository, "rev-parse", "first")
    assert texts(repository, first) == texts(repository, first[:9]) == texts(repository, "first")


def test_a_bare_repository_is_read_at_its_head(repository: Path, tmp_path: Path):
    mirror = bare(repository, tmp_path / "mirror.git")
    assert is_git_repository(mirror)
    assert texts(mirror) == texts(repository, "main")


def test_packed_and_loose_references_and_objects_are_read_alike(repository: Path):
    before = texts(repository, "first")
    git(repository, "gc", "--quiet")
    assert not (repository / ".git" / "refs" / "tags" / "first").exists()
    assert texts(repository, "first") == before


def test_a_scan_of_a_revision_is_the_scan_of_its_folder(repository: Path):
    assert scan(repository, revision="main") == scan_without_git(repository)


def scan_without_git(root: Path):
    copy = root.parent / "copy"
    shutil.copytree(root, copy, ignore=shutil.ignore_patterns(".git"))
    return scan(copy)


@pytest.mark.parametrize("revision", ["missing", "--output=x", "HEAD~1", "refs/../HEAD", "", "a b", "0" * 40])
def test_a_revision_that_is_none_is_an_error(repository: Path, revision: str):
    with pytest.raises(InputError) as caught:
        texts(repository, revision)
    assert caught.value.code in ("unknown-revision", "damaged-repository")


def test_links_submodules_and_pointers_are_named_and_not_followed(tmp_path: Path):
    root = tmp_path / "r"
    commit(root, {"a.bin": "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"})
    (root / "link").symlink_to("/etc/passwd")
    git(root, "add", "link")
    git(root, "update-index", "--add", "--cacheinfo", f"160000,{git(root, 'rev-parse', 'HEAD')},module")
    git(root, "commit", "--quiet", "--message=x")
    found = {item.path: item.reason for item in read_files(root, "main") if isinstance(item, Skipped)}
    assert found == {"a.bin": "lfs-pointer", "link": "link", "module": "submodule"}


def test_no_setting_of_the_repository_is_obeyed(repository: Path, tmp_path: Path):
    """Each of these names a program that would leave a mark; a plain git log or diff would run some of them."""
    mark = tmp_path / "mark"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\necho ran >> {mark}\ncat\n")
    program.chmod(0o755)
    directory = repository / ".git"
    for hook in ("post-checkout", "pre-auto-gc", "reference-transaction", "fsmonitor-watchman", "post-index-change"):
        shutil.copy(program, directory / "hooks" / hook)
    keys = (
        "core.fsmonitor", "core.pager", "pager.log", "core.sshCommand", "core.gitProxy", "core.askPass", "core.editor",
        "core.alternateRefsCommand", "diff.external", "diff.x.textconv", "diff.x.command", "filter.x.smudge", "filter.x.clean",
        "uploadpack.packObjectsHook", "gpg.program", "credential.helper", "interactive.diffFilter",
    )  # fmt: skip
    for key in keys:
        git(repository, "config", key, str(program))
    for key, value in {
        "alias.ls-tree": f"!{program}", "alias.log": f"!{program}", "core.hooksPath": str(directory / "hooks"),
        "extensions.partialClone": "origin", "remote.origin.promisor": "true", "remote.origin.url": f"ext::{program}",
        "protocol.ext.allow": "always", "log.showSignature": "true", "core.attributesFile": str(tmp_path / "attributes"),
        "include.path": "/dev/zero/none",
    }.items():  # fmt: skip
        git_config = directory / "config"
        section, _, name = key.rpartition(".")
        head, _, sub = section.partition(".")
        git_config.write_text(
            git_config.read_text() + f'\n[{head}{f" {chr(34)}{sub}{chr(34)}" if sub else ""}]\n\t{name} = "{value}"\n'
        )
    (directory / "info").mkdir(exist_ok=True)
    (directory / "info" / "attributes").write_text("* diff=x filter=x\n")
    (tmp_path / "attributes").write_text("* diff=x filter=x\n")
    assert texts(repository, "main")["a.py"] == "x = 2\n"
    assert [change.path for change in notice_changes(repository, "main")[0]] == ["a.py"]
    assert len(list(history_files(repository))) == 4
    scan(repository, history=True)
    assert not mark.exists()


def test_a_missing_file_is_not_fetched_and_is_named(repository: Path):
    blob = git(repository, "rev-parse", "HEAD:a.py")
    (repository / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    found = list(read_files(repository, "main"))
    assert [(item.path, item.reason) for item in found if isinstance(item, Skipped)] == [("a.py", "unreadable")]
    assert len(found) > 1


def test_a_missing_folder_is_an_error(repository: Path):
    tree = git(repository, "rev-parse", "HEAD^{tree}")
    (repository / ".git" / "objects" / tree[:2] / tree[2:]).unlink()
    with pytest.raises(InputError) as caught:
        texts(repository, "main")
    assert caught.value.code == "damaged-repository"


def test_objects_that_lie_elsewhere_are_refused(repository: Path, tmp_path: Path):
    shared = tmp_path / "shared.git"
    git(tmp_path, "clone", "--quiet", "--bare", "--shared", str(repository), str(shared))
    linked = bare(repository, tmp_path / "linked.git")
    shutil.move(linked / "objects", tmp_path / "objects")
    (linked / "objects").symlink_to(tmp_path / "objects")
    for root in (shared, linked):
        with pytest.raises(InputError) as caught:
            texts(root, "main")
        assert caught.value.code == "objects-elsewhere"


def test_a_corrupt_pack_is_an_error(repository: Path):
    git(repository, "gc", "--quiet")
    (pack,) = (repository / ".git" / "objects" / "pack").glob("*.pack")
    pack.chmod(0o644)
    data = bytearray(pack.read_bytes())
    data[12:-20] = bytes(len(data) - 32)
    pack.write_bytes(data)
    with pytest.raises(InputError) as caught:
        texts(repository, "main")
    assert caught.value.code == "damaged-repository"


def test_a_shallow_clone_has_a_history_up_to_its_border(repository: Path, tmp_path: Path):
    shallow = tmp_path / "shallow"
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{repository}", str(shallow))
    assert notice_changes(shallow, "main")[0] == ()
    assert "history-incomplete" in {finding.code for finding in scan(shallow, history=True).findings}
    assert "history-incomplete" not in {finding.code for finding in scan(repository, history=True).findings}
    assert {file.path for file in history_files(shallow)} == {"a.py", "b/LICENSE", "c.py", None}


def test_a_folder_is_no_git_repository(tmp_path: Path):
    assert not is_git_repository(tmp_path)
    with pytest.raises(InputError) as caught:
        texts(tmp_path, "main")
    assert caught.value.code == "no-repository"
