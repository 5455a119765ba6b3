"""Words about licenses with letters that cannot be seen, or that look like others."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_license import license_words

from attest.licenses import lookalike
from attest.licenses.lookalike import lookalike_lines, plain
from attest.licenses.scan import scan
from attest.licenses.source import Source

MIT = license_words("MIT")
CYRILLIC = str.maketrans("aeo", "\u0430\u0435\u043e")
DISGUISES = {
    "zero-width": MIT.replace("i", "i\u200b"),
    "soft-hyphen": MIT.replace("e", "e\u00ad"),
    "cyrillic": MIT.translate(CYRILLIC),
    "one-word": MIT.replace("permission", "p\u0435rmission"),
    "full-width": "".join(chr(ord(one) + 0xFEE0) if one.isalnum() else one for one in MIT),
    "mathematical": "".join(chr(0x1D41A + ord(one) - 97) if one.islower() else one for one in MIT),
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_license_text_is_near_and_never_exact_nor_unknown(tmp_path: Path, name: str):
    (tmp_path / "LICENSE").write_text(DISGUISES[name], encoding="utf-8")
    result = scan(tmp_path)
    (file,) = result.identified
    assert (file.verdict, file.texts[0].expression) == ("near", "MIT")
    codes = {finding.code for finding in result.findings}
    assert {"license-text-changed", "unsearchable-words"} <= codes
    assert not {"license-text", "license-text-unknown"} & codes


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("# C\u043epyright 2024 A", "U+043E in what seems to be: # Copyright 2024 A"),
        ("# Copy\u200bright 2024 A", "U+200B in what seems to be: # Copyright 2024 A"),
        ("# SPDX-Licens\u0435-Identifier: MIT", "U+0435 in what seems to be: # SPDX-License-Identifier: MIT"),
        ("// C\u043epied from x/y.c", "U+043E in what seems to be: // Copied from x/y.c"),
        (
            "# Licensed under the Ap\u200bache License",
            "U+200B in what seems to be: # Licensed under the Apache License",
        ),
    ],
)
def test_a_line_in_a_program_is_shown_as_it_seems(line: str, text: str):
    (found,) = lookalike.detect(Source.of("a.py", f"x = 1\n{line}\n".encode()))
    assert (found.code, found.line, found.text) == ("unsearchable-words", 2, text)


@pytest.mark.parametrize(
    "line",
    [
        "# Copyright 2024 \u0410\u0445\u043c\u0435\u0434, M\xfcller, \u534e\u4e3a",
        "# \u041b\u0438\u0446\u0435\u043d\u0437\u0438\u044f MIT, Copyright 2024 A",
        "# License \u2705\ufe0f \U0001f468\u200d\U0001f4bb copyright",
        "# the \u03b1x of the permission",
        "soci\xe9t\xe9 par actions simplifi\xe9e, licence",
    ],
)
def test_other_scripts_accents_and_pictures_are_no_finding(line: str):
    assert list(lookalike.detect(Source.of("a.py", line.encode()))) == []


def test_a_license_text_with_a_holder_in_another_script_stays_exact(tmp_path: Path):
    (tmp_path / "LICENSE").write_text(f"Copyright (c) 2024 \u0410\u0445\u043c\u0435\u0434\n{MIT}", encoding="utf-8")
    assert scan(tmp_path).identified[0].verdict == "exact"


@given(st.text())
def test_lines_stay_where_they_are_and_a_second_time_changes_nothing(text: str):
    assert plain(text).count("\n") == text.count("\n")
    assert plain(plain(text)) == plain(text)
    assert all(1 <= number <= text.count("\n") + 1 for number in lookalike_lines(text))
