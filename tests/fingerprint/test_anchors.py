"""Anchors: the same words in tokenizers of every kind, and nothing out of hostile ones."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from relabeled import byte_tokenizer, weights, write
from small_checkpoint import read_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.errors import InputError
from attest.fingerprint import anchors
from attest.fingerprint.anchors import ANCHORS_SHA256, Anchors, anchor_strings, read_anchors, token_texts
from attest.resource import resource

ROOT = Path(__file__).resolve().parent.parent.parent


def found_in(folder: Path) -> Anchors | str:
    return read_anchors(place_tensors(open_checkpoint(folder)))


def vocabulary(tokens: Any, **more: Any) -> dict[str, Any]:
    return {"model": {"vocab": tokens, **more}}


def test_the_list_is_the_one_that_its_script_writes():
    path = ROOT / "scripts" / "make_anchor_strings.py"
    spec = importlib.util.spec_from_file_location("make_anchor_strings", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert len(set(anchor_strings())) == len(anchor_strings()) == script.COUNT
    assert set(script.strings()[:149]) == set(anchor_strings()[:149])
    assert hashlib.sha256(resource("fingerprint/anchor_strings.json").read_bytes()).hexdigest() == ANCHORS_SHA256


def test_a_changed_list_is_refused(monkeypatch: pytest.MonkeyPatch):
    anchor_strings.cache_clear()
    monkeypatch.setattr(anchors, "ANCHORS_SHA256", "0" * 64)
    with pytest.raises(InputError) as caught:
        anchor_strings()
    assert caught.value.code == "anchors-changed"
    anchor_strings.cache_clear()


KINDS = {
    "byte level": vocabulary({"Ġthe": 5, "the": 3, "Ċ": 1}),
    "SentencePiece": vocabulary({"▁the": 5, "the": 3, "\n": 1}),
    "SentencePiece with numbers": vocabulary([["<unk>", 0], ["\n", -1.5], ["x", -2], ["the", -3], ["y", -4], ["▁the", -5]]),
    "WordPiece": vocabulary({"the": 5, "##the": 3, "##\n": 1}, continuing_subword_prefix="##"),
}  # fmt: skip


@pytest.mark.parametrize("tokenizer", KINDS.values(), ids=KINDS)
def test_words_are_the_same_in_every_kind_of_tokenizer(tokenizer: dict[str, Any]):
    texts = token_texts(tokenizer)
    assert (texts[" the"], texts["the"], texts["\n"]) == (5, 3, 1)


def test_of_two_tokens_with_one_text_the_first_counts():
    assert token_texts(vocabulary({" a": 9, "Ġa": 4, "Ġb": 7})) == {" a": 4, " b": 7}


trees = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["model", "vocab", "Ġthe", "a"]), inner)
    ),
)


@given(trees)
def test_any_tree_is_a_tokenizer_or_none(tree: Any):
    assert all(isinstance(text, str) and row >= 0 for text, row in token_texts(tree).items())


def test_rows_are_those_of_the_tokens(tmp_path: Path):
    found = found_in(write(weights("seed-1"), tmp_path / "one"))
    assert isinstance(found, Anchors)
    assert len(found.strings) == 97
    assert bytes(found.rows.tolist()).decode() == "".join(found.strings)
    embedding = read_tensors(tmp_path / "one")["model.embed_tokens.weight"]
    np.testing.assert_array_equal(found.bits, embedding[found.rows])


def test_rows_far_apart_are_read_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write(weights("seed-1"), tmp_path / "one")
    near = found_in(folder)
    monkeypatch.setattr(anchors, "_GAP", 0)
    far = found_in(folder)
    assert isinstance(near, Anchors)
    assert isinstance(far, Anchors)
    np.testing.assert_array_equal(near.bits, far.bits)


def test_unit_rows_are_centered_and_what_is_not_finite_says_nothing(tmp_path: Path):
    model = weights("seed-1")
    model["embed_tokens.weight"][ord("a")] = np.nan
    found = found_in(write(model, tmp_path / "one"))
    assert isinstance(found, Anchors)
    unit = found.unit_rows()
    place = found.strings.index("a")
    assert not unit[place].any()
    np.testing.assert_allclose(np.linalg.norm(np.delete(unit, place, axis=0), axis=1), 1)


REASONS = {
    "no tokenizer": (None, "there is no tokenizer.json"),
    "not JSON": ("{", "cannot be read"),
    "a key twice": ('{"model": 1, "model": 2}', "cannot be read"),
    "few tokens": (json.dumps(vocabulary({"a": 1, "b": 2})), "at least 64"),
    "ids beyond the embedding": (json.dumps(vocabulary({text: 300 + at for at, text in enumerate("abc")})), "at least 64"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "words"), REASONS.values(), ids=REASONS)
def test_where_there_are_no_anchors_it_is_said(tmp_path: Path, text: str | None, words: str):
    folder = write(weights("seed-1"), tmp_path / "one", tokenizer=False)
    if text is not None:
        (folder / "tokenizer.json").write_text(text)
    found = found_in(folder)
    assert isinstance(found, str)
    assert words in found


def test_without_an_embedding_there_are_no_anchors(tmp_path: Path):
    model = {name: value for name, value in weights("seed-1").items() if "embed" not in name}
    assert found_in(write(model, tmp_path / "one")) == "no embedding of floating-point values was recognized"


def test_the_byte_tokenizer_knows_every_byte():
    assert sorted(token_texts(byte_tokenizer()).values()) == list(range(256))
