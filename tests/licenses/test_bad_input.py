"""Files that whoever made a repository chose to be awkward: each is a finding, a reason or an error, and soon."""

import json
import os
from itertools import pairwise
from pathlib import Path

import pytest
from known_license import license_words
from time_limit import no_longer_than

from attest.licenses.scan import scan
from attest.licenses.summary import summarize
from attest.licenses.whole.holders import statement_of

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


NESTED = "(" * 10_000 + "MIT" + ")" * 10_000


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.py", f"# SPDX-License-Identifier: {NESTED}\n"),
        ("README.md", f"---\nlicense: {NESTED}\n---\n"),
        ("package.json", json.dumps({"license": NESTED})),
        ("package.json", json.dumps({"license": " OR ".join(["MIT", "Apache-2.0"] * 5000)})),
        ("a.py", f"# SPDX-License-Identifier: {'MIT WITH ' * 5000}MIT\n"),
    ],
)
def test_an_expression_without_end_is_counted_as_unread(tmp_path: Path, name: str, text: str):
    (tmp_path / name).write_text(text)
    summary, _ = summarize(scan(tmp_path))
    assert [(one.unread, one.found) for one in summary.scopes] == [(1, ())]


def test_globs_anchors_and_brackets_are_not_expanded(tmp_path: Path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    glob = f'[[annotations]]\npath = ["{"**/" * 9000}{"*" * 9000}"]\nSPDX-License-Identifier = "MIT"\n'
    (tmp_path / "REUSE.toml").write_text(f"version = 1\n{glob}{glob}")
    (tmp_path / "a" / "REUSE.toml").write_text("a = " + "[" * 60_000)
    names = "abcdefghijklmnopqrst"
    bomb = "".join(f"{two}: &{two} [*{one},*{one},*{one},*{one}]\n" for one, two in pairwise(names))
    (tmp_path / "CITATION.cff").write_text(f"a: &a [x, x]\n{bomb}license: *t\n")
    result = scan(tmp_path)
    assert [finding.text[:5] for finding in result.findings if finding.code == "spdx-license"] == ["MIT (", "MIT ("]
    assert len([finding for finding in result.findings if finding.code == "declaration-not-read"]) == 2


def test_a_license_in_many_pieces_is_never_no_license(tmp_path: Path):
    lines = license_words("Apache-2.0").split("\n")
    for number in range(50):
        (tmp_path / f"LICENSE-{number:02}").write_text("\n".join(lines[number * 3 : number * 3 + 3]))
    result = scan(tmp_path)
    assert texts(tmp_path, "no-license-file") == []
    assert len([finding for finding in result.findings if finding.code == "license-text-unknown"]) >= 40


def test_notices_in_notebooks_and_banners_name_their_holders(tmp_path: Path):
    cell = {"cell_type": "code", "source": ["# Copyright 2024 Nota Bene\n", "# SPDX-License-Identifier: ISC\n"]}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell]}, indent=1))
    (tmp_path / "b.ipynb").write_text(json.dumps({"cells": [cell]}))
    (tmp_path / "c.min.js").write_text(
        "/*! tool 3 | (c) Tool Makers Foundation */!function(e){" + "a=b;" * 50_000 + "}"
    )
    found = [finding.text for finding in scan(tmp_path).findings if finding.code == "copyright"]
    assert [statement_of(text).holder for text in found] == ["Nota Bene", "Nota Bene", "Tool Makers Foundation"]
    assert texts(tmp_path, "spdx-license") == ["ISC", "ISC"]
