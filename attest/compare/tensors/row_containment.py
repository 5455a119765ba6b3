"""``row-containment/v1``: which rows of one network's matrices stand in the other's, wherever they went."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.compare.descriptive import counted
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.digested_rows import (
    DigestedRows,
    constant_digests,
    digested_rows,
    identity_digests,
    is_among,
)
from attest.compare.tensors.telling import LEAST_COLUMNS, count_telling, in_main_stack, may_tell_by_rows
from attest.compare.tensors.whereabouts import describe_order, describe_runs, short
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table

__all__ = ["LEAST_ROWS", "row_containment"]

_ID = "row-containment/v1"

LEAST_ROWS = 16
"""Telling rows that must be found for their matrix to count."""

_MAX_HOLDERS = 128
"""Matrices of the other that are looked at for one row; copies beyond that are not counted."""

_MAX_LINES = 256
_BY_TENSOR = ("tensor", "rows", "found", "which", "tensor of the other", "found there", "order", "copies")
_BY_LAYER = ("layer", "rows", "found", "layer of the other", "found there", "also in layers")


def row_containment(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of the values of both that lie in rows found in the other.

    Notes
    -----
    Survives renaming, re-sharding, a cast to BF16 and back, moved and duplicated layers, copied experts, permuted
    neurons, extended and pruned vocabularies. One training step or a quantization leaves no row as it was.

    Only telling rows count: see ``_shared``. Of large networks both give a sample of their rows, chosen by the digests
    and so alike; shares are then estimates, and rows are counted in the sample. The digests have 64 bits, so
    n_a x n_b / 2^64 pairs of different rows are
    expected to share one; and they are not cryptographic, so somebody can make rows that share one with given rows.
    """
    (mine, problem), (theirs, other_problem) = digested_rows(a), digested_rows(b)
    if mine is None or theirs is None:
        return not_run(problem or other_problem, _ID)
    shift = max(mine.shift, theirs.shift)
    mine, theirs = mine.thinned(shift), theirs.thinned(shift)
    shared, pairs = _shared(mine, theirs)
    left, right = _Side(mine, shared), _Side(theirs, shared)
    total = mine.values() + theirs.values()
    test = counted(
        _ID,
        (left.values_found() + right.values_found()) / total,
        min(left.telling_tensors(), right.telling_tensors()),
        f"{left.found.size} of the {mine.digests.size} rows of a stand in b, and {right.found.size} of the"
        f" {theirs.digests.size} rows of b in a, telling ones only; of two networks trained apart {decimal(pairs, 2)}"
        f" pairs of rows would share a digest; n counts matrices with at least {LEAST_ROWS} such rows"
        + (f"; one row in {2**shift} is looked at, the same of rows that are the same" if shift else ""),
    )
    found = (*_tables(left, right, "a", "b"), *_tables(right, left, "b", "a")) if shared.size else ()
    return Outcome(tests=(test,), found=found)


def _shared(mine: DigestedRows, theirs: DigestedRows) -> tuple[NDArray[np.uint64], float]:
    """Digests of telling rows that both have, ascending, and how many pairs would be expected by chance.

    Telling is a row of two matrices that may tell (``may_tell_by_rows``), at least one of which has a role that training
    fills in the main stack, and that holds neither one value throughout nor a row of the identity. The role of one side suffices: a copy does not escape by renaming
    its tensors. A role of the other that says it is no such matrix forbids it: nobody's table of positions counts because
    an accuser calls the same table weights.
    """
    (all_mine, trained_mine), (all_theirs, trained_theirs) = _candidates(mine), _candidates(theirs)
    shared = all_mine[is_among(all_mine, all_theirs)]
    shared = shared[is_among(shared, trained_mine) | is_among(shared, trained_theirs)]
    for columns in _columns_of(mine, shared):
        shared = shared[~is_among(shared, constant_digests(columns)) & ~is_among(shared, identity_digests(columns))]
    return shared, all_mine.size * all_theirs.size / 2.0 ** (64 - mine.shift)


