"""``exact-replay/v1``: which tensors of one checkpoint are made again out of the other's, bit for bit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from attest.architecture import Model
from attest.checkpoint import Checkpoint
from attest.checkpoint.packed import MLX
from attest.checkpoint.values import FLOATS
from attest.compare.descriptive import counted
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.telling import (
    LEAST_DISTINCT,
    LEAST_VALUES,
    count_telling,
    has_varied_values,
    in_main_stack,
    is_trained,
)
from attest.compare.tensors.whereabouts import short
from attest.compare.weights.replay.index import Index, sums_of
from attest.compare.weights.replay.matrix import Matrix
from attest.compare.weights.replay.mlx import Grid
from attest.compare.weights.replay.proposal import Piece, propose
from attest.compare.weights.replay.remake import Remade, remake
from attest.comparison import Found
from attest.evidence import Table, TensorRow

__all__ = ["exact_replay"]

_ID = "exact-replay/v1"
_MAX_LINES = 256
_MAX_NAMES = 4
_LEAST_LINE = 32
_MOST_OF_ONE = 0.75
_TOGETHER = {"q": "qkv", "k": "qkv", "v": "qkv", "gate": "gate_up", "up": "gate_up"}
_COLUMNS = ("tensor", "made of", "operation", "lines", "values", "of", "telling")

Rows = Mapping[str, TensorRow]


@dataclass(frozen=True, kw_only=True)
class _Replay:
    """What of one side was made again out of the other."""

    child: str
    parent: str
    remade: tuple[Remade, ...]
    telling: tuple[bool, ...]
    n: int
    tensors: int
    values: int

    @property
    def share(self) -> float:
        """Values that were made again, among all of the child."""
        return sum(one.values for one in self.remade) / self.values


def exact_replay(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Share of the values of one side that are made again out of the other, in the direction that explains more.

    Parameters
    ----------
    a, b : Fingerprints
        What was measured of both: roles and moments.
    weights : tuple of Model
        The checkpoints themselves, in the same order.

    Notes
    -----
    What can be made: the same values, a cast between F64, F32, F16 and BF16, symmetric int8 with one scale a row, column
    or tensor, the blocks Q8_0, Q4_0, MXFP4 and NVFP4 and back, codes and scales of MXFP4 and NVFP4 in tensors of their own, codes, scales and biases of MLX; and of these any selection of rows or of columns, in any order, out of
    several parents, transposed or not (stacks of matrices: each by itself), or a whole matrix with both rows and columns reordered. Names play no part, but that roles
    propose which matrices share a scale. Lines are found by sums of 64 bits, and then every code is compared: nothing is left to chance.

    It does not show who came first: an operation without loss can be done in both directions. One that loses digits
    (int8, a narrower float) cannot be undone, so what it was made of, or the same values, existed before.
    """
    rows = [{row.name: row for row in one.tensors} for one in (a, b)]
    left, right = (one.checkpoint for one in weights)
    if not all(any(Matrix.readable(tensor) for tensor in one.tensors) for one in (left, right)):
        return not_run("not both have tensors whose values are read", _ID)
    forth = _replay(right, left, rows[1], rows[0], "b", "a")
    best = forth
    if forth.share < 1:
        back = _replay(left, right, rows[0], rows[1], "a", "b")
        best = back if back.share > forth.share else forth
    test = counted(
        _ID,
        best.share,
        best.n,
        f"{len(best.remade)} of the {best.tensors} tensors of {best.child} were made again out of {best.parent},"
        " bit for bit, in whole or in part; n counts the telling ones, of which networks trained apart are expected to give none",
    )
    return Outcome(tests=(test,), found=tuple(_tables(best)))


def _replay(child: Checkpoint, parent: Checkpoint, rows: Rows, origins: Rows, name: str, other: str) -> _Replay:
    children = [Matrix(checkpoint=child, tensor=one) for one in child.tensors if Matrix.readable(one)]
    parents = [Matrix(checkpoint=parent, tensor=one) for one in parent.tensors if Matrix.readable(one)]
    outputs = {one.outputs for one in children}
    turned = [replace(one, turned=True) for one in parents if one.can_be_turned and one.tensor.shape[2] in outputs]
    wanted: dict[str, set[int]] = defaultdict(set)
    for matrix in children:
        wanted[matrix.tensor.dtype] |= {matrix.rows, matrix.columns}
    index = Index([*parents, *turned], wanted, _fused(parents, origins), _grids(child))
    remade = [one for matrix in children if (one := _first(matrix, index)) is not None]
    sides = [_sides(one, rows, origins) for one in remade]
    telling = tuple(_is_telling(one, *its) for one, its in zip(remade, sides, strict=True))
    return _Replay(
        child=name,
        parent=other,
        remade=tuple(remade),
        telling=telling,
        n=count_telling([*its[0], *its[1]] for its, tells in zip(sides, telling, strict=True) if tells),
        tensors=len(child.tensors),
        values=sum(one.tensor.size for one in children),
    )


def _grids(child: Checkpoint) -> list[Grid]:
    """What MLX may have quantized a checkpoint's weights on, by the settings that their values follow from."""
    weights = [one for one in child.packed.values() if one.scheme == MLX.id and one.settings["bits"] > 1]
    told = {(one.settings["bits"], one.settings["groupSize"], one.companions["scales"].dtype) for one in weights}
    return [
        Grid(bits=bits, size=size, dtype=dtype, on=on)
        for bits, size, dtype in sorted(told)
        for on in ("a CPU", "a GPU")
    ]


