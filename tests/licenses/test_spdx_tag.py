import pytest

from attest.licenses.source import Source
from attest.licenses.spdx_tag import detect


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("# SPDX-License-Identifier: MIT", "MIT"),
        ("/* SPDX-License-Identifier: (GPL-2.0-only OR MIT) */", "(GPL-2.0-only OR MIT)"),
        ("<!-- SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception -->", "Apache-2.0 WITH LLVM-exception"),
        ("{# spdx-license-identifier: LicenseRef-Own #}", "LicenseRef-Own"),
        ('text = "SPDX-License-Identifier: MIT\\n"', "MIT"),
        ('call("SPDX-License-Identifier: MIT")', "MIT"),
        ("# SPDX-License-Identifier: MIT, but not on Sundays", "MIT, but not on Sundays"),
    ],
)
def test_the_expression_is_given_without_what_closes_the_comment(line: str, value: str):
    (finding,) = detect(Source.of("a", line.encode()))
    assert (finding.code, finding.line, finding.text) == ("spdx-license", 1, value)


def test_copyright_texts_have_their_own_code():
    data = b"# SPDX-FileCopyrightText: 2024 A <a@example.org>\n# SPDX-SnippetCopyrightText: (c) B\n"
    assert [(finding.code, finding.line, finding.text) for finding in detect(Source.of("a", data))] == [
        ("spdx-copyright", 1, "2024 A <a@example.org>"),
        ("spdx-copyright", 2, "(c) B"),
    ]


@pytest.mark.parametrize(
    "line", ["SPDX-License-Identifier:", "SPDX-License-Identifier: <license>", "SPDX-License: MIT"]
)
def test_a_placeholder_or_nothing_is_no_tag(line: str):
    assert list(detect(Source.of("a", line.encode()))) == []
