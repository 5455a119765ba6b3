import pytest

from attest.licenses.pyproject import detect
from attest.licenses.source import Source


def declared(text: str) -> list[tuple[str, int | None, str]]:
    return [
        (finding.code, finding.line, finding.text) for finding in detect(Source.of("pyproject.toml", text.encode()))
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[project]\nname = "a"\nlicense = "MIT"\n', [("declared-license", 3, "MIT")]),
        ('[project]\nlicense = {text = "MIT License"}\n', [("declared-license", 2, "MIT License")]),
        ('[project]\nlicense = {file = "LICENSE"}\n', [("declared-license-link", 2, "LICENSE")]),
        ('[tool.poetry]\nlicense = "MIT"\n', [("declared-license", 2, "MIT")]),
        ('[tool]\npoetry.license = "MIT"\n', [("declared-license", None, "MIT")]),
        ('[project]\nlicense = """MIT\nPermission is\n"""\n', [("declared-license-text", 2, "MIT\ufffdPermission is")]),
        ("[project]\nlicense = 3\n", []),
        ('project = "a"\nlicense = "MIT"\n', []),
        ("# license\n", []),
    ],
)
def test_declared_values(text: str, expected: list[tuple[str, int | None, str]]):
    assert declared(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("license = ", "not TOML"),
        ("license = " + "[" * 50_000, "not TOML"),
        ("license = 1\n" + "#" * 140_000, "larger than"),
        ("license = 1\n" + ".".join(["a"] * 30_000) + " = 1", "dots"),
    ],
)
def test_what_cannot_be_parsed_is_reported(text: str, why: str):
    ((code, _, words),) = declared(text)
    assert code == "declaration-not-read"
    assert why in words


def test_bytes_that_are_not_utf_8_are_reported():
    (finding,) = detect(Source.of("pyproject.toml", b'[project]\nlicense = "\xff"\n'))
    assert finding.code == "declaration-not-read"
