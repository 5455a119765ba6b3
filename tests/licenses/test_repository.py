import hashlib
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attest.finding import Finding
from attest.licenses import repository
from attest.licenses.repository import Scan
from attest.licenses.scan import scan


def write(root: Path, files: dict[str, str]) -> Path:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return root


def of_code(result: Scan, code: str) -> list[Finding]:
    return [finding for finding in result.findings if finding.code == code]


def differing(root: Path, files: dict[str, str]) -> list[str]:
    return [finding.text for finding in of_code(scan(write(root, files)), "declared-licenses-differ")]


def metadata(value: str) -> str:
    return f"Name: a\nLicense: {value}\n\n"


def card(*fields: str) -> str:
    return "\n".join(("---", *fields, "---", "# Model"))


def test_a_package_and_its_model_card_that_declare_different_licenses(tmp_path: Path):
    files = {
        "a.dist-info/METADATA": metadata("MIT"),
        "a/model/README.md": card("license: apache-2.0"),
        "a/model/other/README.md": card("license: Apache-2.0"),
    }
    assert differing(tmp_path, files) == [
        "2 values: MIT (a.dist-info/METADATA); apache-2.0 (a/model/README.md and 1 more)"
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"METADATA": metadata("MIT"), "README.md": card("license: mit")},
        {"METADATA": metadata("The MIT License"), "README.md": card("license: mit")},
        {"METADATA": metadata("Apache License, Version 2.0"), "README.md": card("license: apache-2.0")},
        {"a/README.md": card("license: [mit, isc]"), "b/README.md": card("license: [isc, mit]")},
        {"METADATA": metadata("MIT"), "README.md": card("license: other")},
        {"METADATA": metadata("UNKNOWN"), "README.md": card("license: mit")},
        {"README.md": card("license: mit", "license_name: Something")},
        {"LICENSE": "Apache License", "README.md": card("license: mit")},
    ],
)
def test_declarations_that_do_not_differ(tmp_path: Path, files: dict[str, str]):
    assert differing(tmp_path, files) == []


def test_a_name_beside_other_counts_as_a_declaration(tmp_path: Path):
    files = {"METADATA": metadata("MIT"), "README.md": card("license: other", "license_name: kimi-k2")}
    assert differing(tmp_path, files) == ["2 values: MIT (METADATA); kimi-k2 (README.md)"]


def test_one_file_can_differ_from_itself(tmp_path: Path):
    files = {"README.md": card("license: mit", "license: isc")}
    assert differing(tmp_path, files) == ["2 values: mit (README.md); isc (README.md)"]


def test_no_license_file_is_found_where_there_is_none(tmp_path: Path):
    (finding,) = of_code(scan(write(tmp_path, {"NOTICE": "x", "license.py": "x"})), "no-license-file")
    assert (finding.path, finding.text) == (".", "no file with a usual license name was read")
    assert of_code(scan(write(tmp_path, {"LICENSE": "x"})), "no-license-file") == []


def test_a_license_that_could_not_be_read_is_named(tmp_path: Path):
    (tmp_path / "LICENSE.pdf").write_bytes(b"%PDF\0")
    (tmp_path / "NOTICE").symlink_to("elsewhere")
    result = scan(tmp_path)
    assert [(finding.path, finding.text) for finding in of_code(result, "license-file-not-read")] == [
        ("LICENSE.pdf", "binary"),
        ("NOTICE", "link"),
    ]
    assert of_code(result, "no-license-file")[0].text.endswith("2 with such a name could not be read")
    assert result.files_skipped == {"binary": 1, "link": 1}


def test_every_file_with_a_finding_is_bound_by_its_digest(tmp_path: Path):
    data = b"\xef\xbb\xbf# Copyright 2024 A\r\n"
    (tmp_path / "a.py").write_bytes(data)
    (tmp_path / "b.py").write_bytes(b"nothing")
    result = scan(tmp_path)
    assert [(file.path, file.sha256) for file in result.files] == [("a.py", hashlib.sha256(data).hexdigest())]
    assert result.files_scanned == 2


def test_findings_stand_in_order_of_path_and_line(tmp_path: Path):
    lines = "# Copyright 2024 A\n# SPDX-License-Identifier: MIT\n# Copied from b\n# Copyright 2023 B\n"
    result = scan(write(tmp_path, {"b.py": lines, "a.py": lines, "a/c.py": lines, "LICENSE": "MIT"}))
    assert [(finding.path, finding.line) for finding in result.findings] == [
        ("LICENSE", None),
        ("LICENSE", 1),
        *((path, line) for path in ("a.py", "a/c.py", "b.py") for line in (1, 2, 3, 4)),
    ]
    assert result == scan(tmp_path)


def test_a_flood_in_one_file_is_cut_and_said(tmp_path: Path):
    write(tmp_path, {"NOTICE": "Copyright 2024 A\n" * 2000, "z.py": "# Copyright 2023 Z\n"})
    result = scan(tmp_path)
    assert len(of_code(result, "copyright")) == 1001
    (finding,) = of_code(result, "findings-cut")
    assert finding.path == "NOTICE"
    assert finding.text == "only the first 1000 findings of copyright in this file are listed"


def test_a_flood_over_many_files_is_cut_and_hides_no_other_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(repository, "MAX_PER_CODE", 100)
    files = {f"{number}.py": "# Copyright 2024 A\n" * 50 for number in range(5)}
    result = scan(write(tmp_path, files | {"z.py": "# SPDX-License-Identifier: MIT"}))
    assert len(of_code(result, "copyright")) == 100
    assert [finding.text for finding in of_code(result, "spdx-license")] == ["MIT"]
    (finding,) = of_code(result, "findings-cut")
    assert finding.path == "."
    assert finding.text.startswith("of 250 findings of copyright")


def test_thousands_of_small_files_among_binary_ones():
    """Hard links, since they are made faster; the folder is not kept."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for number in range(8):
            (root / f"{number}").mkdir()
            first = root / f"{number}" / "0.py"
            first.write_bytes(b"\0" if number % 10 == 0 else b"# Copyright 2024 A\nx = %d\n" % number)
            for other in range(1, 500):
                (first.parent / f"{other}.py").hardlink_to(first)
        result = scan(root)
    assert (result.files_scanned, result.files_skipped) == (3_500, {"binary": 500})
    counts = Counter(finding.code for finding in result.findings)
    assert counts == {"copyright": repository.MAX_PER_CODE, "no-license-file": 1, "findings-cut": 1}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    name=st.sampled_from(["a.py", "LICENSE", "README.md", "config.json", "pyproject.toml", "METADATA"]),
    data=st.binary(max_size=300),
)
def test_no_bytes_raise(tmp_path: Path, name: str, data: bytes):
    (tmp_path / name).write_bytes(data)
    assert scan(tmp_path) == scan(tmp_path)
    (tmp_path / name).unlink()
