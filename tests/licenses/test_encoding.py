from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.licenses.encoding import readable
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


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes):
    assert isinstance(readable(raw), bytes)
