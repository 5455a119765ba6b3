import pytest

from attest.licenses.copyright_line import detect
from attest.licenses.source import Source

STATED = [
    "Copyright (c) 2024 Somebody",
    "# Copyright (c) Huawei Technologies Co., Ltd. 2025. All rights reserved.",
    "# Copyright 2024 The Qwen team, Alibaba Group and the HuggingFace Inc. team. All rights reserved.",
    "// Copyright The HuggingFace Team",
    "# Copyright the Hypothesis Authors.",
    "COPYRIGHT 1999-2003 BIG CORP",
    "copyright: 2019 The TensorFlow Authors.",
    "copyright = '2020, Somebody'",
    "Copyright (C) jashkenas",
    "Copyright by Somebody",
    "(c) 2012 Paul Miller",
    "© 2020 GitHub, Inc.",
    "© Somebody",
    "&copy; 2021 Somebody",
    "Copyright [2007] Neal Norwitz",
    "Copyright 华为技术有限公司",
    "Some text before, Copyright 2020 Somebody",
]
ONLY_SPOKEN_OF = [
    "The above copyright notice and this permission notice shall be included in all",
    "THIS SOFTWARE IS PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS",
    "2. Grant of Copyright License. Subject to the terms and conditions of",
    '"Licensor" shall mean the copyright owner or entity authorized by',
    "Copyright [yyyy] [name of copyright owner]",
    "Copyright (C) <year>  <name of author>",
    "Gnomovision version 69, Copyright (C) year name of author",
    "(c) You must retain, in the Source form of any Derivative Works",
    "COPYRIGHT AND PERMISSION NOTICE",
    "limitation the federal copyright law, and, to the extent such",
    "# SPDX-FileCopyrightText: 2015 Copyright Somebody",
    '"copyright": 2012,',
    '"©": 1999,',
    "ecma-standard-copyright-2024.html",
    "f(c) = 20",
    "from attr import __copyright__ as __copyright__",
]


@pytest.mark.parametrize("line", STATED)
def test_a_stated_copyright_is_found_verbatim(line: str):
    (finding,) = detect(Source.of("a.py", f"x\n  {line}  \ny\n".encode()))
    assert (finding.code, finding.line, finding.text) == ("copyright", 2, line)


@pytest.mark.parametrize("line", ONLY_SPOKEN_OF)
def test_a_line_that_only_speaks_of_copyright_is_left_out(line: str):
    assert list(detect(Source.of("a.py", line.encode()))) == []


def test_a_latin_1_file_still_gives_its_line():
    (finding,) = detect(Source.of("a.c", "/* Copyright 2004 Müller & Söhne */".encode("latin-1")))
    assert finding.text == "/* Copyright 2004 M\ufffdller & S\ufffdhne */"


def test_a_statement_inside_a_minified_file_is_found():
    data = b"!function(){" + b"var a=1;" * 20_000 + b'copyright:"Copyright 2024 Somebody",' + b"b();" * 20_000
    (finding,) = detect(Source.of("a.min.js", data))
    assert "Copyright 2024 Somebody" in finding.text
    assert finding.line == 1
