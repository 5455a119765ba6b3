import pytest

from attest.licenses.detect.words import words_of


@pytest.mark.parametrize(
    "text",
    [
        "Permission is granted",
        "# PERMISSION is, granted!",
        " * (a) permission is granted",
        "dnl 1. Permission\n// is\n;; granted",
        "<p>Permission&nbsp;is <b>granted</b></p>",
        "Copyright (c) 2024 Somebody\nPermission is granted",
        "Copyright (c) 2024 Somebody. Permission is granted",
        "(c) Copyright 2020-2024 X, Y and Z. All rights reserved.\nAll rights reserved.\nPermission is granted",
        "permission\u00a0is\u2003granted",
    ],
)
def test_what_may_differ_between_two_copies_of_one_license(text: str):
    assert words_of(text).words == ("permission", "is", "granted")


def test_spellings_numbers_and_scripts_without_blanks():
    assert words_of("Licence v2.0, https://a.b").words == ("license", "v2", "0", "http", "a", "b")
    assert words_of("version 2.0").words == ("version", "2.0")
    assert words_of("\u8bb8\u53ef MIT\u8bb8\u53ef").words == ("\u8bb8", "\u53ef", "mit", "\u8bb8", "\u53ef")


def test_each_word_has_its_line():
    assert words_of("a b\n\n# Copyright 2024 C\nd").lines == (1, 1, 4)


def test_a_sentence_about_copyright_is_kept():
    assert "notice" in words_of("copyright notice and this permission notice").words


def test_a_year_is_needed_for_a_copyright_line_to_be_left_out():
    assert words_of("copyright is not claimed").words == ("copyright", "is", "not", "claimed")
