"""Files that whoever made a repository chose to be awkward: each is a finding, a reason or an error, and soon."""

import os
from pathlib import Path

import pytest
from known_license import license_words
from time_limit import no_longer_than

from attest.licenses.scan import scan

MIT = license_words("MIT")
GIBIBYTE = 1024 * 1024 * 1024


def texts(root: Path, code: str) -> list[str]:
    return [finding.text for finding in scan(root).findings if finding.code == code]


@pytest.fixture(autouse=True)
def limited():
    with no_longer_than(120):
        yield


def test_a_gibibyte_of_text_is_named_and_not_read(tmp_path: Path):
    for name in ("LICENSE", "words.txt", "model.gguf", "model.safetensors"):
        with (tmp_path / name).open("wb") as file:
            file.truncate(GIBIBYTE)
    result = scan(tmp_path)
    assert result.files_skipped == {"too-large": 2, "weights": 2}
    assert texts(tmp_path, "license-file-not-read") == ["too-large"]
    assert len(texts(tmp_path, "declaration-not-read")) == 2


def test_a_minified_program_keeps_its_comment_and_makes_no_noise(tmp_path: Path):
    code = "".join(f"function a{n}(c){{return(c)*{n}}};" for n in range(10_000, 30_000))
    (tmp_path / "a.min.js").write_text(f"/*! Copyright (c) 2024 Somebody | MIT License */{code}")
    assert [text[:42] for text in texts(tmp_path, "copyright")] == ["/*! Copyright (c) 2024 Somebody | MIT Lice"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("ending", ["\n", "\r\n", "\r"])
def test_a_license_is_found_in_every_usual_encoding_and_line_ending(tmp_path: Path, encoding: str, ending: str):
    text = MIT.replace("\n", ending)
    mark = b"\xff\xfe" if encoding == "utf-16-le" else b""
    (tmp_path / "LICENSE").write_bytes(mark + text.encode(encoding))
    assert [found.partition(":")[0] for found in texts(tmp_path, "license-text")] == ["MIT"]


def test_a_notice_in_several_encodings_at_once(tmp_path: Path):
    han = "\u7248\u6743\u6240\u6709 Copyright 2024 \u534e\u4e3a"
    (tmp_path / "NOTICE").write_bytes(
        b"Copyright 2023 A\n" + han.encode("gb18030") + b"\n" + han.encode() + b"\n\xff\xfe"
    )
    found = texts(tmp_path, "copyright")
    assert found[0] == "Copyright 2023 A"
    assert all("Copyright 2024" in text for text in found[1:])


@pytest.mark.parametrize("trick", ["\u202e", "\u2066", "\u200b", "\u00ad", "\ufeff", "\u0301"])
def test_a_sign_that_nobody_sees_makes_a_license_no_other_and_is_kept_from_its_name(tmp_path: Path, trick: str):
    """Signs inside a word change it; a reader who sees the same text must not be told that it is the same."""
    (tmp_path / "LICENSE").write_text(MIT.replace("without restriction", f"with{trick}out restriction"))
    assert texts(tmp_path, "license-text") == []


def test_letters_of_another_script_are_other_letters(tmp_path: Path):
    (tmp_path / "LICENSE").write_text(MIT.replace("without restriction", "with\u043eut restriction"))
    assert texts(tmp_path, "license-text") == []
    assert texts(tmp_path, "license-text-changed") != []


def test_loops_of_links_and_links_to_devices_end(tmp_path: Path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "up").symlink_to("..")
    (tmp_path / "LICENSE").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "NOTICE")
    assert scan(tmp_path).files_skipped == {"link": 4, "special-file": 1}
    assert texts(tmp_path, "license-file-not-read") == ["link", "special-file"]


def test_nothing_of_a_repository_is_imported_or_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Files that tools run when they look at a folder."""
    mark = tmp_path / "mark"
    root = tmp_path / "root"
    root.mkdir()
    program = f"open({str(mark)!r}, 'w').close()\n"
    for name in ("setup.py", "conftest.py", "sitecustomize.py", "modeling_x.py", "license_expression.py", "attest.py"):
        (root / name).write_text(program + "# Copied from modeling_x.f\ndef f():\n    pass\n")
    (root / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "setup"\nbackend-path = ["."]\n'
    )
    (root / "config.json").write_text('{"auto_map": {"AutoModel": "modeling_x.f"}, "license": "mit"}')
    monkeypatch.chdir(root)
    scan(root, references=(root,))
    assert not mark.exists()
