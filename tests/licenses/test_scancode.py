"""The second engine. Its own program takes 0.7 GB, so ``scripts/scancode`` installs it apart and runs this file with it."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from known_license import license_words

from attest.cli import main
from attest.errors import InputError
from attest.licenses import scancode
from attest.licenses.scan import read_files
from attest.licenses.scancode import Disagreement, compare_with_scancode

FILES = {
    "LICENSE": license_words("Apache-2.0"),
    "a.py": "# SPDX-License-Identifier: GPL-2.0-or-later\n",
    "b.py": "# Some license that nobody knows\n",
    "silent.py": "x = 1\n",
}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    for name, text in FILES.items():
        (root / name).write_text(text)
    return root


def program(folder: Path, body: str) -> None:
    """A program named scancode, in a folder that is put on the path."""
    folder.mkdir(exist_ok=True)
    (folder / "scancode").write_text(f"#!{sys.executable}\nimport json, os, sys\n{body}\n")
    (folder / "scancode").chmod(0o755)


ANSWER = """
out, folder = sys.argv[sys.argv.index("--json") + 1], sys.argv[-1]
says = {"": "Apache-2.0", ".py": "GPL-2.0-only AND MIT"}
files = [
    {"path": f"files/{name}", "type": "file", "detected_license_expression_spdx": says[os.path.splitext(name)[1]]}
    for name in sorted(os.listdir(folder))
]
files[-1]["detected_license_expression_spdx"] = None
json.dump({"headers": [{"tool_version": "1\\x1b"}], "files": [{"path": "files", "type": "directory"}, *files]}, open(out, "w"))
"""


def test_where_the_engines_disagree(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path / "bin", ANSWER)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    found = compare_with_scancode(read_files(repository))
    assert (found.version, found.files, found.agreeing, found.silent) == ("1\ufffd", 3, 1, 1)
    assert found.disagreements == (Disagreement(path="a.py", attest=(), scancode=("MIT",)),)


def test_the_page_and_the_object_tell_of_it(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path / "bin", ANSWER)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    page = CliRunner().invoke(main, ["scan", str(repository), "--engine", "scancode"]).output
    assert page.endswith(
        "of 3 files with words on licenses both name the same in 1, none in 1, others in 1\n"
        "  a.py: attest none; scancode-toolkit MIT\n"
    )
    value = CliRunner().invoke(main, ["scan", str(repository), "--engine", "scancode", "--format", "json"]).output
    assert json.loads(value)["secondEngine"]["disagreements"] == [{"path": "a.py", "attest": [], "scancode": ["MIT"]}]


def test_it_sees_copies_under_other_names_in_a_folder_of_ours(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    seen = tmp_path / "seen"
    report = f"json.dump([sys.argv, os.getcwd(), dict(os.environ), os.listdir(sys.argv[-1])], open({str(seen)!r}, 'w'))"
    program(tmp_path / "bin", f"{report}\n{ANSWER}")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.chdir(repository)
    (repository / "license; $(x).py").write_text("# license")
    compare_with_scancode(read_files(repository))
    arguments, folder, environment, names = json.loads(seen.read_text())
    assert sorted(names) == ["000000", "000001.py", "000002.py", "000003.py"]
    assert str(repository) not in f"{arguments} {folder} {environment['HOME']}"
    assert "SECRET" not in environment
    assert not Path(folder).exists()


@pytest.mark.parametrize(
    "body", ["sys.exit(1)", "open(sys.argv[-2], 'w').write('{')", "open(sys.argv[-2], 'w').write('{\"files\": [3]}')"]
)
def test_an_engine_that_fails_is_one_error(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str
):
    program(tmp_path / "bin", body)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InputError) as caught:
        compare_with_scancode(read_files(repository))
    assert caught.value.code == "engine-failed"


def test_an_engine_that_hangs_is_ended(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    program(tmp_path / "bin", "import time; time.sleep(600)")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(scancode, "_START_SECONDS", 0.2)
    monkeypatch.setattr(scancode, "_SECONDS_A_FILE", 0)
    with pytest.raises(InputError) as caught:
        compare_with_scancode(read_files(repository))
    assert caught.value.code == "engine-failed"


def test_an_engine_that_is_not_there_and_too_many_files(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(scancode.sys, "executable", str(tmp_path / "python"))
    with pytest.raises(InputError) as caught:
        compare_with_scancode(read_files(repository))
    assert caught.value.code == "engine-missing"
    program(tmp_path, ANSWER)
    monkeypatch.setattr(scancode, "_MAX_FILES", 2)
    with pytest.raises(InputError) as caught:
        compare_with_scancode(read_files(repository))
    assert caught.value.code == "too-many-files"


@pytest.mark.interop
@pytest.mark.skipif(
    shutil.which("scancode", path=os.environ.get("ATTEST_SCANCODE", "")) is None, reason="not installed"
)
def test_the_real_program(repository: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", os.environ["ATTEST_SCANCODE"] + os.pathsep + os.environ["PATH"])
    (repository / "MODIFIED").write_text(license_words("MIT") + "\nNot on Sundays.\n")
    found = compare_with_scancode(read_files(repository))
    assert (found.version, found.files) == ("32.5.0", 4)
    assert found.agreeing >= 2
    assert {"LICENSE", "a.py"}.isdisjoint(one.path for one in found.disagreements)
