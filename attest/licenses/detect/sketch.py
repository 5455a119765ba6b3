"""Model licenses that no data set carries: known by the digest and a sample of their words, with a citation.

Their texts are not kept here. So a text can be told to be one of them word for word, or to be near one; which words
differ cannot be told.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from zlib import crc32

from attest.digest import sha256
from attest.resource import resource

__all__ = ["Sketch", "draw", "nearest_sketch", "sketches"]

_GRAM = 5
_SAMPLE = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Sketch:
    """A license by the digest of its normalized words and a sample of its 5-grams.

    Parameters
    ----------
    expression : str
        ``LicenseRef-`` id.
    name, citation : str
        Title, and the public file that it was drawn from.
    words : int
    sha256 : str
        Digest of the words, joined by single blanks, in UTF-8.
    grams : frozenset of int
        CRC-32 of those 5-grams where it is a multiple of four.
    """

    expression: str
    name: str
    citation: str
    words: int
    sha256: str
    grams: frozenset[int]


def draw(words: Sequence[str]) -> tuple[str, frozenset[int]]:
    """Digest and sampled grams of normalized words."""
    found = (crc32(" ".join(words[place : place + _GRAM]).encode()) for place in range(len(words) - _GRAM + 1))
    return sha256(" ".join(words).encode()), frozenset(gram for gram in found if gram % _SAMPLE == 0)


@cache
def sketches() -> tuple[Sketch, ...]:
    """The sketches that are shipped with attest."""
    rows = json.loads(resource("licenses/detect/sketches.json").read_bytes())
    return tuple(
        Sketch(
            expression=row["expression"],
            name=row["name"],
            citation=row["citation"],
            words=row["words"],
            sha256=row["sha256"],
            grams=frozenset(memoryview(base64.b64decode(row["grams"])).cast("I")),
        )
        for row in rows
    )


def nearest_sketch(words: Sequence[str]) -> tuple[Sketch, float] | None:
    """The sketch of which a text holds the largest share of the sampled grams, and that share, 1 where it is equal.

    None where no sketch has a quarter of its grams here.
    """
    digest, grams = draw(words)
    found = [(_share(sketch, digest, grams), sketch) for sketch in sketches()]
    share, sketch = max(found, key=lambda pair: (pair[0], pair[1].expression))
    return (sketch, share) if share >= 0.25 else None


def _share(sketch: Sketch, digest: str, grams: frozenset[int]) -> float:
    """1 for equal words; else below, whatever the sample says."""
    if digest == sketch.sha256:
        return 1.0
    return min(len(grams & sketch.grams) / len(sketch.grams), 0.999)
