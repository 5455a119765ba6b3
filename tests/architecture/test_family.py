"""Tables of families: those that come with attest, and files that users give."""

from __future__ import annotations

import re
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from placed_shapes import placed

from attest.architecture import FAMILIES, read_family_file
from attest.architecture.family import FILES, PARTS, TRAITS, Family, parse_families
from attest.cli import main
from attest.errors import DocumentError, InputError

FOLDER = Path(__file__).resolve().parent.parent.parent / "attest" / "architecture" / "families"
TABLE = """
[mine]
title = "Names of one's own"
[mine.inLayer]
q = ["a.query"]
k = ["a.key"]
"router" = ["a.route"]
[mine.outside]
embed = ["words"]
"""


def test_every_table_is_shipped_and_listed():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(FILES)


def test_ids_differ_and_titles_say_something():
    assert len({family.id for family in FAMILIES}) == len(FAMILIES)
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", family.id) and family.title for family in FAMILIES)


def test_no_name_ends_in_a_part():
    """Such a name would be found whole and never by its module."""
    for family in FAMILIES:
        for name in (*family.in_layer, *family.outside):
            assert name.rpartition(".")[2] not in set(PARTS) - {"bias"}, (family.id, name)


def test_traits_are_of_roles_that_the_family_has():
    for family in FAMILIES:
        roles = {*family.in_layer.values(), "q.bias"}
        for traits in family.traits.values():
            assert {trait.removesuffix("?") for trait in traits} <= roles & set(TRAITS)


def test_a_file_of_ones_own(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text(TABLE)
    found = placed(
        {"x.layers.0.a.query.weight": (4, 4), "x.layers.0.a.query.bias": (4,), "x.words": (9, 4)},
        given=read_family_file(path),
    )
    assert {one.tensor.name: one.role for one in found.tensors} == {
        "x.layers.0.a.query.bias": "q.bias", "x.layers.0.a.query.weight": "q", "x.words": "embed",
    }  # fmt: skip
    (finding,) = found.findings
    assert (finding.code, finding.path) == ("architecture-file", "mine.toml")
    assert re.fullmatch(r"sha256 [0-9a-f]{64}; families: mine", finding.text)


def test_ones_own_family_comes_first_where_it_names_as_much(tmp_path: Path):
    path = tmp_path / "mine.toml"
    path.write_text('[mine]\ntitle = "As Llama"\nextends = "llama-like"\n')
    shapes = {"model.layers.0.self_attn.q_proj.weight": (4, 4)}
    config = {"model_type": "llama"}
    for file, expected in ((None, "llama-like"), (read_family_file(path), "mine")):
        found = placed(shapes, config, given=file)
        assert found.family
        assert found.family.id == expected


REFUSED = {
    "not TOML": "[mine",
    "not text": b"\xff\xfe",
    "deep": "a = " + "[" * 5000,
    "large": "# " + "x" * 2_000_000,
    "no table": "mine = 1",
    "no title": "[mine]\n",
    "an empty title": '[mine]\ntitle = ""',
    "an unknown key": '[mine]\ntitle = "x"\nmarker = "y"',
    "an unknown layout": '[mine]\ntitle = "x"\n[mine.layouts]\nqkv = "sideways"',
    "a layout of no fused role": '[mine]\ntitle = "x"\n[mine.layouts]\nq = "joined"',
    "an offset of two": '[mine]\ntitle = "x"\nnormOffset = 2',
    "an offset that is no integer": '[mine]\ntitle = "x"\nnormOffset = true',
    "a role with blanks": '[mine]\ntitle = "x"\n[mine.inLayer]\n"a b" = ["c"]',
    "a role in capitals": '[mine]\ntitle = "x"\n[mine.inLayer]\nQ = ["c"]',
    "names that are no list": '[mine]\ntitle = "x"\n[mine.inLayer]\nq = "c"',
    "an empty name": '[mine]\ntitle = "x"\n[mine.inLayer]\nq = [""]',
    "a name twice": '[mine]\ntitle = "x"\n[mine.inLayer]\nq = ["c"]\nk = ["c"]',
    "an unknown trait": '[mine]\ntitle = "x"\n[mine.traits]\nx = ["size"]',
    "a date": '[mine]\ntitle = "x"\nextends = 2026-01-01',
    "not a number": '[mine]\ntitle = "x"\nnormOffset = nan',
    "an unknown parent": '[mine]\ntitle = "x"\nextends = "nobody"',
    "itself as parent": '[mine]\ntitle = "x"\nextends = "mine"',
    "a family of attest": '[bert]\ntitle = "x"',
    "a name that cannot be printed": '["a\\u0007"]\ntitle = "x"',
    "no name": '[""]\ntitle = "x"',
}


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_files_that_are_refused(tmp_path: Path, text: str | bytes):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(DocumentError) as caught:
        read_family_file(path)
    assert caught.value.code in {"bad-architecture-file", "not-of-schema", "not-canonical"}
    assert caught.value.where.startswith("mine.toml")


@given(st.binary(max_size=200))
def test_any_bytes_are_families_or_a_coded_error(data: bytes):
    with suppress(DocumentError):
        assert {family.id for family in parse_families(data, where="x", known=())} == set(tomllib.loads(data.decode()))


@pytest.mark.parametrize("name", ["absent.toml", "."])
def test_a_file_that_is_not_there(tmp_path: Path, name: str):
    with pytest.raises(InputError) as caught:
        read_family_file(tmp_path / name)
    assert caught.value.code == "no-architecture-file"


def test_from_the_command_line(tmp_path: Path, family: Path):
    path = tmp_path / "mine.toml"
    path.write_text('[mine]\ntitle = "As Llama"\nextends = "llama-like"\n')
    out = CliRunner().invoke(main, ["inspect", str(family / "seed-1"), "--architecture", str(path)])
    assert out.exit_code == 0, out.output
    assert "layout      mine, 4 layers, 50 tensors, 0 without a role" in out.output
    assert "finding     architecture-file: mine.toml: sha256 " in out.output
    evidence = tmp_path / "evidence"
    words = ["measure", str(family / "seed-1"), "--architecture", str(path), "-o", str(evidence)]
    assert CliRunner().invoke(main, words).exit_code == 0
    again = ["reproduce", str(evidence), "--checkpoint", str(family / "seed-1")]
    assert CliRunner().invoke(main, [*again, "--architecture", str(path)]).exit_code == 0
    assert CliRunner().invoke(main, again).exit_code == 1


def test_the_kept_tables_are_the_parsed_ones():
    families: tuple[Family, ...] = ()
    for name in FILES:
        families += parse_families((FOLDER / name).read_bytes(), where=name, known=families)
    assert families == FAMILIES
