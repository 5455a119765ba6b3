"""What licenses a text holds: in full, changed, or by name only."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from attest.licenses.detect.found import Change, FoundText, Identification, Rest
from attest.licenses.detect.index import KINDS, Index, index
from attest.licenses.detect.nearest import MIN_COVERAGE, nearest_text
from attest.licenses.detect.runs import exact_runs
from attest.licenses.detect.sketch import nearest_sketch
from attest.licenses.detect.words import Words, words_of

__all__ = ["identify"]

_ROUNDS = 12


def identify(text: str, *, whole: bool = True) -> Identification:
    """Licenses that a text holds.

    Parameters
    ----------
    text : str
    whole : bool, default True
        Whether the text is expected to be a license, so that changed texts are looked for too.

    Notes
    -----
    First what is known word for word; then, in what is left, the known texts that share most of its 4-grams, each
    aligned word by word. A change is never rounded away: a text that lacks one word of a license, other than the name
    of a party, is near that license and not that license.
    """
    known = index()
    words = words_of(text)
    sketched = _sketched(words) if whole else None
    if sketched and not sketched.changes:
        return Identification(words=len(words.words), texts=(sketched,), rest=())
    stream = known.number(words.words)
    free = np.ones(len(stream), bool)
    found: list[tuple[int, FoundText]] = []
    for run in exact_runs(known, stream):
        free[run.start : run.start + run.length] = False
        found.append((run.start, _exact(known, words, run.entry, run.start, run.length)))
    for _ in range(_ROUNDS if whole else 0):
        nearest = nearest_text(known, words, stream, free)
        if nearest is None:
            break
        begin, end, near = nearest
        found = [(start, other) for start, other in found if not begin <= start < end]
        free[begin:end] = False
        found.append((begin, near))
    if sketched and all(_share(sketched) > _share(text) for _, text in found if text.kind == "text"):
        return Identification(words=len(stream), texts=(sketched,), rest=())
    return Identification(
        words=len(stream),
        texts=tuple(text for _, text in sorted(found, key=lambda pair: pair[0])),
        rest=tuple(_rest(words, free)),
    )


def _sketched(words: Words) -> FoundText | None:
    """A license that is known by a sketch only: equal, or near with no more to say than how near."""
    nearest = nearest_sketch(words.words)
    if nearest is None or nearest[1] < MIN_COVERAGE:
        return None
    sketch, share = nearest
    change = Change(known=f"{share:.1%} of the sampled word groups of {sketch.name}", here="", line=1)
    return FoundText(
        expression=sketch.expression,
        kind="text",
        line=words.lines[0],
        last_line=words.lines[-1],
        license_words=sketch.words,
        found_words=sketch.words if share == 1 else int(share * sketch.words),
        changes=() if share == 1 else (change,),
        tolerated=(),
    )


def _share(text: FoundText) -> float:
    return text.found_words / text.license_words


def _exact(known: Index, words: Words, entry: int, start: int, length: int) -> FoundText:
    return FoundText(
        expression=known.expressions[entry],
        kind=KINDS[known.kinds[entry]],  # type: ignore[arg-type]  # false positives were left out
        line=words.lines[start],
        last_line=words.lines[start + length - 1],
        license_words=length,
        found_words=length,
        changes=(),
        tolerated=(),
    )


def _rest(words: Words, free: NDArray[np.bool_]) -> Iterator[Rest]:
    bounds = np.flatnonzero(np.diff(free, prepend=False, append=False))
    for begin, end in bounds.reshape(-1, 2).tolist():
        yield Rest(line=words.lines[begin], last_line=words.lines[end - 1], words=words.words[begin:end])
