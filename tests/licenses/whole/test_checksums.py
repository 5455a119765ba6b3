from hashlib import sha256
from pathlib import Path

import pytest

from attest.licenses.scan import scan


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def told(root: Path, listed: str, name: str = "SHA256SUMS") -> list[tuple[str, str]]:
    (root / "a.py").write_text("a")
    (root / "sub").mkdir()
    (root / "sub" / "b.py").write_text("b")
    (root / "logo.bin").write_bytes(b"\0")
    (root / name).write_text(listed)
    found = scan(root).findings
    return [(one.code, one.text) for one in found if one.code in ("vendor-checksums-agree", "vendor-checksums-differ")]


@pytest.mark.parametrize("name", ["SHA256SUMS", "sha256sum.txt", "checklist.chk", "checksums.txt", "model.sha256"])
def test_a_list_that_holds(tmp_path: Path, name: str):
    listed = f"{digest('a').upper()}  ./a.py\r\n{digest('b')} *sub/b.py\n"
    words = "listed files: 2; with the listed SHA-256: 2, not read: 0, with another: 0"
    assert told(tmp_path, listed, name) == [("vendor-checksums-agree", words)]


def test_files_that_changed_are_named_and_those_that_were_not_read_are_counted(tmp_path: Path):
    listed = f"{digest('x')}  a.py\n{digest('b')}  sub/b.py\n{digest('c')}  logo.bin\n{digest('d')}  gone.py\nnoise\n"
    words = "listed files: 4; with the listed SHA-256: 1, not read: 2, with another: 1: a.py"
    assert told(tmp_path, listed) == [("vendor-checksums-differ", words)]


def test_a_list_names_nothing_outside_the_repository(tmp_path: Path):
    (tmp_path / "outside.py").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    assert told(root, f"{digest('secret')}  ../outside.py\n{digest('secret')}  {tmp_path}/outside.py\n") == []
