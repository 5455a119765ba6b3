import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from attest.cli import main
from attest.cli.scan import _REASONS
from attest.licenses.readable import Reason


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["scan", *map(str, arguments)])


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    root = tmp_path / "repository"
    (root / "model").mkdir(parents=True)
    (root / "METADATA").write_text("Name: a\nLicense: MIT\n\n")
    (root / "LICENSE").write_text("MIT License\n\nCopyright (c) 2024 A\n")
    (root / "model" / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    (root / "model" / "code.py").write_text("# Copyright 2023 B\n# Copied from c.d\n")
    (root / "model" / "same.py").write_text("# Copyright 2023 B\n")
    (root / "weights.bin").write_bytes(b"\0" * 10)
    return root


def test_the_page_for_people(repository: Path):
    result = run(repository)
    assert result.exit_code == 0
    obligations = result.output.index("Obligations")
    assert result.output[:obligations] == (
        "Scan of repository: 5 text files read\n"
        "  1 not read: binary\n"
        "\n"
        "Licenses found, by what they are found for (all of them, joined by AND)\n"
        "  weights: Apache-2.0\n"
        "  code: MIT\n"
        "\n"
        "Declared licenses that differ [declared-licenses-differ]: 1\n"
        "  (whole repository)  2 values: MIT (METADATA); apache-2.0 (model/README.md)\n"
        "\n"
        "Holders beside the main one [foreign-copyright]: 1\n"
        "  model/code.py:1  B in 2 files; A in the license file at the top\n"
        "\n"
        "Holders without a notice file [notice-missing]: 1\n"
        "  (whole repository)  no notice file; no license file names these holders of copyright lines: B\n"
        "\n"
        "License files without a known text [license-text-unknown]: 1\n"
        "  LICENSE  no known license text; it refers to MIT\n"
        "\n"
        "License files [license-file]: 1\n"
        "  LICENSE:1  MIT License / Copyright (c) 2024 A\n"
        "\n"
        "Declared licenses [declared-license]: 2\n"
        "  METADATA:2         MIT\n"
        "  model/README.md:2  apache-2.0\n"
        "\n"
        "Copyright lines [copyright]: 3\n"
        "  LICENSE:3                           Copyright (c) 2024 A\n"
        "  model/code.py:1 (and 1 more place)  # Copyright 2023 B\n"
        "\n"
        'Comments such as "Copied from" [provenance-comment]: 1\n'
        "  model/code.py:2  # Copied from c.d\n"
        "\n"
        "Comments held against the places they name [copied-from-compared]: 1\n"
        "  (whole repository)  comments that name a place in code: 1; naming a file that is not at hand: 1\n"
        "\n"
    )
    assert result.output[obligations:].startswith(
        "Obligations of licenses that are only declared: no whole text of them was found\n"
        "  Apache-2.0 4(a), license text: not-found, declared in model/README.md:2\n"
        "    “You must give any other recipients of the Work or Derivative Works a copy of this License”\n"
    )
    assert "  MIT second paragraph, license text and notice: not-found, declared in METADATA:2\n" in result.output
    assert "This is what the files say. It is no legal advice" in result.output


def test_the_object_for_programs(repository: Path):
    value = json.loads(run(repository, "--format", "json").output)
    assert list(value) == [
        "schemaVersion",
        "filesScanned",
        "filesSkipped",
        "findings",
        "identified",
        "scopes",
        "obligations",
        "untold",
    ]
    assert (value["schemaVersion"], value["filesScanned"], value["filesSkipped"]) == (1, 5, {"binary": 1})
    assert {
        "code": "copyright",
        "path": "model/code.py",
        "line": 1,
        "text": "# Copyright 2023 B",
    } in value["findings"]


def test_a_file_is_written_and_not_overwritten(repository: Path, tmp_path: Path):
    output = tmp_path / "out.json"
    assert run(repository, "--format", "json", "-o", output).output == ""
    assert json.loads(output.read_text())["filesScanned"] == 5
    refused = run(repository, "-o", output)
    assert refused.exit_code == 3
    assert "output-exists" in refused.output
    assert run(repository, "-o", output, "--force").exit_code == 0
    assert output.read_text().startswith("Scan of repository: 5 text files read")


def test_long_lists_are_cut_and_say_so(tmp_path: Path):
    (tmp_path / "NOTICE").write_text("".join(f"Copyright {1950 + number} Somebody\n" for number in range(50)))
    output = run(tmp_path).output
    assert "Copyright 1969 Somebody" in output
    assert "Copyright 1970 Somebody" not in output
    assert "… and 30 more texts; --format json lists all" in output


def test_a_long_place_stands_above_its_text(tmp_path: Path):
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    (folder / "LICENSE").write_text("")
    lines = run(tmp_path).output.splitlines()
    index = len(lines) - 1 - lines[::-1].index(f"  {'long' * 20}/LICENSE")
    assert lines[index + 1].strip() == "(empty)"


def test_hostile_text_cannot_reach_the_terminal(tmp_path: Path):
    (tmp_path / "a.py").write_bytes("# Copyright 2024 \x1b[2J\u202eevil\u2028\n".encode())
    output = run(tmp_path).output
    assert "\x1b" not in output
    assert "\u202e" not in output
    assert "\\u202eevil" in output


def test_what_is_no_folder_is_one_coded_line(tmp_path: Path):
    result = run(tmp_path / "missing")
    assert result.exit_code == 3
    assert result.output.startswith("error[no-repository]: ")
    assert result.output.count("\n") == 1


def test_every_reason_has_words():
    assert set(_REASONS) == set(Reason.__args__)