def _candidates(rows: DigestedRows) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Distinct digests of the varied matrices, and of those of a main stack."""
    varied = np.array([may_tell_by_rows(tensor) for tensor in rows.tensors], bool)
    trained = np.array([in_main_stack(tensor) for tensor in rows.tensors], bool) & varied
    sizes = np.diff(rows.starts)
    return rows.those(np.repeat(varied, sizes)), rows.those(np.repeat(trained, sizes))


def _columns_of(rows: DigestedRows, shared: NDArray[np.uint64]) -> set[int]:
    """Lengths of the rows that were found."""
    owners = np.unique(rows.owners()[rows.holding(shared)])
    return {rows.tensors[owner].shape[-1] for owner in owners}


class _Side:
    """One side's telling rows that the other has too.

    Attributes
    ----------
    found : ndarray of int64
        Their positions among all rows, ascending.
    owners : ndarray of int32
        The matrix of each of these.
    """

    def __init__(self, rows: DigestedRows, shared: NDArray[np.uint64]) -> None:
        self.rows = rows
        varied = np.repeat(np.array([may_tell_by_rows(tensor) for tensor in rows.tensors], bool), np.diff(rows.starts))
        self.found = np.flatnonzero(rows.holding(shared) & varied)
        self.owners = rows.owners()[self.found]
        self.digests = rows.digests[self.found]
        self.places = self.found - rows.starts[self.owners]
        order = np.lexsort((self.places, self.owners, self.digests))
        first = np.ones(order.size, bool)
        digests, owners = self.digests[order], self.owners[order]
        first[1:] = (digests[1:] != digests[:-1]) | (owners[1:] != owners[:-1])
        self._by_digest, self._holders = digests[first], owners[first]
        self._bounds = np.searchsorted(self.owners, np.arange(len(rows.tensors) + 1, dtype=np.int32))

    def values_found(self) -> int:
        """Values in the rows found."""
        counts = np.bincount(self.owners, minlength=len(self.rows.tensors))
        return sum(int(count) * one.shape[-1] for count, one in zip(counts, self.rows.tensors, strict=True))

    def telling_tensors(self) -> int:
        """Matrices of which enough rows that differ from each other were found; those of tokens count as one."""
        counts = np.bincount(self._holders, minlength=len(self.rows.tensors))
        return count_telling([one] for one, count in zip(self.rows.tensors, counts, strict=True) if count >= LEAST_ROWS)

    def of(self, tensor: int) -> slice:
        """Which of the rows found are those of one matrix."""
        return slice(int(self._bounds[tensor]), int(self._bounds[tensor + 1]))

    def holders(self, digests: NDArray[np.uint64]) -> NDArray[np.int64]:
        """How many of these rows each matrix holds."""
        ordered = np.sort(digests)
        begin, end = (np.searchsorted(self._by_digest, ordered, side) for side in ("left", "right"))
        counts = np.minimum(end - begin, _MAX_HOLDERS)
        within = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.bincount(self._holders[np.repeat(begin, counts) + within], minlength=len(self.rows.tensors))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Partner:
    """Where the rows of one matrix went.

    Parameters
    ----------
    tensor, partner : int
        The matrix, and that of the other which holds most of its rows.
    found, there, copies : int
        Rows found in the other, in the partner, and matrices that hold as many as the partner.
    by_layer : ndarray of shape (n_layers,), int64
        The most rows that a matrix of each layer of the other holds, in order of ``_layers``.
    """

    tensor: int
    partner: int
    found: int
    there: int
    copies: int
    by_layer: NDArray[np.int64]


def _partners(side: _Side, other: _Side) -> Iterator[_Partner]:
    numbers = {number: place for place, number in enumerate(_layers(other))}
    layers = np.array([len(numbers) if row.layer is None else numbers[row.layer] for row in other.rows.tensors])
    for tensor in np.unique(side.owners).tolist():
        here = side.of(tensor)
        held = other.holders(side.digests[here])
        most = int(held.max())
        best = np.flatnonzero(held == most)
        by_layer = np.zeros(len(numbers) + 1, np.int64)
        np.maximum.at(by_layer, layers, held)
        named = [one for one in best.tolist() if _place(other, one) == _place(side, tensor)]
        yield _Partner(
            tensor=tensor,
            partner=(named or best.tolist())[0],
            found=here.stop - here.start,
            there=most,
            copies=best.size,
            by_layer=by_layer[:-1],
        )


def _place(side: _Side, tensor: int) -> tuple[int | None, int | None, str | None]:
    row = side.rows.tensors[tensor]
    return row.layer, row.expert, row.role


def _tables(side: _Side, other: _Side, name: str, other_name: str) -> Iterator[Found]:
    """Where the matrices and the layers of one side were found in the other."""
    partners = list(_partners(side, other))
    lines = [_describe(one, side, other) for one in partners]
    cut = f", the first {_MAX_LINES} of {len(lines)}" if len(lines) > _MAX_LINES else ""
    title = f"Rows of {name} that stand in {other_name}, by matrix{cut}"
    yield Found(id=_ID, title=title, table=Table(columns=_BY_TENSOR, rows=tuple(lines[:_MAX_LINES])))
    layers = tuple(_by_layer(partners, side, other))
    if layers:
        title = f"Layers of {name} in those of {other_name}"
        yield Found(id=_ID, title=title, table=Table(columns=_BY_LAYER, rows=layers))


def _layers(side: _Side) -> list[int]:
    """Layers that hold matrices."""
    return sorted({row.layer for row in side.rows.tensors if row.layer is not None})


def _describe(one: _Partner, side: _Side, other: _Side) -> tuple[str, ...]:
    tensor, partner = side.rows.tensors[one.tensor], other.rows.tensors[one.partner]
    here, there = side.rows.of(one.tensor), other.rows.of(one.partner)
    places = side.places[side.of(one.tensor)]
    return (
        short(tensor.name),
        str(here.digests.size),
        str(one.found),
        describe_runs(places, here.numbers),
        short(partner.name),
        str(one.there),
        describe_order(here, there, places),
        str(one.copies),
    )


def _by_layer(partners: Sequence[_Partner], side: _Side, other: _Side) -> Iterator[tuple[str, ...]]:
    """The layer of the other that holds most rows of each layer; other layers that hold at least half as many."""
    sizes: Counter[int] = Counter()
    for number, row in enumerate(side.rows.tensors):
        if row.layer is not None and row.shape[-1] >= LEAST_COLUMNS:
            sizes[row.layer] += side.rows.of(number).digests.size
    numbers = _layers(other)
    for layer in sorted(sizes):
        ours = [one for one in partners if side.rows.tensors[one.tensor].layer == layer]
        held = sum((one.by_layer for one in ours), np.zeros(len(numbers), np.int64))
        most = int(held.max(initial=0))
        best = [numbers[place] for place in np.flatnonzero(held == most)] if most else []
        nearest = [layer] if layer in best else best[:1]
        also = [numbers[place] for place in np.flatnonzero(2 * held >= max(most, 1))]
        also = [number for number in also if number not in nearest]
        yield (
            str(layer),
            str(sizes[layer]),
            str(sum(one.found for one in ours)),
            ", ".join(map(str, nearest)) or "-",
            str(most),
            ", ".join(map(str, also[:16])) + (" and more" if len(also) > 16 else "") or "-",
        )
