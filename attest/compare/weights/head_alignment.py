"""``head-alignment/v1``: which attention head of one network stands where in the other.

A head does two things: it says which token looks at which (W_q' W_k), and what it passes on from there (W_v' W_o'). Between
the embeddings of common tokens both are tables of numbers. They stay as they are when a head is moved to another place or
layer, when its inside is rotated, reordered or rescaled, and when the residual stream is; so a head is told by its tables.

References
----------
Elhage et al., "A Mathematical Framework for Transformer Circuits", 2021 (the two products). Zeng et al., "HuRef:
HUman-REadable Fingerprint for Large Language Models", NeurIPS 2024 (products between embeddings as invariants).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.role_weights import RoleWeights, in_both
from attest.compare.weights.shared_tokens import shared_tokens, whitened_embeddings
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table

__all__ = ["head_alignment"]

_ID = "head-alignment/v1"
_TOKENS = 128
_MOST_HEADS = 4096
_MARGIN = 0.1
"""By how much the second best must be worse. A convention."""

_MAX_LINES = 256
_COLUMNS = ("layer of a", "head", "layer of b", "head", "by looking", "by passing on", "second best")

Floats = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Heads:
    """All heads of a network.

    Parameters
    ----------
    places : tuple of (int, int)
        Layer and head.
    looks, passes : ndarray of shape (n_heads, n_tokens * n_tokens), float32
        Tables of each, less their row and column means, of unit length.
    """

    places: tuple[tuple[int, int], ...]
    looks: Floats
    passes: Floats


@dataclass(frozen=True, slots=True)
class _Pair:
    first: int
    second: int
    looking: float
    passing: float
    runner_up: float


def head_alignment(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Share of the heads that are found in the other network, of the one that has fewer.

    Notes
    -----
    A head is found where both of its tables lead to one head and back from there, and the mean of their cosines is more
    than 0.1 above that of the second best either way. All layers are searched. Where queries share keys, each query head
    stands with the key and value it uses. Biases and rotary turns are left out: the tables are those of tokens at one
    place. Embeddings made anew defeat it. Descriptive: networks trained apart may have heads of one kind.
    """
    first, second = in_both(weights)
    rows = shared_tokens(first, second, _TOKENS)
    if isinstance(rows, str):
        return not_run(rows, _ID)
    mine, theirs = (_heads(one, rows[:, side]) for side, one in enumerate((first, second)))
    if mine is None or theirs is None:
        reason = "one of the two has no attention heads whose number is known and whose values are read, or too many"
        return not_run(reason, _ID)
    if b.side.tree_digest < a.side.tree_digest:
        pairs = [replace(one, first=one.second, second=one.first) for one in _pair(theirs, mine)]
    else:
        pairs = _pair(mine, theirs)
    pairs.sort(key=lambda one: one.first)
    fewest = min(len(mine.places), len(theirs.places))
    moved = sum(1 for one in pairs if mine.places[one.first] != theirs.places[one.second])
    test = descriptive(
        _ID,
        len(pairs) / fewest,
        fewest,
        f"share of the {fewest} heads of the network with fewer that are found in the other by what they look at and by"
        f" what they pass on, with a clear margin; {moved} of them at another place; heads of strangers may be alike",
    )
    return Outcome(tests=(test,), found=(_table(pairs, mine, theirs),) if pairs else ())


def _heads(one: RoleWeights, rows: NDArray[np.int64]) -> _Heads | None:
    """Tables of the heads of all layers that have queries, keys, values and outputs."""
    n_heads, groups = one.model.n_heads, one.model.n_kv_heads
    if not n_heads or not groups or n_heads % groups or n_heads * one.layers > _MOST_HEADS:
        return None
    tokens = whitened_embeddings(one, rows)
    places: list[tuple[int, int]] = []
    looks, passes = [], []
    for layer in range(one.layers):
        tables = _tables(one, layer, tokens, n_heads, groups)
        if tables is not None:
            places += [(layer, head) for head in range(n_heads)]
            looks.append(tables[0])
            passes.append(tables[1])
    if not places:
        return None
    return _Heads(places=tuple(places), looks=np.concatenate(looks), passes=np.concatenate(passes))


def _tables(one: RoleWeights, layer: int, tokens: Floats, n_heads: int, groups: int) -> tuple[Floats, Floats] | None:
    """Both tables of every head of a layer, each of shape (n_heads, n_tokens * n_tokens)."""
    on_tokens = []
    for role, heads in (("q", n_heads), ("k", groups), ("v", groups), ("o", n_heads)):
        matrix = one.matrix(role, layer, folded=True)
        if matrix is None:
            return None
        rows = matrix.T if role == "o" else matrix
        if rows.shape[1] != tokens.shape[1] or rows.shape[0] % heads:
            return None
        on_tokens.append((rows @ tokens.T).reshape(heads, -1, len(tokens)))
    q, k, v, o = on_tokens
    if q.shape[1] != k.shape[1] or v.shape[1] != o.shape[1]:
        return None
    k, v = (np.repeat(part, n_heads // groups, axis=0) for part in (k, v))
    return _unit_tables(q, k), _unit_tables(v, o)


def _unit_tables(left: Floats, right: Floats) -> Floats:
    """Products of two parts of each head, less row and column means, as vectors of unit length."""
    products = np.matmul(left.transpose(0, 2, 1), right)
    products -= products.mean(axis=1, keepdims=True)
    products -= products.mean(axis=2, keepdims=True)
    flat = products.reshape(len(products), -1)
    norms = np.linalg.norm(flat, axis=1, keepdims=True)
    unit: Floats = np.divide(flat, norms, out=np.zeros_like(flat), where=norms > 0)
    return unit


def _pair(mine: _Heads, theirs: _Heads) -> list[_Pair]:
    """Heads of which both tables lead to one head and back, with a clear margin."""
    looking, passing = mine.looks @ theirs.looks.T, mine.passes @ theirs.passes.T
    both = (looking + passing) / 2
    there = [table.argmax(axis=1) for table in (looking, passing)]
    back = [table.argmax(axis=0) for table in (looking, passing)]
    found = []
    for i in np.flatnonzero(there[0] == there[1]).tolist():
        j = int(there[0][i])
        runner_up = max(_second(both[i], j), _second(both[:, j], i))
        if back[0][j] == back[1][j] == i and both[i, j] - runner_up > _MARGIN:
            found.append(_Pair(i, j, float(looking[i, j]), float(passing[i, j]), runner_up))
    return found


def _second(values: NDArray[np.floating], best: int) -> float:
    """Greatest of the others."""
    others = np.delete(values, best)
    return float(others.max()) if others.size else 0.0


def _table(pairs: Sequence[_Pair], mine: _Heads, theirs: _Heads) -> Found:
    lines = tuple(
        (
            *(str(number) for number in (*mine.places[one.first], *theirs.places[one.second])),
            *(decimal(value, 3) for value in (one.looking, one.passing, one.runner_up)),
        )
        for one in pairs[:_MAX_LINES]
    )
    cut = f", the first {_MAX_LINES} of {len(pairs)}" if len(pairs) > _MAX_LINES else ""
    return Found(id=_ID, title=f"Heads of a that are found in b{cut}", table=Table(columns=_COLUMNS, rows=lines))
