import pytest

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
        ("Copyright (c) 2025", "2025", ""),
        ("", "", ""),
    ],
)  # fmt: skip
def test_years_and_holder(line: str, years: str, holder: str):
    statement = statement_of(line)
    assert (statement.years, statement.holder) == (years, holder)
