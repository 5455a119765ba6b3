from pathlib import Path

import pytest
from known_license import license_words

from attest.licenses.license_name import licenses_named
from attest.licenses.scan import scan

APACHE = license_words("Apache-2.0")


def texts(root: Path, code: str, files: dict[str, str]) -> list[str]:
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
    return [finding.text for finding in scan(root).findings if finding.code == code]


def card(*fields: str) -> str:
    return "\n".join(("---", *fields, "---", ""))


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("apache-2.0", {"Apache-2.0"}),
        ("Apache License, Version 2.0", {"Apache-2.0"}),
        ("MIT OR apache-2.0", {"MIT", "Apache-2.0"}),
        ("GPL-3.0-or-later", {"GPL-3.0"}),
        ("llama3.1", {"LicenseRef-scancode-llama-3.1-license-2024"}),
        ("mrl", {"LicenseRef-mistral-research-0.1"}),
        ("LicenseRef-openpangu-2.0", {"LicenseRef-openpangu-2.0"}),
        ("something of mine", set()),
        ("", set()),
    ],
)
def test_licenses_that_a_value_names(value: str, named: set[str]):
    assert licenses_named(value) == named


def test_a_declaration_that_the_license_text_beside_it_contradicts(tmp_path: Path):
    files = {"README.md": card("license: mit"), "LICENSE": APACHE}
    assert texts(tmp_path, "declared-and-found-differ", files) == [
        "declares mit; the license texts in the first folder are Apache-2.0"
    ]


@pytest.mark.parametrize(
    "files",
    [
        {"README.md": card("license: apache-2.0"), "LICENSE": APACHE},
        {"README.md": card("license: mit"), "LICENSE": APACHE, "LICENSE-MIT": license_words("MIT")},
        {"README.md": card("license: mit"), "LICENSE": "words of my own"},
        {"README.md": card("license: other", "license_name: x"), "LICENSE": APACHE},
        {"README.md": card("license: mit"), "third_party/LICENSE": APACHE},
        {"README.md": card("license: mit"), "LICENSE": APACHE.replace("perpetual", "")},
    ],
)
def test_declarations_that_no_text_contradicts(tmp_path: Path, files: dict[str, str]):
    assert texts(tmp_path, "declared-and-found-differ", files) == []


def test_the_nearest_folder_with_a_license_counts(tmp_path: Path):
    files = {"LICENSE": APACHE, "b/LICENSE": license_words("MIT"), "b/c/README.md": card("license: mit")}
    assert texts(tmp_path, "declared-and-found-differ", files) == []


@pytest.mark.parametrize(("license_", "count"), [("apache-2.0", 1), ("llama3.1", 0), ("other", 0)])
def test_a_descendant_under_another_license(tmp_path: Path, license_: str, count: int):
    files = {"README.md": card(f"license: {license_}", "base_model: meta-llama/Llama-3.1-8B-Instruct")}
    assert len(texts(tmp_path, "base-model-license-differs", files)) == count


def test_a_linked_other_license_is_no_finding(tmp_path: Path):
    files = {"README.md": card("license: other", "license_link: LICENSE")}
    assert texts(tmp_path, "other-license-without-link", files) == []
