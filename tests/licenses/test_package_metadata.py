from attest.licenses.package_metadata import detect
from attest.licenses.source import Source


def declared(text: str, name: str = "a.dist-info/METADATA") -> list[tuple[str, int | None, str]]:
    return [(finding.code, finding.line, finding.text) for finding in detect(Source.of(name, text.encode()))]


def test_license_fields_of_the_headers_are_read():
    text = "Metadata-Version: 2.4\nLicense: MIT\nLicense-Expression: Apache-2.0 OR MIT\nLicense-File: LICENSE\n\nLicense: no\n"
    expected = [("declared-license", 2, "MIT"), ("declared-license", 3, "Apache-2.0 OR MIT")]
    assert declared(text) == declared(text, name="PKG-INFO") == expected
    assert declared(text, name="metadata.txt") == []


def test_a_license_field_of_several_lines_is_a_text():
    assert declared("License: Copyright 2024 A\n  All rights reserved.\nName: a\n") == [
        ("declared-license-text", 1, "Copyright 2024 A")
    ]


def test_an_empty_field_declares_nothing():
    assert declared("License:\nName: a\n") == []
