import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from programs import program

from attest.licenses.origin.tokens import GRAM, MIN_TOKENS, WINDOW, fingerprint, is_code

TEXT = program(1, 2, 3)


def named(text: str, path: str = "a.py") -> set[int]:
    return set(fingerprint(path, text).named.tolist())


@pytest.mark.parametrize(
    "same",
    [
        "# Copyright 2024 Somebody\n" + TEXT,
        TEXT.replace("\n", "  # a remark\n"),
        TEXT.replace("    ", "\t"),
        '"""What it does."""\n' + TEXT,
        TEXT.replace("\n", "\r\n"),
    ],
)
def test_comments_blanks_and_docstrings_make_no_difference(same: str):
    assert named(same) == named(TEXT)


def test_other_names_are_other_grams_except_to_the_blind():
    renamed = TEXT.replace("read_", "load_").replace("_row", "_line")
    assert named(renamed) != named(TEXT)
    assert np.array_equal(fingerprint("a.py", renamed).blind, fingerprint("a.py", TEXT).blind)


def test_the_name_of_a_model_counts_as_one_word():
    text = (
        "class QwenMoeAttention(B):\n  x = QwenMoeNorm(1)\nclass QwenMoeNorm(D):\n  qwen_moe_y = 2\nclass QwenMoeHead(F):\n  z = QwenMoeAttention\n"
        * 3
    )
    assert named(text) == named(text.replace("QwenMoe", "PanguProMoE").replace("qwen_moe", "pangu_pro_moe"))


def test_a_long_common_run_leaves_a_common_gram():
    """What winnowing promises: a run of GRAM + WINDOW - 1 tokens is always seen."""
    run = " ".join(f"common{number}" for number in range(GRAM + WINDOW - 1))
    for before in range(12):
        one = "x " * before + run + " y" * 20
        two = "z " * 30 + run + " w" * before
        assert named(one) & named(two)


def test_comments_of_other_languages():
    text = "int f(int a) { return a + 1; } // x\n/* # y */ int g() { return f(2) * 3; }\n" * 4
    assert named(text, "a.cc") == named(text.replace("// x", "").replace("/* # y */", ""), "a.cc")


def test_what_is_a_program():
    assert [is_code(name) for name in ("a.py", "b.CU", "c.md", "py", "d")] == [True, True, False, True, False]


@given(st.text(max_size=400), st.sampled_from(["a.py", "a.c", "a.rs"]))
def test_no_text_raises(text: str, path: str):
    made = fingerprint(path, text)
    assert len(made.named) <= made.tokens


@pytest.mark.parametrize("line", ['"', "'''", '"""', "/*", "`", "\\", "a", "((", "#", '"\\'])
def test_one_endless_line_takes_linear_time(line: str):
    for path in ("a.py", "a.c"):
        assert fingerprint(path, line * 50_000).tokens >= 0


def test_what_is_said_again_does_not_count():
    table = "static const char *names[] = {" + '"a", ' * 5000 + "};\n"
    other = program(1, 2)
    assert fingerprint("a.c", table).tokens < MIN_TOKENS
    assert fingerprint("a.py", other + other).tokens < fingerprint("a.py", other).tokens + 20
