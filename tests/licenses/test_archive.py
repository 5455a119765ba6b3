import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from attest.errors import InputError
from attest.licenses import archive
from attest.licenses.readable import Skipped
from attest.licenses.scan import read_files, scan
from attest.licenses.source import Source

FILES = {"p/LICENSE": b"words", "p/a.py": b"# Copyright 2024 A\n"}


def zipped(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name, data in files.items():
            made.writestr(name, data)
    return path


def tarred(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as made:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    return path


KINDS = pytest.mark.parametrize("pack", [zipped, tarred])
Pack = Callable[[Path, dict[str, bytes]], Path]


def read(path: Path) -> dict[str | None, str]:
    items = list(read_files(path))
    return {item.path: item.reason if isinstance(item, Skipped) else item.data.decode() for item in items}


@KINDS
def test_an_archive_is_scanned_like_its_folder(pack: Pack, tmp_path: Path):
    folder = tmp_path / "folder"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    assert scan(pack(tmp_path / "archive", FILES)) == scan(folder)


@KINDS
@pytest.mark.parametrize("name", ["../a.py", "/etc/a.py", "a/../../b.py", "C:\\a.py", "a\\b.py", "a//b.py", "x" * 600])
def test_a_name_that_leads_out_is_not_read(pack: Pack, tmp_path: Path, name: str):
    assert read(pack(tmp_path / "archive", {name: b"x", "fine.py": b"y"})) == {None: "unsafe-name", "fine.py": "y"}


@KINDS
def test_a_name_that_cannot_be_printed_is_not_shown(pack: Pack, tmp_path: Path):
    assert read(pack(tmp_path / "archive", {"a\x1b[2J.py": b"x"})) == {None: "unprintable-name"}


@KINDS
def test_a_large_member_is_named_and_not_held(pack: Pack, tmp_path: Path):
    assert read(pack(tmp_path / "archive", {"a.py": bytes(3_000_000)})) == {"a.py": "too-large"}


def test_a_member_that_lies_about_its_size_is_read_up_to_the_limit(tmp_path: Path):
    path = zipped(tmp_path / "a.zip", {"a.py": b" " * 30_000_000})
    data = bytearray(path.read_bytes())
    directory = data.rindex(b"PK\x01\x02")
    data[directory + 24 : directory + 28] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.code == "damaged-archive"


@KINDS
def test_too_many_entries_and_too_many_bytes(pack: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = pack(tmp_path / "archive", {f"{number}.py": b"x" * 1000 for number in range(20)})
    for limit, value in (("MAX_ENTRIES", 10), ("MAX_BYTES", 5000)):
        with monkeypatch.context() as patched:
            patched.setattr(archive, limit, value)
            with pytest.raises(InputError) as caught:
                read(path)
        assert caught.value.code == "archive-too-large"


def test_links_and_devices_of_a_tar_are_not_followed(tmp_path: Path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as made:
        for name, kind in (
            ("link", tarfile.SYMTYPE),
            ("hard", tarfile.LNKTYPE),
            ("device", tarfile.CHRTYPE),
            ("pipe", tarfile.FIFOTYPE),
        ):
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, "/etc/passwd"
            made.addfile(member)
    assert read(path) == {"link": "link", "hard": "link", "device": "special-file", "pipe": "special-file"}


@KINDS
def test_a_damaged_archive_is_one_error(pack: Pack, tmp_path: Path):
    path = pack(tmp_path / "archive", {"a.py": bytes(range(256)) * 400, "b.py": b"b" * 5000})
    data = bytearray(path.read_bytes())
    data[40:400] = b"\xff" * 360
    path.write_bytes(data)
    if archive.is_archive(path):
        with pytest.raises(InputError) as caught:
            read(path)
        assert caught.value.code == "damaged-archive"


def test_of_two_members_with_one_name_the_last_counts(tmp_path: Path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as made:
        made.writestr("a.py", "first")
        with pytest.warns(UserWarning, match="Duplicate"):
            made.writestr("a.py", "second")
    assert [item.data for item in read_files(path) if isinstance(item, Source)] == [b"second"]


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_every_usual_compression_of_a_tar(tmp_path: Path, mode: str):
    path = tmp_path / "archive"
    with tarfile.open(path, mode) as made:
        for data in (b"first", b"second"):
            member = tarfile.TarInfo("a.py")
            member.size = len(data)
            made.addfile(member, io.BytesIO(data))
    assert read(path) == {"a.py": "second"}


def test_a_header_that_unpacks_to_a_gigabyte_is_not_unpacked(tmp_path: Path):
    """The standard library reads a header of any length into memory."""
    path = tmp_path / "a.tar.gz"
    member = tarfile.TarInfo("pax")
    member.type, member.size = tarfile.XHDTYPE, 2**30
    path.write_bytes(gzip.compress(member.tobuf(tarfile.USTAR_FORMAT)))
    assert not archive.is_archive(path)
    with tarfile.open(path, "w:gz") as made:
        made.addfile(tarfile.TarInfo("fine"))
        made.fileobj.write(member.tobuf(tarfile.USTAR_FORMAT))
    with pytest.raises(InputError) as caught:
        read(path)
    assert caught.value.code == "damaged-archive"


def test_a_bomb_of_many_members_ends_at_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Each is small; together they unpack to a thousand times the archive."""
    monkeypatch.setattr(archive, "MAX_BYTES", 20 * 1024 * 1024)
    bomb = {f"{number}.txt": bytes(b"a" * 1024 * 1024) for number in range(30)}
    with pytest.raises(InputError) as caught:
        read(zipped(tmp_path / "a.zip", bomb))
    assert caught.value.code == "archive-too-large"


def test_an_archive_in_an_archive_stays_closed(tmp_path: Path):
    inner = zipped(tmp_path / "inner.zip", {"a.py": b"x"}).read_bytes()
    assert read(zipped(tmp_path / "outer.zip", {"inner.zip": inner})) == {"inner.zip": "binary"}


def test_a_wheel_is_scanned_by_its_metadata(tmp_path: Path):
    wheel = zipped(
        tmp_path / "a-1-py3-none-any.whl", {"a-1.dist-info/METADATA": b"Name: a\nLicense-Expression: MIT\n\n"}
    )
    assert "MIT" in {finding.text for finding in scan(wheel).findings if finding.code == "declared-license"}
