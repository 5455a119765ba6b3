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
        ('copyright = "2021 Somebody GmbH, 2020 Others"', "2021", "Somebody GmbH, Others"),
        ('copyright_notices={"Copyright Alice"}', "", "Alice"),
        ("# Copyright 2024 A & AFFILIATES (authored by @B)", "2024", "A & AFFILIATES"),
        ("2017 A e.V. <https://a.org> (for docs/modules.rst)", "2017", "A e.V"),
        ("# Copyright (c) 2022 Academy of Things (AT)", "2022", "Academy of Things (AT)"),
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


def test_who_wrote_for_a_holder_is_no_other_holder(tmp_path: Path):
    files = {
        "c.py": "# Copyright 2024 A Ltd. (authors: Ann, Bob)\n",
        "d.py": "# 2020 A Ltd (Cleo)\n# (c) 2020 A Ltd (Cleo)\n",
    }
    assert found(tmp_path, OWN | files) == []


def test_who_stands_in_brackets_in_a_notice_is_named_there(tmp_path: Path):
    notice = {"LICENSE-B": "Copyright 2014 Firm, Inc (Ann Author)\n", "c.py": "# Copyright 2014 Ann Author\n"}
    assert [code for code, _, _ in found(tmp_path, OWN | notice)] == ["foreign-copyright"]


def test_nobody_is_the_main_holder_where_none_is_named_in_most_files(tmp_path: Path):
    files = {"a.py": "# Copyright 2024 Vendor\n", "b.py": "# Copyright 2024 Vendor\n"}
    others = {"c.py": "# Copyright 2024 Own\n", "d.py": "# Copyright 2024 Third\n"}
    assert [code for code, _, _ in found(tmp_path, files | others)] == ["notice-missing"]


def test_who_holds_the_words_of_the_license_is_not_the_main_holder(tmp_path: Path):
    license_file = {
        "LICENSE": "Copyright \u00a9 2018 MongoDB, Inc.\n\nEveryone is permitted to copy and distribute verbatim"
    }
    assert found(tmp_path, OWN | license_file) == []


def test_two_who_are_named_together_in_most_files_are_both_main_holders(tmp_path: Path):
    both = "# Copyright (c) The Fork Authors\n# Copyright (c) 2023 Upstream, Inc.\n"
    third = "# Copyright 2009 The Third Authors\n"
    assert found(tmp_path, {"a.py": both, "b.py": both, "c.py": third})[1][2] == (
        "The Third Authors in 1 file; The Fork Authors in 2 files and Upstream, Inc in 2 files"
    )
