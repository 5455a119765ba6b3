import pytest

from attest.licenses.model_card import detect
from attest.licenses.source import Source


def declared(card: str, name: str = "README.md") -> list[tuple[str, int | None, str]]:
    return [(finding.code, finding.line, finding.text) for finding in detect(Source.of(name, card.encode()))]


def test_a_card_declares_license_name_link_and_base_model():
    card = "---\nlanguage: en\nlicense: other\nlicense_name: kimi-k2\nlicense_link: LICENSE\nbase_model: org/base\n---\n# Hi"
    assert declared(card) == [
        ("declared-license", 3, "other"),
        ("declared-license-name", 4, "kimi-k2"),
        ("declared-license-link", 5, "LICENSE"),
        ("declared-base-model", 6, "org/base"),
    ]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("license: apache-2.0", "apache-2.0"),
        ("license: 'apache-2.0'  # comment", "apache-2.0"),
        ('license: "apache #2"', "apache #2"),
        ("license: mit # comment", "mit"),
        ("license: [mit, 'apache-2.0']", "mit, apache-2.0"),
        ("license:\n- mit\n- apache-2.0\ntags:\n- x", "mit, apache-2.0"),
        ("license:\n  - mit\n  - apache-2.0", "mit, apache-2.0"),
        ("license: mit\r", "mit"),
    ],
)
def test_scalars_and_lists_are_read(field: str, value: str):
    assert declared(f"---\n{field}\n---\n") == [("declared-license", 2, value)]


@pytest.mark.parametrize("value", ["|", ">-", "&anchor mit", "*alias", "!!str mit", "{a: b}", "[mit,"])
def test_other_yaml_is_reported_and_not_read(value: str):
    ((code, line, text),) = declared(f"---\nlicense: {value}\n  more\n---\n")
    assert (code, line) == ("declaration-not-read", 2)
    assert text.startswith(f"license: {value}")


@pytest.mark.parametrize(
    "card",
    [
        "license: mit\n",
        "# Title\n---\nlicense: mit\n---\n",
        "---\nlicense: mit\n",
        "--- \n  license: mit\n---\n",
        "---\nlicense:\n---\n",
        "---\nlicenses: mit\n---\nlicense: mit\n",
        "---- \nlicense: mit\n---\n",
    ],
)
def test_nothing_is_declared_outside_the_top_level_of_closed_front_matter(card: str):
    assert declared(card) == []


def test_a_field_that_stands_twice_is_given_twice():
    assert [text for _, _, text in declared("---\nlicense: mit\nlicense: apache-2.0\n---\n")] == ["mit", "apache-2.0"]


def test_only_readme_files_are_cards():
    assert declared("---\nlicense: mit\n---\n", name="docs/readme.md") == [("declared-license", 2, "mit")]
    assert declared("---\nlicense: mit\n---\n", name="other.md") == []
