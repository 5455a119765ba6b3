"""docs/known-attacks.md names tests that are there, and every test that was written for it."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
PAGE = (TESTS.parent / "docs" / "known-attacks.md").read_text(encoding="utf-8")
ROWS = [row for row in PAGE.splitlines() if row.startswith("| ") and not row.startswith(("| attack |", "| known as |"))]
NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")
WRITTEN_FOR_IT = ("test_known_vulnerabilities.py", "test_verify_places.py")


def names_in(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_bytes())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", ROWS, ids=range(len(ROWS)))
def test_a_row_names_tests_that_are_there(row: str):
    named = NAMED.findall(row)
    assert named
    assert "::" not in NAMED.sub("", row)
    for file, test in named:
        assert test in names_in(file), f"{file} has no {test}"


@pytest.mark.parametrize("file", WRITTEN_FOR_IT)
def test_every_test_of_a_known_attack_is_on_the_page(file: str):
    assert names_in(file) <= {test for name, test in NAMED.findall(PAGE) if name == file}
