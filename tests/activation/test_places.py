from hypothesis import given
from hypothesis import strategies as st

from attest.activation.places import MOST_PLACES, places_of_text, places_of_tokens, table_of_places

TEXT = "one two, three-four 五六 seven"


def test_places_are_ends_of_words_but_the_first():
    ends = [0, *(index + 1 for index in range(len(TEXT)))]  # a token that is not of the text, then one a character
    found = places_of_text(TEXT, ends, sequences=1)
    assert [TEXT[:end].rsplit(maxsplit=1)[-1] for end in found.ends] == [
        "two",
        "three",
        "three-four",
        "五",
        "五六",
        "seven",
    ]
    assert found.tokens == found.ends


def test_tokenizers_that_cut_otherwise_have_the_same_places():
    by_words = [3, 7, 8, 14, 19, 22, 28]
    by_pieces = [1, 3, 4, 5, 7, 8, 11, 14, 15, 17, 19, 20, 21, 22, 25, 28]
    first, second = (places_of_text(TEXT, ends, sequences=1) for ends in (by_words, by_pieces))
    assert set(first.ends) & set(second.ends) == {7, 14, 19, 22, 28}


def test_the_last_token_that_ends_with_a_word_counts():
    assert places_of_text("a bc", [1, 4, 4], sequences=1).tokens == (2,)


def test_what_was_cut_off_has_no_places():
    assert places_of_text("a b c", [1, 3], sequences=1).ends == (3,)


def test_places_of_tokens_leave_the_first_out():
    assert places_of_tokens(5, sequences=8).tokens == (1, 2, 3, 4)


@given(lengths=st.lists(st.integers(1, 400), min_size=1, max_size=600))
def test_there_are_never_too_many(lengths: list[int]):
    places = [places_of_tokens(length, sequences=len(lengths)) for length in lengths]
    table = table_of_places(places)
    assert table.shape == (sum(len(one.ends) for one in places), 2)
    assert len(table) <= max(MOST_PLACES, len(lengths))


@given(text=st.text(max_size=300), ends=st.lists(st.integers(0, 300), max_size=60))
def test_any_text_gives_places_that_tokens_end_at(text: str, ends: list[int]):
    found = places_of_text(text, ends, sequences=3)
    assert all(ends[token] == end for token, end in zip(found.tokens, found.ends, strict=True))
    assert list(found.ends) == sorted(found.ends)
