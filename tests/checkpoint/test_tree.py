"""The files of a checkpoint: found without leaving the folder, read without missing that one changes."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from attest.checkpoint import tree
from attest.checkpoint.tree import MAX_IGNORED, MAX_PATH, open_file, read_tree
from attest.errors import CheckpointError

LINK = "link-out-of-tree"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "checkpoint"
    (made / "sub").mkdir(parents=True)
    (made / "a.txt").write_bytes(b"0123456789")
    (made / "sub" / "b.txt").write_bytes(b"b")
    (tmp_path / "secret.txt").write_bytes(b"secret")
    return made


def paths(folder: Path) -> list[str]:
    return [file.path for file in read_tree(folder).files]


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(CheckpointError) as caught:
        action()
    return caught.value.code


def test_files_with_their_sizes_in_order_of_their_bytes(folder: Path):
    for name in ("Z", "é", "z"):
        (folder / name).touch()
    found = read_tree(folder)
    assert [(file.path, file.size) for file in found.files] == [
        ("Z", 0), ("a.txt", 10), ("sub/b.txt", 1), ("z", 0), ("é", 0),
    ]  # fmt: skip
    assert (found.root, found.ignored) == (folder.resolve(), ())


def test_a_single_file_is_a_tree(folder: Path):
    found = read_tree(folder / "a.txt")
    assert [(file.path, file.size) for file in found.files] == [("a.txt", 10)]
    assert found.root == folder.resolve()


def test_the_folder_itself_may_be_a_link(folder: Path, tmp_path: Path):
    (tmp_path / "link").symlink_to(folder)
    assert paths(tmp_path / "link") == ["a.txt", "sub/b.txt"]
    assert read_tree(tmp_path / "link").root == folder.resolve()


def test_the_single_file_itself_may_be_a_link(folder: Path, tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "link").symlink_to(folder / "a.txt")
    found = read_tree(tmp_path / "elsewhere" / "link")
    with open_file(found.root, found.files[0].path) as stream:
        assert stream.read() == b"0123456789"


def test_a_link_inside_the_tree_is_read_as_its_target(folder: Path):
    (folder / "link").symlink_to("sub/b.txt")
    (folder / "sub" / "link").symlink_to(folder / "link")
    assert {file.path: file.size for file in read_tree(folder).files}["sub/link"] == 1
    with open_file(folder, "sub/link") as stream:
        assert stream.read() == b"b"


def test_hard_links_are_files(folder: Path, tmp_path: Path):
    os.link(folder / "a.txt", folder / "same.txt")
    os.link(tmp_path / "secret.txt", folder / "also.txt")
    assert paths(folder) == ["a.txt", "also.txt", "same.txt", "sub/b.txt"]
    with open_file(folder, "same.txt") as stream:
        assert stream.read() == b"0123456789"


def test_version_control_folders_are_left_out_and_reported(folder: Path):
    for name in (".git", "sub/.git", ".hg", ".svn"):
        (folder / name).mkdir()
        (folder / name / "config\n").write_text("left alone, whatever its name")
    (folder / "sub" / ".gitignore").touch()
    found = read_tree(folder)
    assert found.ignored == (".git", ".hg", ".svn", "sub/.git")
    assert [file.path for file in found.files] == ["a.txt", "sub/.gitignore", "sub/b.txt"]


def test_a_file_named_as_a_version_control_folder_is_a_file(folder: Path):
    (folder / ".git").write_text("gitdir: elsewhere")
    assert ".git" in paths(folder)


LINKS = {
    "to a file outside": "../../secret.txt",
    "to a file outside by an absolute path": "/etc/passwd",
    "to a folder inside": "../sub",
    "to a folder outside": "/",
    "to itself": "link",
    "to nothing": "nothing",
    "to a device": "/dev/zero",
}


@pytest.mark.parametrize("target", LINKS.values(), ids=LINKS)
def test_links_that_lead_elsewhere_are_refused(folder: Path, target: str):
    (folder / "sub" / "link").symlink_to(target)
    assert code_of(lambda: read_tree(folder)) == LINK
    with pytest.raises(CheckpointError) as caught, open_file(folder, "sub/link"):
        pytest.fail("opened")
    assert caught.value.code == LINK


def test_a_loop_of_links_is_refused(folder: Path):
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    assert code_of(lambda: read_tree(folder)) == LINK
    assert code_of(lambda: read_tree(folder / "one")) == "no-checkpoint"


def test_a_chain_of_links_that_ends_outside_is_refused(folder: Path):
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("../secret.txt")
    assert code_of(lambda: read_tree(folder)) == LINK


def test_a_folder_that_became_a_link_is_not_followed(folder: Path, tmp_path: Path):
    shutil.rmtree(folder / "sub")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "b.txt").write_bytes(b"b")
    (folder / "sub").symlink_to(tmp_path / "outside")
    with pytest.raises(CheckpointError) as caught, open_file(folder, "sub/b.txt"):
        pytest.fail("opened")
    assert caught.value.code == LINK


def test_a_pipe_is_refused_and_not_waited_for(folder: Path):
    os.mkfifo(folder / "pipe")
    assert code_of(lambda: read_tree(folder)) == "special-file"
    with pytest.raises(CheckpointError) as caught, open_file(folder, "pipe"):
        pytest.fail("opened")
    assert caught.value.code == "special-file"


def test_a_socket_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(folder)  # a socket's path is at most 107 bytes long
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        assert code_of(lambda: read_tree(folder)) == "special-file"


def test_a_folder_is_no_file(folder: Path):
    with pytest.raises(CheckpointError) as caught, open_file(folder, "sub"):
        pytest.fail("opened")
    assert caught.value.code == "special-file"


NAMES = {
    "not UTF-8": b"\xff.safetensors",
    "overlong UTF-8": b"\xc0\xaf",
    "newline": b"a\nb",
    "carriage return": b"a\rb",
    "tab": b"a\tb",
    "escape sequence": b"\x1b]0;title\x07",
    "delete": b"a\x7f",
    "C1 control": "a\x9b2J".encode(),
    "direction override": "a\u202etxt".encode(),
    "zero-width space": "a\u200b".encode(),
    "line separator": "a\u2028b".encode(),
    "no-break space": "a\u00a0b".encode(),
    "private use": "\ue000".encode(),
    "backslash": b"..\\..\\evil",
}
DRIVES = ("C:evil", "c:", "Z:\u00e9")


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_names_that_cannot_be_signed_or_shown_are_refused(folder: Path, name: bytes):
    (folder / "sub" / os.fsdecode(name)).touch()
    assert code_of(lambda: read_tree(folder)) == "unsafe-name"


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_neither_folders_nor_single_files_may_have_such_a_name(folder: Path, name: bytes):
    (folder / os.fsdecode(name)).mkdir()
    assert code_of(lambda: read_tree(folder)) == "unsafe-name"
    assert code_of(lambda: read_tree(folder / os.fsdecode(name))) == "unsafe-name"
    (folder / "sub" / os.fsdecode(name)).touch()
    assert code_of(lambda: read_tree(folder / "sub" / os.fsdecode(name))) == "unsafe-name"


@pytest.mark.parametrize("name", DRIVES)
def test_a_name_that_begins_as_a_drive_is_refused(folder: Path, name: str):
    (folder / name).touch()
    assert code_of(lambda: read_tree(folder)) == "unsafe-name"


@pytest.mark.parametrize("name", ["a b", "ab:c", "é", "e\u0301", "模型", "🙂", "$(rm -rf)", "'\"`", "-rf", "~", "..."])
def test_other_names_are_taken_as_they_are(folder: Path, name: str):
    (folder / name).touch()
    assert name in paths(folder)


def test_a_path_that_is_too_long_for_a_statement_is_refused(folder: Path):
    long = folder
    while len(str(long.relative_to(folder))) <= MAX_PATH:
        long /= "d" * 200
    long.mkdir(parents=True)
    assert code_of(lambda: read_tree(folder)) == "unsafe-name"


def test_too_many_files_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tree, "MAX_FILES", 3)
    assert len(read_tree(folder).files) == 2
    (folder / "empty").mkdir()
    assert code_of(lambda: read_tree(folder)) == "too-many-files"


def test_too_many_version_control_folders_are_refused(folder: Path):
    for number in range(MAX_IGNORED):
        (folder / "sub" / str(number) / ".git").mkdir(parents=True)
    assert len(read_tree(folder).ignored) == MAX_IGNORED
    (folder / ".git").mkdir()
    assert code_of(lambda: read_tree(folder)) == "too-many-files"


def test_an_empty_folder_is_refused(tmp_path: Path):
    (tmp_path / "empty" / ".git").mkdir(parents=True)
    (tmp_path / "empty" / "sub").mkdir()
    assert code_of(lambda: read_tree(tmp_path / "empty")) == "empty-checkpoint"


@pytest.mark.parametrize("name", ["missing", "a.txt/below", "sub/../missing"])
def test_what_is_not_there_is_refused(folder: Path, name: str):
    assert code_of(lambda: read_tree(folder / name)) == "no-checkpoint"


def test_a_path_that_the_system_cannot_take_is_refused(folder: Path):
    assert code_of(lambda: read_tree(folder / ("a" * 300))) == "cannot-read"


@pytest.mark.parametrize("path", ["../secret.txt", "sub/../../secret.txt", "/etc/passwd", "..", "a.txt\0"])
def test_paths_that_lead_out_are_refused(folder: Path, path: str):
    with pytest.raises(CheckpointError) as caught, open_file(folder, path):
        pytest.fail("opened")
    assert caught.value.code == "unsafe-path"


@pytest.mark.parametrize("path", ["missing", "a.txt/below", "a" * 300])
def test_files_that_cannot_be_opened_are_refused(folder: Path, path: str):
    with pytest.raises(CheckpointError) as caught, open_file(folder, path):
        pytest.fail("opened")
    assert caught.value.code == "cannot-read"


def test_a_disk_that_fails_is_reported():
    """Reading one's own memory at 0 fails as a broken disk does: the file opens, the read is an input/output error."""
    with pytest.raises(CheckpointError) as caught, open_file(Path("/proc/self"), "mem") as stream:
        stream.read(1)
    assert caught.value.code == "cannot-read"
    assert "Input/output error" in str(caught.value)


UNREADABLE = """
import os, sys
from pathlib import Path
from attest.checkpoint.tree import open_file, read_tree
from attest.errors import CheckpointError
os.setuid(65534)
def read(name):
    with open_file(folder, name) as stream:
        return stream.read().decode()
def tell(action, argument):
    try:
        print(action(argument))
    except CheckpointError as error:
        print(error.code)
folder = Path(sys.argv[1])
tell(read, "readable.txt")
tell(read, "closed.txt")
tell(read_tree, folder)
tell(read_tree, folder / "sub" / "b.txt")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="becoming a user without rights takes root")
def test_files_and_folders_without_permission_are_refused():
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "readable.txt").write_text("text")
        (folder / "closed.txt").touch(mode=0o000)
        (folder / "sub").mkdir()
        (folder / "sub" / "b.txt").touch()
        (folder / "sub").chmod(0o000)
        folder.chmod(0o755)
        done = subprocess.run([sys.executable, "-c", UNREADABLE, folder], capture_output=True, text=True, check=False)
    assert (done.stdout.split(), done.stderr) == (["text", "cannot-read", "cannot-read", "cannot-read"], "")
