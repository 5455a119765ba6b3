import pytest

from attest.licenses.reuse_toml import detect
from attest.licenses.source import Source

ANNOTATED = """version = 1
[[annotations]]
path = ["weights/**", "a.bin"]
SPDX-FileCopyrightText = ["2024 A", "2023 B"]
SPDX-License-Identifier = "MIT"
[[annotations]]
SPDX-License-Identifier = "CC0-1.0"
"""


def found(text: str) -> list[tuple[str, int | None, str]]:
    return [(finding.code, finding.line, finding.text) for finding in detect(Source.of("REUSE.toml", text.encode()))]


def test_each_annotation_is_found_with_its_paths():
    assert found(ANNOTATED) == [
        ("spdx-license", 5, "MIT (for weights/**, a.bin)"),
        ("spdx-copyright", 4, "2024 A (for weights/**, a.bin)"),
        ("spdx-copyright", 4, "2023 B (for weights/**, a.bin)"),
        ("spdx-license", 7, "CC0-1.0"),
    ]


@pytest.mark.parametrize(
    "text", ["annotations = 1", "annotations = [1]", "[[annotations]]\nSPDX-License-Identifier = 3\n", ""]
)
def test_other_shapes_say_nothing(text: str):
    assert found(text) == []


@pytest.mark.parametrize("text", ["[[", "a." * 100 + "b = 1", "#" * 200_000])
def test_what_is_not_parsed_is_reported(text: str):
    ((code, line, words),) = found(text)
    assert (code, line) == ("declaration-not-read", None)
    assert words
