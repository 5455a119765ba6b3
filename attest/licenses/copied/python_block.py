"""Functions and classes of a Python text, found without the compiler: the text may be of any version, or broken."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Block", "PythonText", "words_of"]

_MAX_DEPTH = 8
_MAX_DECORATORS = 50
_MAX_SAME = 10
_MAX_STATEMENTS = 20_000
_MAX_BLOCK = 200_000

_STRING = (
    r'[A-Za-z]{0,2}(?:"""(?:[^"\\]|\\.?|"(?!""))*+(?:"""|\Z)'
    r"|'''(?:[^'\\]|\\.?|'(?!''))*+(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\.?)*+(?:"|(?=\n)|\Z)'
    r"|'(?:[^'\\\n]|\\.?)*+(?:'|(?=\n)|\Z))"
)
_TOKEN = re.compile(
    rf"(?P<gap>#[^\n]*|\\\n|[^\S\n]+)|(?P<string>{_STRING})|(?P<word>\w+)|(?P<end>\n)|(?P<mark>.)", re.DOTALL
)
_HEAD = re.compile(r"[^\S\n]*(?:async\s+)?(?:def|class)\s+(\w+)")
_QUOTES = re.compile(r"\A[A-Za-z]{0,2}[\"']{1,3}|[\"']{1,3}\Z")
_OPENING = frozenset("([{")
_CLOSING = frozenset(")]}")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogicalLine:
    """A statement, or the head of one. ``number`` counts from 1; ``begin`` is where its indentation begins."""

    number: int
    begin: int
    indent: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A function or class, without its decorators; ``number`` is the line of its head."""

    name: str
    number: int
    text: str


class PythonText:
    """A text, and where its statements, functions and classes begin."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = tuple(_lines(text))
        self._numbers = [line.number for line in self._lines]
        self._places: dict[tuple[str, ...], list[int]] = {}
        around: list[tuple[int, str]] = []
        for place, line in enumerate(self._lines):
            while around and around[-1][0] >= line.indent:
                around.pop()
            head = _HEAD.match(text, line.begin)
            if head and len(around) < _MAX_DEPTH:
                around.append((line.indent, head[1]))
                self._places.setdefault(tuple(name for _, name in around), []).append(place)

    def after(self, number: int) -> Block | None:
        """The function or class whose head or decorators are the next statement after a line, or None."""
        place = bisect_right(self._numbers, number)
        last = min(place + _MAX_DECORATORS, len(self._lines))
        while place < last and self._text.startswith("@", self._lines[place].begin + self._lines[place].indent):
            place += 1
        return self._block(place) if place < last else None

    def named(self, names: tuple[str, ...]) -> tuple[Block, ...]:
        """Functions and classes of a name, or of a name in a class of a name; several where it is defined anew."""
        blocks = (self._block(place) for place in self._places.get(names, ())[:_MAX_SAME])
        return tuple(block for block in blocks if block)

    def _block(self, place: int) -> Block | None:
        first = self._lines[place]
        head = _HEAD.match(self._text, first.begin)
        if head is None:
            return None
        begins = (
            line.begin for line in self._lines[place + 1 : place + _MAX_STATEMENTS] if line.indent <= first.indent
        )
        text = self._text[first.begin : next(begins, len(self._text))]
        return Block(name=head[1], number=first.number, text=text) if len(text) <= _MAX_BLOCK else None


def _lines(text: str) -> Iterator[LogicalLine]:
    """Statements of a text in order, without lines that are empty or comments only."""
    depth = begin = 0
    number = 1
    is_open = False
    for token in _TOKEN.finditer(text):
        kind = token.lastgroup
        if kind == "end":
            if depth == 0:
                is_open, begin = False, token.end()
        elif kind != "gap":
            if not is_open:
                is_open = True
                yield LogicalLine(number=number, begin=begin, indent=token.start() - begin)
            depth = max(depth + (token[0] in _OPENING) - (token[0] in _CLOSING), 0)
        number += token[0].count("\n")


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
