import hashlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.activation.prompts import PROMPT_SETS, load_prompt_set, parse_prompts, random_token_ids, read_prompts
from attest.document import canonical, dump
from attest.errors import DocumentError, InputError
from attest.resource import resource


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_every_set_is_the_file_that_its_digest_names(name: str):
    data = resource(f"activation/prompt_sets/{name}.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == PROMPT_SETS[name]
    assert load_prompt_set(name).id == name == json.loads(data)["id"]


def test_every_shipped_file_is_listed():
    shipped = {path.stem for path in resource("activation/prompt_sets").iterdir()}
    assert shipped == set(PROMPT_SETS)


def test_the_english_set_holds_eight_to_twelve_short_texts():
    prompts = load_prompt_set("general-en")
    assert 8 <= len(prompts.texts) == prompts.sequences <= 12
    assert all(text.isascii() and 50 <= len(text) <= 300 for text in prompts.texts)


@pytest.mark.parametrize("name", [name for name in PROMPT_SETS if name != "random-tokens"])
def test_every_set_of_texts_is_within_the_limits_of_a_users_own(name: str):
    inputs = load_prompt_set(name)
    own = canonical(dump(inputs) | {"id": "own"})
    assert parse_prompts(own, where="own.json").inputs.texts == inputs.texts
    assert sum(map(len, inputs.texts)) > 300


def test_a_users_own_set_is_read_from_its_file(tmp_path: Path):
    path = tmp_path / "own.json"
    path.write_bytes(canonical({"id": "own", "about": "", "sequences": 1, "tokens": 4, "texts": ["a b"]}))
    prompts = read_prompts(str(path))
    assert (prompts.inputs.texts, prompts.shipped) == (("a b",), False)
    assert prompts.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read_prompts("general-en").shipped


@pytest.mark.parametrize(
    "change",
    [
        {"id": "general-en"},
        {"id": "../x"},
        {"sequences": 2},
        {"sequences": 0, "texts": []},
        {"tokens": 513},
        {"tokens": 0},
        {"texts": None},
        {"texts": [""]},
        {"texts": ["x" * 20_000]},
    ],
)
def test_a_set_beyond_the_limits_is_refused(change: dict):
    value = {"id": "own", "about": "", "sequences": 1, "tokens": 4, "texts": ["a b"]} | change
    with pytest.raises(DocumentError) as caught:
        parse_prompts(canonical(value), where="own.json")
    assert caught.value.code == "bad-prompt-set"


@given(st.binary(max_size=200))
def test_any_bytes_are_a_set_or_one_error(data: bytes):
    with pytest.raises(DocumentError):
        parse_prompts(data, where="own.json")


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(InputError, match="cannot be read") as caught:
        read_prompts(str(tmp_path / "none.json"))
    assert caught.value.code == "unknown-prompt-set"


def test_an_unknown_name_lists_the_shipped_ones():
    with pytest.raises(InputError) as caught:
        load_prompt_set("../secret")
    assert caught.value.code == "unknown-prompt-set"
    assert all(name in caught.value.fix for name in PROMPT_SETS)


def test_a_changed_file_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(PROMPT_SETS, "general-en", "0" * 64)
    with pytest.raises(InputError, match="is not the file that this version") as caught:
        load_prompt_set("general-en")
    assert caught.value.code == "prompt-set-changed"


def test_random_tokens_are_pinned():
    ids = random_token_ids(load_prompt_set("random-tokens"), vocab_size=256, tokens=4)
    assert ids[:2] == ((24, 31, 182, 210), (8, 209, 220, 245))
    assert len(ids) == 8


@given(vocab_size=st.integers(1, 2**32), tokens=st.integers(1, 64))
def test_random_tokens_follow_the_documented_formula(vocab_size: int, tokens: int):
    ids = random_token_ids(load_prompt_set("random-tokens"), vocab_size=vocab_size, tokens=tokens)
    for number, sequence in enumerate(ids):
        stream = hashlib.shake_256(f"attest prompt set random-tokens sequence {number}\n".encode()).digest(8 * tokens)
        words = [int.from_bytes(stream[8 * place : 8 * place + 8], "little") for place in range(tokens)]
        assert list(sequence) == [word % vocab_size for word in words]
