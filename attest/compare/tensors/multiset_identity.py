"""``multiset-identity/v1``: which tensors hold the same values, in whatever order, shape and dtype."""

from __future__ import annotations

import math

from attest.compare.descriptive import counted
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.telling import count_telling, in_main_stack, may_tell_by_values
from attest.compare.tensors.whereabouts import short
from attest.comparison import Found
from attest.evidence import Table, TensorRow

__all__ = ["multiset_identity"]

_ID = "multiset-identity/v1"
_MAX_LINES = 256
_COLUMNS = ("tensor of a", "shape", "dtype", "tensor of b", "shape", "dtype", "same bytes")


def multiset_identity(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of the counted values of both that lie in telling tensors whose multiset the other has too.

    Notes
    -----
    Survives any permutation of rows, columns or single values, a transposition, a reshaping, and a cast to a wider
    dtype. It says that the numbers are the same ones; a position of each it does not say. The digest is SHA-256 over
    the exact histogram, so nobody can make another multiset with the same one.

    Telling is a varied matrix of 64 or more distinct values in both (``may_tell_by_values``), with a role that training fills
    in the main stack of at least one of the two. A multiset that each network holds in several tensors that are not equal
    is none: codes of which every one stands as often (balanced quantization) follow from the size alone.

    References
    ----------
    Zhou et al., "Balanced Quantization: An Effective and Efficient Approach to Quantized Neural Networks", 2017.
    """
    left, right = _counted(a), _counted(b)
    if not left or not right:
        return not_run("not both have tensors whose values were counted (16 or 8 bits)", _ID)
    pairs = {one: (left[one], right[one]) for one in left if one in right and not _is_a_law(left[one], right[one])}
    telling = {one: sides for one, sides in pairs.items() if any(in_main_stack(row) for side in sides for row in side)}
    total = sum(_size(rows) for side in (left, right) for rows in side.values())
    found = sum(_size(rows) for sides in telling.values() for rows in sides)
    lines = tuple(_line(*sides) for sides in telling.values())
    moved = sum(1 for line in lines if line[-1] == "no")
    test = counted(
        _ID,
        found / total if total else 0.0,
        count_telling([*mine, *theirs] for mine, theirs in telling.values()),
        f"{len(telling)} telling multisets of values are in both, {moved} of them in other bytes (another order,"
        " shape or dtype); networks trained apart are expected to share none",
    )
    if not lines:
        return Outcome(tests=(test,))
    title = "Tensors that hold the same values" + (f", the first {_MAX_LINES}" if len(lines) > _MAX_LINES else "")
    table = Found(id=_ID, title=title, table=Table(columns=_COLUMNS, rows=lines[:_MAX_LINES]))
    return Outcome(tests=(test,), found=(table,))


def _counted(one: Fingerprints) -> dict[str, list[TensorRow]]:
    """Varied tensors whose distinct values were counted, by multiset, in order of name."""
    found: dict[str, list[TensorRow]] = {}
    for row in one.tensors:
        if row.multiset is not None and may_tell_by_values(row):
            found.setdefault(row.multiset, []).append(row)
    return found


def _is_a_law(*sides: list[TensorRow]) -> bool:
    """Whether each side has several unequal tensors with this multiset, so that it comes from how they were made."""
    return all(len({row.digest for row in side}) > 1 for side in sides)


def _size(rows: list[TensorRow]) -> int:
    return sum(math.prod(row.shape) for row in rows)


def _line(mine: list[TensorRow], theirs: list[TensorRow]) -> tuple[str, ...]:
    left, right = mine[0], theirs[0]
    same = {row.digest for row in mine} & {row.digest for row in theirs}
    return (*_words(left), *_words(right), "yes" if same else "no")


def _words(row: TensorRow) -> tuple[str, str, str]:
    return short(row.name), " x ".join(map(str, row.shape)), row.dtype
