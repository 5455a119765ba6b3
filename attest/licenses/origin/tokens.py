"""The tokens of a program, without comments, and the fingerprints that are made of them.

References
----------
Schleimer, Wilkerson, Aiken, "Winnowing: Local Algorithms for Document Fingerprinting", SIGMOD 2003, section 3.
"""

from __future__ import annotations

import keyword
import re
from collections import Counter
from dataclasses import dataclass
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from attest.licenses.quoted import ONE_LINE, TRIPLE

__all__ = ["GRAM", "MIN_TOKENS", "WINDOW", "Fingerprint", "all_grams", "fingerprint", "is_code"]

GRAM = 12
"""Tokens of a gram: shorter runs in common are not seen."""

WINDOW = 8
"""Grams of a window: of each run of ``GRAM + WINDOW - 1`` equal tokens at least one gram is in both fingerprints."""

MIN_TOKENS = 80
"""Files with fewer tokens are too short to be compared."""

_HASH_COMMENTS = frozenset({"py", "pyi", "sh", "bash", "cmake", "rb", "r", "jl", "pl"})
_SLASH_COMMENTS = frozenset(
    {
        "c",
        "cc",
        "cpp",
        "cxx",
        "cu",
        "cuh",
        "hip",
        "h",
        "hh",
        "hpp",
        "java",
        "js",
        "mjs",
        "cjs",
        "jsx",
        "ts",
        "tsx",
        "go",
        "rs",
        "swift",
        "kt",
        "scala",
        "cs",
    }
)
_HASH = re.compile(rf"(?P<gap>#[^\n]*|{TRIPLE})|{ONE_LINE}", re.DOTALL)
_SLASH = re.compile(rf"(?P<gap>//[^\n]*|/\*.*?(?:\*/|\Z))|{ONE_LINE}|`[^`]*+(?:`|\Z)", re.DOTALL)
_TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|[^\s\w]")
_NAME = re.compile(r"[^\W\d]\w*")
_STRING = '"'
"""What stands for any string; no other token holds a quotation mark."""

_CLASS = re.compile(r"^[ \t]*class\s+([A-Z]\w{0,99})", re.MULTILINE)
_HUMP = re.compile(r"[A-Z]+(?![a-z])\d*|[A-Z][a-z]*\d*")
_KEYWORDS = frozenset(keyword.kwlist) | frozenset(
    {"auto", "bool", "case", "char", "const", "default", "do", "double", "enum", "extern", "float", "fn", "func", "int", "let", "long",
     "namespace", "new", "private", "protected", "public", "self", "short", "signed", "sizeof", "static", "struct", "switch", "template",
     "this", "throw", "typedef", "typename", "union", "unsigned", "using", "var", "virtual", "void", "volatile"}
)  # fmt: skip
_SALT = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, kw_only=True, slots=True)
class Fingerprint:
    """Winnowed grams of a program.

    Parameters
    ----------
    tokens : int
        Those of runs of twelve that were not there before, so that what repeats itself counts once.
    named, blind : ndarray of uint64
        Sorted and distinct; with the names of things, and with every name that is no keyword as one.
    common : float
        Share of the named grams that were left out, since third repositories hold them.
    """

    tokens: int
    named: NDArray[np.uint64]
    blind: NDArray[np.uint64]
    common: float = 0.0


def is_code(path: str) -> bool:
    """Whether a file is a program, by its suffix."""
    return path.rpartition(".")[2].lower() in _HASH_COMMENTS | _SLASH_COMMENTS


def _stem(text: str) -> str:
    """What at least half of the classes' names begin with, such as ``Qwen2Moe``; empty where there is none."""
    names = _CLASS.findall(text)
    starts: Counter[str] = Counter()
    for name in names:
        end = 0
        while hump := _HUMP.match(name, end):
            end = hump.end()
            starts[name[:end]] += 1
    common = [start for start, count in starts.items() if count * 2 >= len(names) >= 3 and len(start) >= 3]
    return max(common, key=len, default="")


def fingerprint(path: str, text: str) -> Fingerprint:
    """Fingerprint of a program.

    Notes
    -----
    Comments and triple-quoted strings are left out, other strings count as one token. The beginning that most classes
    of a file share (a model's name) counts as one word, in every spelling, so that a renamed model has the same grams.
    What is said again is not counted again: a table of ten thousand strings has some thirty tokens.
    """
    tokens, named, blind = _streams(path, text)
    grams = _grams(named)
    told = len(np.unique(grams)) + GRAM - 1
    return Fingerprint(tokens=min(tokens, told), named=_winnow(grams), blind=_winnow(_grams(blind)))


def all_grams(path: str, text: str) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Sorted and distinct grams of a program, none winnowed away: with names and without."""
    _, named, blind = _streams(path, text)
    return np.unique(_grams(named)), np.unique(_grams(blind))


def _streams(path: str, text: str) -> tuple[int, NDArray[np.uint64], NDArray[np.uint64]]:
    """How many tokens a program has, and a digest of each, with names and without."""
    pattern = _HASH if path.rpartition(".")[2].lower() in _HASH_COMMENTS else _SLASH
    words = _TOKEN.findall(pattern.sub(_replacement, text))
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words))}
    order = np.fromiter(map(numbers.__getitem__, words), np.int64, len(words))
    stem = _stem(text)
    renamed = re.compile("_?".join(map(re.escape, stem)), re.IGNORECASE) if stem else None
    digests = np.array([_digests(word, renamed) for word in numbers], np.uint64).reshape(-1, 2)
    return len(words), digests[order, 0], digests[order, 1]


def _replacement(found: re.Match[str]) -> str:
    """A blank for a comment, a mark for a string."""
    return " " if found.lastgroup == "gap" else f" {_STRING} "


def _digests(word: str, renamed: re.Pattern[str] | None) -> tuple[int, int]:
    """Digest of a token, and of what is left of it without its name."""
    is_name = word not in _KEYWORDS and _NAME.fullmatch(word) is not None
    same = renamed.sub("M", word) if renamed and is_name else word
    return crc32(same.encode()), crc32(b"I" if is_name else word.encode())


def _grams(stream: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A digest of each run of twelve tokens."""
    count = max(len(stream) - GRAM + 1, 0)
    grams = np.zeros(count, np.uint64)
    for place in range(GRAM):
        grams = (grams ^ stream[place : place + count]) * _SALT
        grams ^= grams >> np.uint64(29)
    return grams


def _winnow(grams: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The least gram of each window."""
    if not len(grams):
        return grams
    if len(grams) <= WINDOW:
        return np.unique(grams.min(keepdims=True))
    return np.unique(np.lib.stride_tricks.sliding_window_view(grams, WINDOW).min(axis=1))
