import pytest

from attest.licenses.citation import detect
from attest.licenses.source import Source


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cff-version: 1.2.0\nlicense: Apache-2.0\n", [("declared-license", 2, "Apache-2.0")]),
        ("license:\n  - MIT\n  - ISC\n", [("declared-license", 1, "MIT, ISC")]),
        ('license-url: "https://example.org"\n', [("declared-license-link", 1, "https://example.org")]),
        ("license: |\n  words\n", [("declaration-not-read", 1, "license: | (neither a scalar nor a list of scalars)")]),
        ("references:\n  - license: MIT\n", []),
        ("license:\n", []),
    ],
)
def test_declared_values(text: str, expected: list[tuple[str, int | None, str]]):
    found = detect(Source.of("docs/CITATION.cff", text.encode()))
    assert [(finding.code, finding.line, finding.text) for finding in found] == expected


def test_another_file_is_nobodys_business():
    assert list(detect(Source.of("citation.yaml", b"license: MIT\n"))) == []
