import os
from pathlib import Path

import pytest

from attest.errors import InputError
from attest.licenses import walk
from attest.licenses.readable import Skipped
from attest.licenses.walk import read_repository

MEBIBYTE = 1024 * 1024


def read(root: Path) -> dict[str | None, str]:
    """Path to ``read`` or the reason; one of the paths that cannot be printed stands for all."""
    return {item.path: item.reason if isinstance(item, Skipped) else "read" for item in read_repository(root)}


def test_files_are_read_in_order_of_path(tmp_path: Path):
    for name in ("b/c.txt", "b/a.txt", "a.txt", "c/.hidden"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    assert list(read(tmp_path).items()) == [(name, "read") for name in ("a.txt", "b/a.txt", "b/c.txt", "c/.hidden")]


def test_links_are_never_followed(tmp_path: Path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("Copyright 2024 Secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "file").symlink_to(outside / "secret.txt")
    (root / "folder").symlink_to(outside)
    (root / "self").symlink_to(root)
    (root / "nowhere").symlink_to("missing")
    assert set(read(root).values()) == {"link"}


def test_the_folder_itself_may_be_a_link(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("a")
    (tmp_path / "link").symlink_to("real")
    assert read(tmp_path / "link") == {"a": "read"}


def test_special_files_are_not_opened(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    assert read(tmp_path) == {"pipe": "special-file"}


def test_version_control_folders_are_left_out(tmp_path: Path):
    (tmp_path / "sub" / ".git").mkdir(parents=True)
    (tmp_path / "sub" / ".git" / "config").write_text("x")
    assert read(tmp_path) == {"sub/.git": "version-control-folder"}


def test_binary_files_are_left_out(tmp_path: Path):
    (tmp_path / "early").write_bytes(b"a\0b")
    (tmp_path / "late").write_bytes(b"a" * 8192 + b"\0")
    assert read(tmp_path) == {"early": "binary", "late": "read"}


def test_large_files_are_left_out_and_license_files_have_a_larger_limit(tmp_path: Path):
    (tmp_path / "at.txt").write_bytes(b"a" * MEBIBYTE)
    (tmp_path / "over.txt").write_bytes(b"a" * (MEBIBYTE + 1))
    (tmp_path / "LICENSE").write_bytes(b"a" * 4 * MEBIBYTE)
    (tmp_path / "NOTICE").write_bytes(b"a" * (4 * MEBIBYTE + 1))
    assert read(tmp_path) == {"LICENSE": "read", "NOTICE": "too-large", "at.txt": "read", "over.txt": "too-large"}


def test_a_file_is_read_whole(tmp_path: Path):
    data = os.urandom(500_000).replace(b"\0", b"1")
    (tmp_path / "a").write_bytes(data)
    (source,) = read_repository(tmp_path)
    assert not isinstance(source, Skipped)
    assert source.raw == data


@pytest.mark.parametrize(
    "name", [b"new\nline", b"escape\x1b[2J", "\u202etxt.exe".encode(), b"not-utf-8-\xff", b"\xc2\x85"]
)
def test_names_that_cannot_be_printed_are_left_out(tmp_path: Path, name: bytes):
    (tmp_path / "fine").write_text("a")
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_text("a")
    assert read(tmp_path) == {"fine": "read", None: "unprintable-name"}


def test_deep_folders_end_at_the_longest_path(tmp_path: Path):
    folder = tmp_path
    for _ in range(300):
        folder = folder / "d"
        folder.mkdir()
    (folder / "deep").write_text("a")
    assert read(tmp_path) == {None: "path-too-long"}


def test_a_swap_during_the_walk_leads_nowhere(tmp_path: Path):
    """Between the listing of a folder and the opening of what it listed, its author has time for one more trick."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("secret")
    root = tmp_path / "root"
    (root / "folder").mkdir(parents=True)
    for name in ("0-first", "file", "pipe"):
        (root / name).write_text("a")
    walked = read_repository(root)
    assert next(walked).path == "0-first"
    (root / "folder").rmdir()
    (root / "folder").symlink_to(outside)
    (root / "file").unlink()
    (root / "file").symlink_to(outside / "secret")
    (root / "pipe").unlink()
    os.mkfifo(root / "pipe")
    assert list(walked) == [
        Skipped(path="file", reason="unreadable"),
        Skipped(path="folder", reason="unreadable"),
        Skipped(path="pipe", reason="special-file"),
    ]


@pytest.mark.parametrize("name", ["missing", "file"])
def test_only_a_folder_can_be_scanned(tmp_path: Path, name: str):
    (tmp_path / "file").write_text("a")
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert caught.value.code == "no-repository"


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(walk, "MAX_ENTRIES", 3)
    for number in range(4):
        (tmp_path / str(number)).write_text("a")
    with pytest.raises(InputError) as caught:
        read(tmp_path)
    assert caught.value.code == "too-many-files"


def test_descriptors_are_closed(tmp_path: Path):
    for number in range(50):
        (tmp_path / f"d{number}").mkdir()
        (tmp_path / f"d{number}" / "a").write_text("a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    read(tmp_path)
    next(iter(read_repository(tmp_path)))
    assert len(list(Path("/proc/self/fd").iterdir())) == before