def _fused(matrices: Sequence[Matrix], rows: Rows) -> dict[str, list[Matrix]]:
    """Matrices of which programs make one product, by name: queries, keys and values; gate and up of an MLP or expert."""
    groups: dict[tuple[str, int | None, int | None], list[Matrix]] = defaultdict(list)
    for matrix in matrices:
        row = rows.get(matrix.tensor.name)
        if row is not None and row.role in _TOGETHER and matrix.tensor.dtype in FLOATS:
            groups[_TOGETHER[row.role], row.layer, row.expert].append(matrix)
    return {one.tensor.name: group for group in groups.values() for one in group}


def _first(child: Matrix, index: Index) -> Remade | None:
    """The first proposal that holds."""
    return next((one for way in propose(child, sums_of(child), index) if (one := remake(child, way))), None)


def _sides(one: Remade, rows: Rows, origins: Rows) -> tuple[list[TensorRow], list[TensorRow]]:
    """What was measured of a child and of its parents."""
    child = rows.get(one.child.tensor.name)
    names = {piece.made.matrix.tensor.name for piece in one.proposal.pieces}
    return ([child] if child else []), [origins[name] for name in sorted(names) if name in origins]


def _is_telling(one: Remade, child: Sequence[TensorRow], parents: Sequence[TensorRow]) -> bool:
    """Whether two networks trained apart could give this only by copying.

    Many values, many different ones, none of them most; lines too long to be equal by chance, and both ways where both
    were reordered; a parent that is varied; and on either side a role that training fills in the main stack.
    """
    sizes = [one.child.columns if one.proposal.axis == 0 else one.child.rows]
    if any(piece.within is not None for piece in one.proposal.pieces):
        sizes.append(one.child.rows)
    return (
        one.values >= LEAST_VALUES
        and one.distinct >= LEAST_DISTINCT
        and one.commonest <= _MOST_OF_ONE
        and min(sizes) >= _LEAST_LINE
        and all(has_varied_values(row) or row.moments is None for row in parents)
        and all(row.role is None or is_trained(row) for row in (*child, *parents))
        and any(in_main_stack(row) for row in (*child, *parents))
    )


def _tables(replay: _Replay) -> Iterator[Found]:
    if not replay.remade:
        return
    totals: dict[str, list[int]] = {}
    for one in replay.remade:
        total = totals.setdefault(_operation(one), [0, 0])
        total[0] += 1
        total[1] += one.values
    columns = ("operation", "tensors", "values")
    rows = tuple((words, *map(str, counts)) for words, counts in totals.items())
    title = f"What {replay.child} was made again by, out of {replay.parent}"
    yield Found(id=_ID, title=title, table=Table(columns=columns, rows=rows))
    cut = f", the first {_MAX_LINES} of {len(replay.remade)}" if len(replay.remade) > _MAX_LINES else ""
    order = sorted(zip(replay.remade, replay.telling, strict=True), key=lambda line: not line[1])
    lines = tuple(_line(one, telling=telling) for one, telling in order[:_MAX_LINES])
    title = f"Tensors of {replay.child} made again out of {replay.parent}{cut}"
    yield Found(id=_ID, title=title, table=Table(columns=_COLUMNS, rows=lines))


def _line(one: Remade, *, telling: bool) -> tuple[str, ...]:
    names = list(dict.fromkeys(piece.made.matrix.tensor.name for piece in one.proposal.pieces))
    more = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    return (
        short(one.child.tensor.name),
        ", ".join(map(short, names[:_MAX_NAMES])) + more,
        _operation(one),
        _lines(one),
        str(one.values),
        str(one.child.tensor.size),
        "yes" if telling else "no",
    )


def _operation(one: Remade) -> str:
    """Operation in words, and how lines were taken."""
    pieces = one.proposal.pieces
    words = ", ".join(dict.fromkeys(str(piece.made.operation) for piece in pieces))
    transposed = any((piece.axis != one.proposal.axis) != piece.made.matrix.turned for piece in pieces)
    return f"{words}, transposed" if transposed else words


def _lines(one: Remade) -> str:
    """Which lines, in words: all, some of them, in what order, of how many parents."""
    axis, pieces = one.proposal.axis, one.proposal.pieces
    kind = ("rows", "columns")[axis]
    count = one.child.size_along(axis)[0]
    if pieces[0].within is not None:
        return "rows and columns reordered"
    order = _order(pieces)
    if one.proposal.lines < count:
        return f"{one.proposal.lines} of {count} {kind}{order}"
    if len(pieces) > 1:
        return f"{kind} of {len(pieces)} joined{order}"
    lines = pieces[0].made.size_along(pieces[0].axis)[0]
    return f"{count} of its {lines} {kind}{order}" if lines != count else f"all{order and f' {kind}{order}'}"


def _order(pieces: Sequence[Piece]) -> str:
    moves = [piece.origins - piece.lines for piece in pieces]
    if len(pieces) == 1 and not moves[0].any():
        return ""
    if all(move.size and np.all(move == move[0]) for move in moves):
        return ""
    return ", in order" if all(np.all(np.diff(piece.origins) > 0) for piece in pieces) else ", reordered"
