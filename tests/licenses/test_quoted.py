"""Quoted strings end where a scanner that goes character by character says, under every Python."""

import random
import re

import pytest

from attest.licenses.quoted import ONE_LINE, TRIPLE


def end_of(text: str, mark: str) -> int:
    """Where a string that begins the text ends."""
    place = len(mark)
    while place < len(text):
        if text.startswith(mark, place):
            return place + len(mark)
        if len(mark) == 1 and text[place] == "\n":
            return place
        place += 2 if text[place] == "\\" else 1
    return len(text)


@pytest.mark.parametrize(("pattern", "marks"), [(ONE_LINE, "\"'"), (TRIPLE, ('"""', "'''"))])
def test_a_string_ends_where_a_scanner_says(pattern: str, marks: str):
    compiled = re.compile(pattern, re.DOTALL)
    rng = random.Random(1)  # noqa: S311 - no secret
    for _ in range(20_000):
        mark = rng.choice(marks)
        text = mark + "".join(rng.choices(f"\\\na{mark[0]}{mark[0]}", k=rng.randrange(14)))
        found = compiled.match(text)
        assert found is not None
        assert found.end() == end_of(text, mark), text
