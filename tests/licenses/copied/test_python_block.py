import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.licenses.copied.python_block import PythonText, words_of

TEXT = '''\
import a

# Copied from x.y.First
@decorated(
    1,
)
class First(Base):
    """Words
of a docstring that leave the indentation."""

    def inner(
        self,
    ) -> int:
        return "def second(): pass"

    # Copied from x.y.First.last

    async def last(self): return 1
value = 3
def second(): pass
def second(a): pass
'''


def test_the_block_under_a_comment_is_whole_and_without_decorators():
    block = PythonText(TEXT).after(3)
    assert block is not None
    assert (block.name, block.number) == ("First", 7)
    assert block.text.startswith("class First(Base):\n")
    assert block.text.endswith("async def last(self): return 1\n")


@pytest.mark.parametrize(
    ("names", "numbers"),
    [
        (("First",), [7]),
        (("First", "inner"), [11]),
        (("First", "last"), [18]),
        (("second",), [20, 21]),
        (("last",), []),
    ],
)
def test_blocks_are_found_by_their_names(names: tuple[str, ...], numbers: list[int]):
    assert [block.number for block in PythonText(TEXT).named(names) or ()] == numbers


def test_what_is_too_long_is_not_called_absent():
    text = "class A:\n    def f(self):\n        x = 1\n" + "        x += 1\n" * 20_000
    assert PythonText(text).named(("A",)) is None
    assert PythonText(text).named(("A", "f")) is None
    assert PythonText(text).named(("B",)) == ()


@pytest.mark.parametrize("line", [0, 18, 21, 99])
def test_where_no_function_or_class_follows_there_is_none(line: int):
    assert PythonText(TEXT).after(line) is None


def test_words_leave_layout_comments_docstrings_quotes_and_the_own_name_out():
    one = 'def f(a, b):\n    """Doc."""\n    # note\n    return g(a, "x")\n'
    two = "def other(\n    a,\n    b,\n):\n  return g(a,\n    'x')"
    assert [word for word, _ in words_of(one)] == [word for word, _ in words_of(two)]
    assert [word for word, _ in words_of(one)] != [word for word, _ in words_of(one.replace("g(", "h("))]
    assert words_of(one)[-2] == ("x", 3)


@given(st.text(alphabet="ab \n\t()[]\"'\\#:@=,", max_size=200).map(lambda text: text + "\ndef f():\n  pass\n"))
def test_no_text_raises(text: str):
    python = PythonText(text)
    for number in range(text.count("\n") + 1):
        block = python.after(number)
        assert block is None or block.text in text
        words_of(block.text if block else "")


@pytest.mark.parametrize("part", ['"""', "(", "@a\n", "def f():\n ", "class A:\n", "\\\n", "'\\", "  "])
def test_one_endless_repetition_takes_bounded_time(part: str):
    python = PythonText(part * (60_000 // len(part)))
    assert all(len(block.text) <= 200_000 for block in python.named(("f",)) or ())
    python.after(1)
