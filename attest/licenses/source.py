"""A text file as detectors see it: its bytes, its lines, and the excerpts around a word."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

from attest.finding import Finding
from attest.licenses.encoding import readable

__all__ = ["MAX_TEXT", "Detector", "Excerpt", "Source", "cut"]

MAX_TEXT = 500
"""Characters of a finding's text."""

_BEFORE = 300
_BEFORE_CUT = 60
_AFTER = 700
_CONTROLS = {code: "\ufffd" for code in (*range(32), *range(127, 160)) if chr(code) != "\t"}


def cut(text: str) -> str:
    r"""Text without surrounding blanks, at most ``MAX_TEXT`` characters, control characters as U+FFFD.

    Examples
    --------
    >>> cut("  MIT\x1b[2J ")
    'MIT\ufffd[2J'
    """
    return text.strip()[:MAX_TEXT].translate(_CONTROLS)


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """A line, or the part of a long line around a word. ``line`` counts from 1, ``end`` is where it ends in the data."""

    line: int
    text: str
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    r"""One file of a repository.

    Parameters
    ----------
    path : str
        POSIX path relative to the repository.
    raw : bytes
        The file as it was read.
    data : bytes
        The same in UTF-8 where it was UTF-16 or GB18030, without a byte order mark, every line ending as ``\n``.
    lowered : bytes
        ``data`` with ASCII letters in lower case, so that words are found at the same places.
    """

    path: str
    raw: bytes
    data: bytes
    lowered: bytes

    @classmethod
    def of(cls, path: str, raw: bytes) -> Source:
        """Source of a file's bytes, in any encoding that contains ASCII, or in UTF-16 or GB18030."""
        data = readable(raw).removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return cls(path=path, raw=raw, data=data, lowered=data.lower())

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rpartition("/")[2]

    @property
    def text(self) -> str:
        """``data`` as text; bytes that are not UTF-8 stand as U+FFFD."""
        return self.data.decode("utf-8", "replace")

    def finding(self, code: str, line: int | None, text: str) -> Finding:
        """A finding in this file; its text is cut."""
        return Finding(code=code, path=self.path, line=line, text=cut(text))

    def excerpts(self, *words: bytes) -> Iterator[Excerpt]:
        """Excerpts that hold one of the words, in order, none overlapping another.

        Parameters
        ----------
        words : bytes
            Lower-case ASCII, or exact bytes.

        Yields
        ------
        Excerpt
            The line of a word, but at most 700 bytes from the word on, and where the line begins more than 300 bytes
            before the word, from 60 bytes before it. Bytes that are not UTF-8 are read as U+FFFD.

        Notes
        -----
        Takes time linear in the file's size, whatever it holds, and makes no excerpt longer than 1,000 bytes: a
        pattern that is run on an excerpt cannot be made to hang by one endless line.
        """
        end = 0
        line = 1
        counted = 0
        for hit in heapq.merge(*(self.places(word) for word in words)):
            if hit < end:
                continue
            begin = self._begin(hit, end)
            stop = self.data.find(b"\n", hit, hit + _AFTER)
            end = stop if stop >= 0 else min(hit + _AFTER, len(self.data))
            line += self.data.count(b"\n", counted, begin)
            counted = begin
            yield Excerpt(line=line, text=self.data[begin:end].decode("utf-8", "replace"), end=end)

    def line_after(self, excerpt: Excerpt) -> Excerpt | None:
        """The line behind an excerpt that ends with its line, at most 700 bytes of it, or None."""
        begin = excerpt.end + 1
        if self.data[excerpt.end : begin] != b"\n":
            return None
        stop = self.data.find(b"\n", begin, begin + _AFTER)
        end = stop if stop >= 0 else min(begin + _AFTER, len(self.data))
        return Excerpt(line=excerpt.line + 1, text=self.data[begin:end].decode("utf-8", "replace"), end=end)

    def _begin(self, hit: int, end: int) -> int:
        """Where the excerpt around a hit begins, after the one that ended at ``end``."""
        newline = self.data.rfind(b"\n", max(end, hit - _BEFORE), hit)
        if newline >= 0:
            return newline + 1
        return end if hit <= _BEFORE else max(end, hit - _BEFORE_CUT)

    def line_of(self, word: bytes) -> int | None:
        """Line of a word that occurs exactly once, or None."""
        first = self.data.find(word)
        if first < 0 or self.data.find(word, first + 1) >= 0:
            return None
        return self.data.count(b"\n", 0, first) + 1

    def places(self, word: bytes) -> Iterator[int]:
        """Where a word, in lower case, stands in the data."""
        hit = self.lowered.find(word)
        while hit >= 0:
            yield hit
            hit = self.lowered.find(word, hit + len(word))


Detector: TypeAlias = Callable[[Source], Iterator[Finding]]
"""What a detector is: a function from one file to its findings, in the order of the file."""
