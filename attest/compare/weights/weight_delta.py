"""``weight-delta/v1``: what changed between tensors of one name, and what kind of change that looks like."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.checkpoint import Tensor
from attest.compare.descriptive import descriptive
from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.tensors.telling import is_trained
from attest.compare.tensors.whereabouts import short
from attest.compare.weights.delta_rank import Ranks, delta_ranks
from attest.compare.weights.grid import describe_grid
from attest.compare.weights.replay.matrix import Matrix
from attest.compare.weights.replay.operation import LARGEST, VALUES, decode
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table

__all__ = ["weight_delta"]

_ID = "weight-delta/v1"
_MAX_LINES = 256
_DIGITS = 4

_BY_TENSOR = (
    "tensor", "values", "changed", "relative change", "cosine", "stable rank", "rank above rounding", "kurtosis of a",
    "kurtosis of b", "grid of a", "grid of b",
)  # fmt: skip
_BY_LAYER = ("layer", "tensors", "unchanged", "changed values", "relative change")


@dataclass(frozen=True, kw_only=True)
class _Delta:
    """One pair of tensors; sums are float64."""

    tensor: Tensor
    layer: int | None
    trained: bool
    changed: int
    squares: tuple[float, float, float]
    product: float
    kurtosis: tuple[float, float]
    grids: tuple[str, str]
    ranks: Ranks | None

    @property
    def relative(self) -> float | None:
        """Norm of the difference over that of the tensor of a."""
        return _relative([self])


def weight_delta(a: Fingerprints, b: Fingerprints, weights: tuple[Model, Model]) -> Outcome:
    """Relative norm of b - a over the matrices that both have under one name and in one shape.

    Notes
    -----
    Of matrices that training fills, where roles are known: masks, tables of positions and other buffers are the same in
    networks that have nothing in common, and may outweigh all else; gains of norms lie near 1 in all networks. Where no
    role is known, of what has two or more dimensions: running variances bring strangers nearer than a descendant.

    For each: the share of values that changed, the relative norm and the cosine, the stable rank of the difference
    and its rank above the rounding of b's dtype (a merged adapter of rank r gives r), the excess kurtosis of both, and
    the grid that either lies on. By layer: which were left as they were.

    Descriptive: it says what the change looks like where two networks are related, and nothing on whether they are.
    Which side came first is only hinted at: quantized values do not become unquantized, and kurtosis tends to grow with
    training. Sums pass through floating point whose order may differ by machine; in 4 digits it does not show.
    """
    layers = {row.name: row.layer for row in (*b.tensors, *a.tensors)}
    trained = {row.name for row in (*b.tensors, *a.tensors) if is_trained(row)}
    left, right = (one.checkpoint for one in weights)
    theirs = {one.name: one for one in right.tensors}
    pairs = [
        (one, theirs[one.name])
        for one in left.tensors
        if one.name in theirs and one.shape == theirs[one.name].shape and _is_compared(one, theirs[one.name])
    ]
    if not pairs:
        return not_run("no tensors of floating-point values have one name and shape in both", _ID)
    deltas = [
        _delta(
            Matrix(checkpoint=left, tensor=one),
            Matrix(checkpoint=right, tensor=other),
            layers[one.name],
            trained=one.name in trained,
        )
        for one, other in pairs
    ]
    unchanged = sum(1 for one in deltas if not one.changed)
    weighed = _weighed(deltas)
    test = descriptive(
        _ID,
        _four(_relative(weighed) or 0.0),
        len(deltas),
        f"norm of b - a over that of a, of {len(weighed)} of the {len(deltas)} tensors with one name and shape, the matrices"
        f" (that training fills, where roles tell); {unchanged} of all are unchanged; unrelated networks of one norm give about"
        " 1.4, and it is no evidence by itself",
    )
    return Outcome(tests=(test,), found=tuple(_tables(deltas)))


def _weighed(deltas: Sequence[_Delta]) -> Sequence[_Delta]:
    """Matrices that training fills; where no role tells which, all of two or more dimensions, else all tensors."""
    matrices = [one for one in deltas if len(one.tensor.shape) > 1]
    return [one for one in deltas if one.trained] or matrices or deltas


def _relative(deltas: Sequence[_Delta]) -> float | None:
    """Norm of the differences over that of the tensors of a, all together; None where these are zero."""
    total, change = (sum(one.squares[which] for one in deltas) for which in (0, 2))
    return math.sqrt(change / total) if total else None


def _is_compared(one: Tensor, other: Tensor) -> bool:
    return one.dtype in VALUES and other.dtype in VALUES and one.size > 0


def _delta(mine: Matrix, theirs: Matrix, layer: int | None, *, trained: bool) -> _Delta:
    """One pass over both, and another over both for the ranks."""
    changed, product, change = 0, 0.0, 0.0
    powers = np.zeros((2, 4))
    grids: tuple[str, str] | None = None
    for narrow, other in _bands(mine, theirs):
        if grids is None:
            grids = (describe_grid(narrow, mine.tensor.dtype), describe_grid(other, theirs.tensor.dtype))
        x, y = narrow.astype(np.float64), other.astype(np.float64)
        changed += int(np.count_nonzero(x != y))
        usual = (np.abs(x) <= LARGEST) & (np.abs(y) <= LARGEST)
        if not usual.all():
            x, y = np.where(usual, x, 0), np.where(usual, y, 0)
        powers += [_powers(x), _powers(y)]
        product += float(np.vdot(x, y))
        y -= x
        change += float(np.vdot(y, y))
    size = mine.tensor.size
    ranks = None
    if changed and min(mine.rows, size // mine.rows) > 1:
        ranks = delta_ranks(lambda: _bands(mine, theirs), mine.rows, size // mine.rows, theirs.tensor.dtype)
    return _Delta(
        tensor=mine.tensor,
        layer=layer,
        trained=trained,
        changed=changed,
        squares=(float(powers[0, 1]), float(powers[1, 1]), change),
        product=product,
        kurtosis=(_kurtosis(powers[0] / size), _kurtosis(powers[1] / size)),
        grids=grids or ("-", "-"),
        ranks=ranks,
    )


def _bands(mine: Matrix, theirs: Matrix) -> Iterator[tuple[NDArray[np.floating], NDArray[np.floating]]]:
    """Values of the same rows of both."""
    step = min(mine.rows_a_band, theirs.rows_a_band)
    for first in range(0, mine.rows, step):
        rows = np.arange(first, min(first + step, mine.rows))
        yield decode(mine.take(rows), mine.tensor.dtype), decode(theirs.take(rows), theirs.tensor.dtype)


def _powers(values: NDArray[np.float64]) -> list[float]:
    """Sums of the first four powers."""
    squares = values * values
    return [
        float(values.sum()), float(squares.sum()), float(np.vdot(squares, values)), float(np.vdot(squares, squares)),
    ]  # fmt: skip


def _kurtosis(means: NDArray[np.float64]) -> float:
    """Excess kurtosis, from the means of the first four powers; 0 for a constant."""
    first, second, third, fourth = (float(one) for one in means)
    variance = second - first**2
    if variance <= 1e-12 * second:
        return 0.0
    return (fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4) / variance**2 - 3


def _tables(deltas: Sequence[_Delta]) -> Iterator[Found]:
    order = sorted(deltas, key=lambda one: -one.tensor.size)[:_MAX_LINES]
    cut = f", the {_MAX_LINES} largest of {len(deltas)}" if len(deltas) > _MAX_LINES else ""
    lines = tuple(_line(one) for one in sorted(order, key=lambda one: one.tensor.name))
    yield Found(id=_ID, title=f"What changed from a to b, by tensor{cut}", table=Table(columns=_BY_TENSOR, rows=lines))
    layers: dict[int, list[_Delta]] = defaultdict(list)
    for one in deltas:
        if one.layer is not None:
            layers[one.layer].append(one)
    if layers:
        rows = tuple(_layer(number, its) for number, its in sorted(layers.items()))
        yield Found(id=_ID, title="What changed from a to b, by layer", table=Table(columns=_BY_LAYER, rows=rows))
    yield Found(id=_ID, title="Weak signs of which came later, if either came from the other", table=_direction(deltas))


def _line(one: _Delta) -> tuple[str, ...]:
    norms = math.sqrt(one.squares[0] * one.squares[1])
    return (
        short(one.tensor.name),
        str(one.tensor.size),
        _show(one.changed / one.tensor.size),
        "-" if one.relative is None else _show(one.relative),
        _show(one.product / norms) if norms else "-",
        "-" if one.ranks is None else _show(one.ranks.stable),
        "-" if one.ranks is None else one.ranks.words,
        *(_show(value) for value in one.kurtosis),
        *one.grids,
    )


def _layer(number: int, deltas: Sequence[_Delta]) -> tuple[str, ...]:
    relative = _relative(_weighed(deltas))
    return (
        str(number),
        str(len(deltas)),
        str(sum(1 for one in deltas if not one.changed)),
        _show(sum(one.changed for one in deltas) / sum(one.tensor.size for one in deltas)),
        "-" if relative is None else _show(relative),
    )


def _direction(deltas: Sequence[_Delta]) -> Table:
    """Who lies on a grid, and whose kurtosis is greater: hints, none of which is evidence."""
    changed = [one for one in deltas if one.changed and len(one.tensor.shape) > 1]
    grids = [[one.grids[side] != "-" for one in changed] for side in (0, 1)]
    greater = sum(1 for one in changed if one.kurtosis[1] > one.kurtosis[0])
    of = str(len(changed))
    return Table(
        columns=("weak sign", "matrices", "of"),
        rows=(
            ("a lies on a coarser grid, b does not", _count(grids[0], grids[1]), of),
            ("b lies on a coarser grid, a does not", _count(grids[1], grids[0]), of),
            ("b has the greater kurtosis", str(greater), of),
        ),
    )


def _count(these: Sequence[bool], others: Sequence[bool]) -> str:
    return str(sum(1 for this, other in zip(these, others, strict=True) if this and not other))


def _four(value: float) -> float:
    return signed_digits(float(_show(value)))


def _show(value: float) -> str:
    return decimal(value, _DIGITS)
