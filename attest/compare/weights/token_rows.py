"""``token-rows/v1``: which tokens, told by their text, kept their rows of the embedding and of the output.

``row-containment/v1`` finds rows wherever they stand and asks nothing of tokens; this says whose rows they are. A vocabulary
that was extended, pruned or numbered anew shows which of its tokens are the old ones, and whether their rows are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.digested_rows import ROW_DIGESTS
from attest.comparison import Found
from attest.document import decimal
from attest.errors import DocumentError
from attest.evidence import Table
from attest.fingerprint import NUMBERS
from attest.fingerprint.anchors import read_tokens

__all__ = ["token_rows"]

_ID = "token-rows/v1"
_TABLES = ("embed", "lm_head")
_MOST_NUMBER = 2**53
_COLUMNS = (
    "rows of",
    "tokens of both",
    "row kept",
    "under the same number",
    "only in a",
    "only in b",
    "elsewhere in b",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tokens:
    """Rows of the tokens that both have, and how many each has alone."""

    rows: NDArray[np.int64]
    alone: tuple[int, int]


def token_rows(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Share of the tokens of both vocabularies whose row of the embedding is the same in both, value by value.

    Notes
    -----
    Tokens are paired by text, rows by the digests of ``row-digests/v2``; it needs the tokenizers, hence the checkpoints. Where
    only a sample of the rows was digested, tokens whose row of a is in it stand for all.
    A cast to BF16 and back changes none, one step of training most. Descriptive: rows that are the same are counted as
    evidence by ``row-containment/v1``, which leaves out those that anybody may have; and two vocabularies that hold the
    same texts show nothing, since tokenizers are published and used by many.
    """
    tokens = _tokens(weights)
    if isinstance(tokens, str):
        return not_run(tokens, _ID)
    mine, theirs = a.arrays.get(ROW_DIGESTS, {}), b.arrays.get(ROW_DIGESTS, {})
    tables = [name for name in _TABLES if name in mine and name in theirs]
    sides = [(name, _by_number(a, name), _by_number(b, name)) for name in tables]
    counted = [(name, counts) for name, left, right in sides if (counts := _count(left, right, tokens.rows))]
    if not counted or counted[0][0] != "embed":
        return not_run("not both have row digests of an embedding", _ID)
    _, (shared, kept, _, _) = counted[0]
    test = descriptive(
        _ID,
        kept / shared,
        shared,
        f"share of the {shared} tokens of both vocabularies, paired by text, whose row of the embedding is the same in"
        f" both; a has {tokens.alone[0]} tokens more, b {tokens.alone[1]}; the rows as evidence are in row-containment/v1",
    )
    return Outcome(tests=(test,), found=(_table(counted, tokens),))


def _tokens(weights: tuple[Model, Model]) -> _Tokens | str:
    try:
        mine, theirs = (read_tokens(one.checkpoint)[0] for one in weights)
    except DocumentError:
        return "the tokenizer.json of one of the two cannot be read"
    if not mine or not theirs:
        return "not both have a tokenizer.json with a vocabulary"
    shared = sorted(text for text in mine.keys() & theirs.keys() if max(mine[text], theirs[text]) <= _MOST_NUMBER)
    if not shared:
        return "the two vocabularies have no token in common"
    rows = np.array([(mine[text], theirs[text]) for text in shared], np.int64)
    return _Tokens(rows=rows, alone=(len(mine) - len(shared), len(theirs) - len(shared)))


def _by_number(one: Fingerprints, name: str) -> NDArray[np.uint64]:
    """Digests of a table's rows; 0, which no digest is in practice, for a row that is not in the sample."""
    arrays = one.arrays[ROW_DIGESTS]
    digests, numbers = arrays[name], arrays.get(NUMBERS + name)
    if numbers is None:
        return digests
    height = next((row.shape[0] for row in one.tensors if (row.role, row.layer) == (name, None)), 0)
    within = numbers < height
    placed = np.zeros(height, np.uint64)
    placed[numbers[within]] = digests[within]
    return placed


def _count(
    mine: NDArray[np.uint64], theirs: NDArray[np.uint64], rows: NDArray[np.int64]
) -> tuple[int, int, int, int] | None:
    """Tokens of which a's row was digested, those kept, those kept under one number, and those whose row stands elsewhere."""
    i, j = rows[(rows[:, 0] < mine.size) & (rows[:, 1] < theirs.size)].T
    i, j = i[mine[i] != 0], j[mine[i] != 0]
    if not i.size:
        return None
    same = mine[i] == theirs[j]
    elsewhere = ~same & np.isin(mine[i], theirs)
    return i.size, int(same.sum()), int((same & (i == j)).sum()), int(elsewhere.sum())


def _table(counted: list[tuple[str, tuple[int, int, int, int]]], tokens: _Tokens) -> Found:
    def lines() -> Iterator[tuple[str, ...]]:
        for name, (shared, kept, in_place, elsewhere) in counted:
            share = f"{kept} ({decimal(kept / shared, 3)})"
            alone = (str(number) for number in tokens.alone)
            yield (name, str(shared), share, str(in_place), *alone, str(elsewhere))

    title = "Tokens of both vocabularies, paired by text, and their rows"
    return Found(id=_ID, title=title, table=Table(columns=_COLUMNS, rows=tuple(lines())))
