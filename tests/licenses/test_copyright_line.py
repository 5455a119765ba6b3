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
    "© Émile Zola, © Łukasz Ö.",
    "Copyright Â© 2010 Somebody",
    "Some text before, Copyright 2020 Somebody",
    "Copyright: © <s>Somebody ASA</s>. All Rights Reserved.",
    "Copyright    : The Somebody Company, inc.",
    "Copyright &copy  The Somebody Corporation",
    '_("Copyright (C) %d Somebody, Inc."), 2006);',
    "&#169; 2004 Somebody",
    "(C) SOMEBODY AND SONS 2003",
    "(c) Somebody Else Foundation",
    "|(C) Unpublished Work of Somebody.  All Rights Reserved.",
    "portions (c) Somebody",
    "This tool (c)ACME-LABS",
    "(C) by <s>Somebody</s>",
    "&copy;opyrighted by Somebody",
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
    "(c) You and the Company agree that",
    "(c) the Licensee 2 may",
    "(a) use; and (c)DISTRIBUTE copies",
    "(C) Copyright Grant- Subject to the terms of this license",
    "2. Copyright Agent. Notices go to",
    "IsIdentifierPart(c) End",
    "2004-05-03 (c) renamed",
    "def copyright_of(path, dep5_copyright: Copyright) -> Info:",
    ".. option:: -c, --copyright COPYRIGHT",
    "MANCANO LE INFORMAZIONI SU COPYRIGHT E LICENZA",
]
PIECES_OF_TOKENIZERS = [
    "\u00e3\u0125\u00a9 \u00e3\u0124\u00b3\u00e3\u0125\u00b3",
    "\u00a9 \u00eb\u013d\u012a\u00eb\u013d\u00a4",
    "\u0120\u00eb\u00b0\u00a9 \u00ec\u0128\u00a1",
    '"\u00a9\u0136\u00eb": 29698, "Part": 2000',
    "\u0120\u00c3\u00a9 \u00c3\u00a9n",
]
"""Lines of vocabularies in which each byte of UTF-8 stands as a letter."""


@pytest.mark.parametrize("line", STATED)
def test_a_stated_copyright_is_found_verbatim(line: str):
    (finding,) = detect(Source.of("a.py", f"x\n  {line}  \ny\n".encode()))
    assert (finding.code, finding.line, finding.text) == ("copyright", 2, line)


@pytest.mark.parametrize("line", ONLY_SPOKEN_OF + PIECES_OF_TOKENIZERS)
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


def lines(text: str) -> list[int | None]:
    return [finding.line for finding in detect(Source.of("a.py", text.encode()))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("# Copyright 1989-2007 by\n# the University of Somewhere.\n# Words.", [1, 2]),
        ("/* Copyright (c) 2003\n * Somebody Else <a@b.example>\n */", [1, 2]),
        ("Copyright:\n  2004-2007 One Ltd\n  2005 <s>Two</s>\n\n  2006 Three", [2, 3]),
        ("i.e., ``Copyright\n1995-2001 Somebody Else;", [2]),
        ("# Copyright 2020 One, Two and\n# The Three Team.", [1, 2]),
        ("# Copyright 2020 One\n# Copyright 2021 Two\n#           2022 Three", [1, 2, 3]),
    ],
)
def test_the_lines_in_which_a_statement_goes_on_are_found_each_by_itself(text: str, found: list[int]):
    assert lines(text) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Copyright 2020 Somebody\nMore words here", [1]),
        ("Copyright 2020 Somebody\n2004-05-03 Somebody changed", [1]),
        ("Copyright 2020 by\n\nSomebody Else", [1]),
        ("Copyright (c) 2020\nall that follows", [1]),
        ("the law of copyright\nStates Differ", []),
        ("copyright 2020", [1]),
    ],
)
def test_what_follows_without_going_on_is_left_out(text: str, found: list[int]):
    assert lines(text) == found


def test_a_list_of_years_without_end_is_cut():
    assert len(lines("Copyright:\n" + "2020 Somebody\n" * 200)) == 50


@pytest.mark.parametrize("text", ["copyright ", "(c)", "copyright" + " " * 600, "(c) A and ", "copyright 2020,", "<"])
def test_hostile_repetition_takes_linear_time(text: str):
    assert lines((text * 100 + "\n") * 4) is not None
