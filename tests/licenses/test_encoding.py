from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.licenses.encoding import readable, utf16_of
from attest.licenses.readable import is_binary
from attest.licenses.scan import scan

CHINESE = "# \u7248\u6743\u6240\u6709 Copyright (c) 2024 \u534e\u4e3a\u6280\u672f\u6709\u9650\u516c\u53f8\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030", "gbk"])
def test_a_chinese_notice_is_read_in_the_encodings_it_comes_in(tmp_path: Path, encoding: str):
    (tmp_path / "a.py").write_bytes(CHINESE.encode(encoding))
    texts = [finding.text for finding in scan(tmp_path).findings if finding.code == "copyright"]
    assert texts == [CHINESE.strip()]


def test_latin_1_is_not_taken_for_chinese():
    raw = "# Copyright 2024 Bj\xf6rn G\xe5s\xf6 \xc5\xe4, J\xfcrgen M\xfc\xdfig, Ren\xe9 \xc9t\xe9\n".encode("latin-1")
    assert readable(raw) == raw


def test_mixed_encodings_keep_what_is_ascii():
    raw = b"# Copyright 2024 A\n" + CHINESE.encode("gb18030") + CHINESE.encode()
    assert b"# Copyright 2024 A\n" in readable(raw)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_its_mark_is_read(tmp_path: Path, encoding: str):
    text = "# Copyright (c) 2024 Hersteller GmbH, M\xfcnchen \u534e\n" + "x = 1\n" * 5000
    (tmp_path / "a.py").write_bytes(text.encode(encoding))
    assert [(one.code, one.text) for one in scan(tmp_path).findings if one.code == "copyright"] == [
        ("copyright", "# Copyright (c) 2024 Hersteller GmbH, M\xfcnchen \u534e")
    ]


@pytest.mark.parametrize(
    "raw",
    [
        np.arange(0, 3000, dtype="<u2").tobytes(),
        np.arange(0, 3000, dtype=">u2").tobytes(),
        np.full(500, 65, "<i4").tobytes(),
        np.linspace(0, 1, 500, dtype="<f4").tobytes(),
        b"\0" * 400,
        b"A\0B\0",
        b"Copyright 2024 A\n" * 20 + b"\0",
    ],
)
def test_numbers_and_zeros_are_no_utf_16(raw: bytes):
    assert utf16_of(raw) is None
    assert is_binary(raw)


@given(st.text(st.characters(codec="ascii", categories=("L", "N", "P", "Zs")), min_size=16))
def test_any_plain_text_is_told(text: str):
    assert readable(text.encode("utf-16-le")) == readable(text.encode("utf-16-be")) == text.encode()


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes):
    assert isinstance(readable(raw), bytes)
