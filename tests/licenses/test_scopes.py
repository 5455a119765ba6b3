from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_license import license_words
from small_checkpoint import write_tensors

from attest.licenses.expression import expression_of, joined
from attest.licenses.scan import scan
from attest.licenses.scopes import scopes


@pytest.mark.parametrize(
    ("value", "expression"),
    [
        ("mit", "MIT"),
        ("(Apache-2.0 or mit) AND isc", "(Apache-2.0 OR MIT) AND ISC"),
        ("GPL-2.0-or-later with Classpath-exception-2.0", "GPL-2.0-or-later WITH Classpath-exception-2.0"),
        ("LicenseRef-mine", "LicenseRef-mine"),
        ("MIT License", None),
        ("MIT OR", None),
        ("MIT/Apache-2.0", None),
        ("MIT\u202e", None),
        ("other", None),
        ("", None),
    ],
)
def test_expressions_are_spelled_as_the_list_spells_them(value: str, expression: str | None):
    assert expression_of(value) == expression


@given(
    st.lists(st.sampled_from(["MIT", "(", ")", "AND", "or", "WITH", " ", "ISC", "x", "+", ":", "\u202e"]), max_size=60)
)
def test_no_value_raises_and_what_is_read_is_read_again(parts: list[str]):
    expression = expression_of(" ".join(parts))
    assert expression is None or expression_of(expression) == expression


def test_a_nest_of_parentheses_is_read_or_refused():
    assert expression_of("(" * 250 + "MIT" + ")" * 250) == "MIT"
    assert expression_of("(" * 500) is None


def test_expressions_are_joined_once_each():
    assert joined(["MIT", "ISC OR MIT", "MIT"]) == "(ISC OR MIT) AND MIT"


def found(root: Path, files: dict[str, str]) -> dict[str, tuple[str, int]]:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return {one.scope: (one.expression, one.unread) for one in scopes(scan(root))}


def test_weights_code_and_data_have_licenses_of_their_own(tmp_path: Path):
    write_tensors(tmp_path / "model.safetensors", {"a": np.zeros(2, np.float32)}, {"license": "llama3"})
    files = {
        "README.md": "---\nlicense: cc-by-4.0\n---\n",
        "LICENSE-CODE": license_words("MIT"),
        "pyproject.toml": '[project]\nlicense = "Apache-2.0 OR MIT"\n',
        "train.py": "# SPDX-License-Identifier: ISC\n",
        "data/LICENSE": license_words("CC0-1.0"),
        "data/words.txt": "SPDX-License-Identifier: something\n",
        "LICENSE": license_words("Apache-2.0"),
        "REUSE.toml": '[[annotations]]\npath = "docs/**"\nSPDX-License-Identifier = "CC-BY-SA-4.0"\n',
        "weights.bin.license": "SPDX-License-Identifier: 0BSD\n",
    }
    assert found(tmp_path, files) == {
        "weights": ("0BSD AND CC-BY-4.0 AND LicenseRef-llama-3", 0),
        "code": ("(Apache-2.0 OR MIT) AND ISC AND MIT", 0),
        "data": ("CC0-1.0", 1),
        "documentation": ("CC-BY-SA-4.0", 0),
        "repository": ("Apache-2.0", 0),
    }


def test_a_changed_text_gives_no_expression(tmp_path: Path):
    found(tmp_path, {"LICENSE": license_words("MIT").replace("without restriction", "with restriction")})
    (one,) = scopes(scan(tmp_path))
    assert (one.scope, one.expression, one.found, one.unread) == ("repository", "", (), 1)


def test_the_first_place_and_the_number_of_files_are_told(tmp_path: Path):
    found(tmp_path, {f"{name}.py": "\n# SPDX-License-Identifier: MIT\n" * 2 for name in "abc"})
    ((one,),) = (scope.found for scope in scopes(scan(tmp_path)))
    assert (one.expression, one.basis, one.path, one.line, one.files) == ("MIT", "tag", "a.py", 2, 3)
