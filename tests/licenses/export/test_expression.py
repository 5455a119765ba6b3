import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.licenses.export.expression import expression_of


@pytest.mark.parametrize(
    ("text", "expression"),
    [
        ("apache-2.0", "Apache-2.0"),
        ("MIT", "MIT"),
        ("(mit or Apache-2.0) and LicenseRef-my.own-1", "(MIT OR Apache-2.0) AND LicenseRef-my.own-1"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0"),
        ("GPL-2.0+", "GPL-2.0+"),
        ("((MIT))", "((MIT))"),
    ],
)
def test_an_expression_is_spelled_as_on_the_list(text: str, expression: str):
    assert expression_of(text) == expression


@pytest.mark.parametrize(
    "text",
    ["", "other", "Apache 2.0", "MIT AND", "AND MIT", "MIT MIT", "(MIT", "MIT)", ")MIT(", "()", "MIT, BSD", "MIT/X", "MIT ()",
     "LicenseRef-", "MIT\u202e", "MIT AND " * 60 + "MIT"],
)  # fmt: skip
def test_what_is_no_expression_of_known_ids_gives_nothing(text: str):
    assert expression_of(text) is None


@given(st.text(alphabet="MIT()ANDOR +-.", max_size=40))
def test_an_expression_is_one_again(text: str):
    found = expression_of(text)
    assert found is None or expression_of(found) == found
