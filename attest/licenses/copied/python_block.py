"""Functions and classes of a Python text, found without the compiler: the text may be of any version, or broken."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

from attest.licenses.quoted import ONE_LINE, TRIPLE

__all__ = ["Block", "PythonText", "words_of"]

_TIMES_READ = 8
_MAX_DECORATORS = 50
_MAX_GAP = 4_000
"""Characters from a comment to the head under it, with decorators, and from the head of a class to its body."""

_MAX_SAME = 10
_MAX_STATEMENTS = 20_000
_MAX_BLOCK = 200_000

_STRING = rf"[A-Za-z]{{0,2}}(?:{TRIPLE}|{ONE_LINE})"
_TOKEN = re.compile(
    rf"(?P<gap>#[^\n]*|\\\n|[^\S\n]+)|(?P<string>{_STRING})|(?P<word>\w+)|(?P<end>\n)|(?P<mark>.)", re.DOTALL
)
_HEAD = re.compile(r"^([^\S\n]*)(?:async[^\S\n]+)?(?:def|class)[^\S\n]+(\w+)", re.MULTILINE)
_QUOTES = re.compile(r"\A[A-Za-z]{0,2}[\"']{1,3}|[\"']{1,3}\Z")
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogicalLine:
    """A statement, or the head of one. ``begin`` is where its indentation begins."""

    begin: int
    indent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A function or class, without its decorators; ``number`` is the line of its head, ``begin`` where that begins."""

    name: str
    number: int
    begin: int
    text: str


class PythonText:
    """A text in which functions and classes are looked up, each by reading from its head to its end alone.

    All look-ups together read a limited number of times the text's own length, and find nothing beyond that.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._room = _TIMES_READ * len(text)
        self._found: dict[tuple[str, ...], tuple[Block, ...] | None] = {}

    def after(self, number: int) -> Block | None:
        """The function or class whose head or decorators are the next statement after a line, or None."""
        begin = self._line_begins[number] if number < len(self._line_begins) else len(self._text)
        for line in islice(_lines(self._text, begin, begin + _MAX_GAP), _MAX_DECORATORS):
            if not self._text.startswith("@", line.begin + line.indent):
                return self._block(line)
        return None

    def named(self, names: tuple[str, ...]) -> tuple[Block, ...] | None:
        """Functions and classes of a name, or of a name in a class of a name; several where it is defined anew.

        None where there is one, but too long to be read.
        """
        if names not in self._found:
            found = list(self._named(names))
            self._found[names] = None if None in found else tuple(block for block in found if block)
        return self._found[names]

    def _named(self, names: tuple[str, ...]) -> Iterator[Block | None]:
        if len(names) == 1:
            yield from self._members(0, len(self._text), 0, names[0])
            return
        around = self.named(names[:-1])
        if around is None:
            yield None
        for outer in around or ():
            lines = _lines(self._text, outer.begin, outer.begin + _MAX_GAP)
            body = next(islice(lines, 1, 2), None)
            if body is not None:
                yield from self._members(body.begin, outer.begin + len(outer.text), body.indent, names[-1])

    def _members(self, begin: int, end: int, indent: int, name: str) -> Iterator[Block | None]:
        """Functions and classes of a name between two places, with this indentation; None for what is too long."""
        heads = (head for head in _HEAD.finditer(self._text, begin, end) if head[2] == name and len(head[1]) == indent)
        for head in islice(heads, _MAX_SAME):
            yield self._block(LogicalLine(begin=head.start(), indent=indent))

    @cached_property
    def _line_begins(self) -> list[int]:
        return [0, *(newline.end() for newline in re.finditer("\n", self._text))]

    def _block(self, line: LogicalLine) -> Block | None:
        """The function or class that a line begins."""
        head = _HEAD.match(self._text, line.begin)
        if head is None or self._room <= 0:
            return None
        lines = islice(_lines(self._text, line.begin, len(self._text)), 1, _MAX_STATEMENTS)
        end = next((other.begin for other in lines if other.indent <= line.indent), len(self._text))
        self._room -= end - line.begin
        number = bisect_right(self._line_begins, line.begin)
        text = self._text[line.begin : end]
        return Block(name=head[2], number=number, begin=line.begin, text=text) if len(text) <= _MAX_BLOCK else None


def _lines(text: str, begin: int, end: int) -> Iterator[LogicalLine]:
    """Statements that begin between the beginning of a line and a place, without lines that are comments only."""
    depth = 0
    is_open = False
    for token in _TOKEN.finditer(text, begin, end):
        kind = token.lastgroup
        if kind == "end":
            if depth == 0:
                is_open, begin = False, token.end()
        elif kind != "gap":
            if not is_open:
                is_open = True
                yield LogicalLine(begin=begin, indent=token.start() - begin)
            depth = max(depth + (token[0] in _OPENING) - (token[0] in _CLOSING), 0)


def words_of(block: str) -> tuple[tuple[str, int], ...]:
    """Words and marks of a block with their lines, from 0; without its own name, comments, docstrings and layout."""
    words: list[tuple[str, int]] = []
    line = 0
    starts = True
    for token in _TOKEN.finditer(block):
        kind, text = token.lastgroup, token[0]
        if kind == "string" and starts and text.endswith(('"""', "'''")):
            kind = "gap"
        elif kind == "string":
            text = _QUOTES.sub("", text)
        if kind in ("string", "word", "mark"):
            if text in _CLOSING and words and words[-1][0] == ",":
                words.pop()
            words.append((text, line))
            starts = text == ":"
        line += token[0].count("\n")
    name = next((place for place, (word, _) in enumerate(words) if word in ("def", "class")), -1) + 1
    return tuple(words[:name] + words[name + 1 :])
