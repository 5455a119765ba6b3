import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.terminal import amount, visible


def test_every_control_format_and_space_character_is_written_out():
    hidden = [
        character
        for character in map(chr, range(0x110000))
        if unicodedata.category(character) in {"Cc", "Cf", "Cs", "Co", "Zl", "Zp", "Zs"} and character != " "
    ]
    assert len(hidden) > 100_000
    assert all(re.fullmatch(r"\\(x..|u....|U0.......|[nrt])", visible(character)) for character in hidden)


@pytest.mark.parametrize("blank", "\u034f\u115f\u1160\u2800\u3164\ufe0f\uffa0\U000e0100")
def test_letters_and_marks_that_show_nothing_are_written_out(blank: str):
    assert visible(blank) != blank


@pytest.mark.parametrize(
    "text", ["plain ASCII, 100 %", "Ünïcödé", "权重 重み 가중치", "שלום مرحبا", "x₁ ≤ ½", "\U0001f600"]
)
def test_what_shows_stays(text: str):
    assert visible(text) == text


@given(st.text(max_size=40))
def test_nothing_hidden_is_left_and_nothing_is_written_twice(text: str):
    assert visible(visible(text)) == visible(text)


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 files"), (1, "1 file"), (2, "2 files"), (1_234_567, "1,234,567 files")]
)
def test_an_amount_has_a_singular(number: int, said: str):
    assert amount(number, "file") == said
