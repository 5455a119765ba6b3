from hypothesis import given
from hypothesis import strategies as st

from attest.licenses.source import MAX_TEXT, Source, cut


def lines(data: bytes, *words: bytes) -> list[tuple[int, str]]:
    return [(excerpt.line, excerpt.text) for excerpt in Source.of("a", data).excerpts(*words)]


def test_each_line_with_a_word_is_given_once_with_its_number():
    data = b"none\nA word and a WORD\n\nother\nword"
    assert lines(data, b"word") == [(2, "A word and a WORD"), (5, "word")]


def test_several_words_come_in_the_order_of_the_file():
    assert lines(b"b\na\nb a\n", b"a", b"b") == [(1, "b"), (2, "a"), (3, "b a")]


def test_every_kind_of_line_ending_counts():
    assert lines(b"1\r\n2\r3\nword", b"word") == [(4, "word")]


def test_a_byte_order_mark_is_no_part_of_the_first_line():
    assert lines(b"\xef\xbb\xbfword", b"word") == [(1, "word")]


def test_of_a_long_line_the_part_around_the_word_is_given():
    (only,) = lines(b"one\n" + b"x" * 5000 + b"word" + b"y" * 5000 + b"\nend", b"word")
    assert only == (2, "x" * 60 + "word" + "y" * 696)


def test_a_long_line_with_distant_words_gives_several_excerpts_that_do_not_overlap():
    found = lines((b"word" + b"." * 996) * 3, b"word")
    assert [text.count("word") for _, text in found] == [1, 1, 1]
    assert {line for line, _ in found} == {1}


def test_bytes_that_are_not_utf_8_are_replaced():
    assert lines("word Müller".encode("latin-1"), b"word") == [(1, "word M\ufffdller")]


def test_a_word_that_occurs_once_has_a_line():
    source = Source.of("a", b"one\ntwo\ntwo")
    assert source.line_of(b"one") == 1
    assert source.line_of(b"two") is None
    assert source.line_of(b"three") is None


@given(st.text())
def test_a_cut_text_is_short_and_free_of_control_characters(text: str):
    short = cut(text)
    assert len(short) <= MAX_TEXT
    assert all(character == "\t" or not (ord(character) < 32 or 127 <= ord(character) < 160) for character in short)


@given(st.lists(st.sampled_from([b"word", b"x" * 290, b"\n", b" ", b"\r\n", b"y" * 701]), max_size=40).map(b"".join))
def test_every_word_is_in_exactly_one_excerpt_or_cut_by_its_end(data: bytes):
    source = Source.of("a", data)
    excerpts = list(source.excerpts(b"word"))
    assert sum(excerpt.text.count("word") for excerpt in excerpts) <= source.data.count(b"word")
    assert len(excerpts) >= len([line for line in source.data.split(b"\n") if b"word" in line])
    assert [excerpt.line for excerpt in excerpts] == sorted(excerpt.line for excerpt in excerpts)
    assert {excerpt.line for excerpt in excerpts} == {
        number for number, line in enumerate(source.data.split(b"\n"), start=1) if b"word" in line
    }
