from pathlib import Path

import pytest

from attest.licenses.scan import scan
from attest.licenses.whole.holders import statement_of


@pytest.mark.parametrize(
    ("line", "years", "holder"),
    [
        ("# Copyright (c) Huawei Technologies Co., Ltd. 2025. All rights reserved.", "2025", "Huawei Technologies Co., Ltd"),
        (" * Copyright 2019-2021, 2023 A. Author <a@b.c>", "2019-2021, 2023", "A. Author"),
        ("// (C) 2020 by Somebody", "2020", "Somebody"),
        ("Copyright 2024 The Qwen team, Alibaba Group and the HuggingFace Inc. team. All rights reserved.", "2024",
         "The Qwen team, Alibaba Group and the HuggingFace Inc. team"),
        ("\u00a9 2021 \u534e\u4e3a", "2021", "\u534e\u4e3a"),
        ("SPDX-FileCopyrightText: Copyright contributors to the vLLM project", "", "contributors to the vLLM project"),
        ("[Apache 2.0 \u00a9 2023 Somebody Dev, Inc.](./LICENSE)", "2023", "Somebody Dev, Inc"),
        (r'"Copyright (c) Somebody\n\n' + '"', "", "Somebody"),
        ("Copyright (c) 2025", "2025", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_years_and_holder(line: str, years: str, holder: str):
    statement = statement_of(line)
    assert (statement.years, statement.holder) == (years, holder)


def found(root: Path, files: dict[str, str]) -> list[tuple[str, str, str]]:
    for name, text in files.items():
        (root / name).write_text(text)
    codes = ("foreign-copyright", "notice-missing", "notice-incomplete")
    return [(one.code, one.path, one.text) for one in scan(root).findings if one.code in codes]


OWN = {"a.py": "# Copyright 2024 A Ltd.\n", "b.py": "# Copyright 2025 A Limited\n"}
FOREIGN = {"c.py": "# Copyright 2024 A Ltd.\n# Copyright 2023 The B team.\n"}


def test_a_holder_beside_the_most_frequent_one_and_no_notice(tmp_path: Path):
    assert found(tmp_path, OWN | FOREIGN) == [
        ("notice-missing", ".", "no notice file; no license file names these holders of copyright lines: The B team"),
        ("foreign-copyright", "c.py", "The B team in 1 file; A Ltd in 3 files"),
    ]


@pytest.mark.parametrize("name", ["NOTICE", "LICENSE-B"])
def test_a_notice_that_names_every_holder(tmp_path: Path, name: str):
    files = OWN | FOREIGN | {name: "This holds code of B.\nCopyright 2023 The B team\n"}
    assert [code for code, _, _ in found(tmp_path, files)] == ["foreign-copyright"]


def test_a_notice_that_names_another_holder(tmp_path: Path):
    assert found(tmp_path, OWN | FOREIGN | {"NOTICE": "Copyright 2020 C\n"})[1:] == [
        ("notice-incomplete", "c.py", "The B team, named in files, is not named in the notice and license files")
    ]


def test_one_holder_owes_nobody_a_notice(tmp_path: Path):
    assert found(tmp_path, OWN) == []


def test_the_main_holder_is_the_one_whom_the_license_file_at_the_top_names(tmp_path: Path):
    assert found(tmp_path, OWN | {"LICENSE": "MIT License\n\nCopyright (c) 2025 Fork Labs\n"}) == [
        ("notice-missing", ".", "no notice file; no license file names these holders of copyright lines: A Ltd"),
        ("foreign-copyright", "a.py", "A Ltd in 2 files; Fork Labs in the license file at the top"),
    ]


def test_of_two_whom_the_license_file_names_neither_is_the_main_one_by_that(tmp_path: Path):
    license_file = "Copyright (c) 2025 Fork Labs\nCopyright (c) 2024 A Ltd.\n"
    assert found(tmp_path, OWN | FOREIGN | {"LICENSE": license_file})[1][2] == "The B team in 1 file; A Ltd in 3 files"
