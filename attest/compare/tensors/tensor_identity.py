"""``tensor-identity/v1`` and ``tensor-places/v1``: which tensors are the same, byte for byte, and in the same place."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from attest.compare.descriptive import counted
from attest.compare.digits import share_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.tensors.telling import has_many_values, tells_by_bytes
from attest.evidence import TensorRow

__all__ = ["tensor_identity"]


def tensor_identity(a: Fingerprints, b: Fingerprints) -> Outcome:
    """Share of all parameters of both that lie in tensors found in the other, whatever they are called.

    Notes
    -----
    The digest is over dtype, shape and values, so a cast or a pruned copy shares none. Tensors that any two networks
    may share (buffers, constants, small vectors) are counted, but ``n`` counts only telling ones: matrices with a
    role, at least 4,096 values, and not a handful of distinct ones. Tables of tokens alone are not telling, since
    networks may be built on one public table. Where each holds all tensors of the other there is nothing beside them that
    they might not share, so all that hold many values are counted, whatever they are called.
    """
    mine, theirs = _by_digest(a.tensors), _by_digest(b.tensors)
    total = _size(a.tensors) + _size(b.tensors)
    shared = [row for row in a.tensors if row.digest in theirs]
    found = _size(shared) + _size(row for row in b.tensors if row.digest in mine)
    telling = [one for one in mine.keys() & theirs if any(map(tells_by_bytes, (*mine[one], *theirs[one])))]
    n = len(telling) if any(not _of_tokens(mine[one] + theirs[one]) for one in telling) else 0
    if found == total and not n:
        n = sum(1 for rows in mine.values() if has_many_values(rows[0]))
    names = {row.digest: row.name for row in b.tensors}
    renamed = sum(1 for row in shared if names[row.digest] != row.name)
    placed = [one for one in mine.keys() & theirs if _stand_alike(mine[one], theirs[one])]
    identity = counted(
        "tensor-identity/v1",
        share_digits(found, total),
        n,
        f"{len(shared)} of {len(a.tensors)} and {len(b.tensors)} tensors have equal digests, {renamed} of them"
        " under another name; n counts the telling ones, of which networks trained apart are expected to share none",
    )
    places = counted(
        "tensor-places/v1",
        share_digits(sum(_size(mine[one]) + _size(theirs[one]) for one in placed), total),
        sum(len(mine[one]) for one in placed),
        "share of all values that lie in tensors which stand in the other byte for byte, as many times and in the same"
        " place (role, layer and expert); 1 only where the two hold the same tensors one to one",
    )
    return Outcome(tests=(identity, places))


def _by_digest(rows: Sequence[TensorRow]) -> dict[str, list[TensorRow]]:
    found = defaultdict(list)
    for row in rows:
        found[row.digest].append(row)
    return found


def _size(rows: Iterable[TensorRow]) -> int:
    return sum(math.prod(row.shape) for row in rows)


def _of_tokens(rows: Iterable[TensorRow]) -> bool:
    return any(row.role in {"embed", "lm_head"} for row in rows)


def _stand_alike(mine: Sequence[TensorRow], theirs: Sequence[TensorRow]) -> bool:
    """Whether equal tensors are as many on both sides, in places that do not contradict each other.

    A tensor whose name tells no role may stand anywhere: a copy stays one whatever it is called.
    """
    if len(mine) != len(theirs):
        return False
    left, right = (Counter(_place(row) for row in rows if row.role is not None) for rows in (mine, theirs))
    return (left - right).total() <= len(theirs) - right.total() and (right - left).total() <= len(mine) - left.total()


def _place(row: TensorRow) -> tuple[str | None, int | None, int | None]:
    return row.role, row.layer, row.expert
