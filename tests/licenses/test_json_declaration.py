import json

import pytest

from attest.licenses.json_declaration import detect
from attest.licenses.source import Source


def declared(name: str, data: bytes) -> list[tuple[str, int | None, str]]:
    return [(finding.code, finding.line, finding.text) for finding in detect(Source.of(name, data))]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("config.json", {"license": "mit"}, [("declared-license", 2, "mit")]),
        ("config.json", {"license_name": "a"}, [("declared-license-name", 2, "a")]),
        ("config.json", {"license_link": "a"}, [("declared-license-link", 2, "a")]),
        ("sub/config.json", {"_name_or_path": "/root/base"}, [("config-name-or-path", 2, "/root/base")]),
        ("adapter_config.json", {"base_model_name_or_path": "o/b"}, [("declared-base-model", 2, "o/b")]),
        ("package.json", {"license": {"type": "ISC", "url": "u"}}, [("declared-license", 2, "ISC")]),
        ("package.json", {"licenses": [{"type": "MIT"}, "ISC", 3]}, [("declared-license", 2, "MIT, ISC")]),
        ("config.json", {"license": None, "_name_or_path": " "}, []),
        ("config.json", {"nested": {"license": "mit"}}, []),
        ("config.json", ["license"], []),
        ("other.json", {"license": "mit"}, []),
    ],
)
def test_declared_values(name: str, value: object, expected: list[tuple[str, int | None, str]]):
    assert declared(name, json.dumps(value, indent=1).encode()) == expected


def test_a_line_is_given_only_where_it_is_certain():
    data = b'{"nested": {\n"license": "a"},\n"license": "b"}'
    assert declared("config.json", data) == [("declared-license", None, "b")]


@pytest.mark.parametrize(
    "data",
    [
        b'{"license": ',
        b'{"license": "a", "license": "b"}',
        b'{"license": NaN}',
        b'{"license": "\\ud800"}',
        b'{"license": "\xff"}',
        b'{"license": ' + b"[" * 1000 + b"]" * 1000 + b"}",
        b'{"license": "' + b'\\"' * 100_000,
    ],
)
def test_what_is_not_strict_json_is_reported_and_not_read(data: bytes):
    ((code, line, text),) = declared("config.json", data)
    assert (code, line) == ("declaration-not-read", None)
    assert text


def test_broken_json_without_the_fields_is_nobodys_business():
    assert declared("config.json", b'{"hidden_size": ') == []
