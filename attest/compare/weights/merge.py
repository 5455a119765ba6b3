"""``merge-coefficients/v1``: how much of each candidate parent is in a checkpoint, by least squares."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import Checkpoint, Tensor
from attest.compare.descriptive import descriptive
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome, not_run
from attest.compare.weights.replay.matrix import Matrix, keys
from attest.compare.weights.replay.operation import VALUES, decode
from attest.comparison import Found
from attest.document import decimal
from attest.evidence import Table

__all__ = ["MERGE_TEST", "Parent", "merge_coefficients"]

MERGE_TEST = "merge-coefficients/v1"
_MAX_PARENTS = 8
_MAX_TENSORS = 256
_ROWS = 256
_RESAMPLES = 199
_TAIL = 5
"""Draws beyond each end of an interval: 5 of 199 leave 95 %."""

_DIGITS = 4

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Parent:
    """A candidate: what was measured of it, and the checkpoint itself."""

    fingerprints: Fingerprints
    weights: Checkpoint


@dataclass(frozen=True, kw_only=True)
class _Sums:
    """Inner products of one tensor: of parents with each other, of parents with the child, of the child with itself.

    ``shuffled[r, p, q]`` is the inner product of parent q, and with the last q of the child, with parent p, whose rows
    were put in the r-th random order.
    """

    layer: int | None
    gram: Floats
    products: Floats
    square: float
    shuffled: Floats


def merge_coefficients(child: Checkpoint, parents: Sequence[Parent]) -> Outcome:
    """Share of the child's squared weights that a weighted sum of the parents leaves unexplained, and the weights.

    Parameters
    ----------
    child : Checkpoint
    parents : sequence of Parent
        Two to eight.

    Notes
    -----
    The model is B = sum of c_p P_p, one c for all matrices that all have under one name and in one shape: the 256 largest
    of at least 64 rows, up to 256 evenly spaced rows of each. For each parent the interval holds 95 % of the coefficients that it gets
    when its rows are put in random orders, the others as they are: what a candidate of the same values gets that is no
    parent. It need not be around 0, since networks trained apart have the means of their columns in common.

    Descriptive: parents of one family share much of their weights, and then the coefficients are poorly told apart. A
    parent that was not given cannot be found. Nothing is said of which came first.
    """
    if not 2 <= len(parents) <= _MAX_PARENTS:
        return not_run(f"takes 2 to {_MAX_PARENTS} candidate parents", MERGE_TEST)
    each = [{tensor.name: tensor for tensor in parent.weights.tensors} for parent in parents]
    shared = [one for one in child.tensors if _is_shared(one, each)]
    shared = sorted(shared, key=lambda one: (-one.size, one.name))[:_MAX_TENSORS]
    if not shared:
        return not_run("no matrices have one name and shape in all of them", MERGE_TEST)
    sums = [_sums(child, parents, [one, *(tensors[one.name] for tensors in each)]) for one in shared]
    coefficients, unexplained = _solve(sums)
    test = descriptive(
        MERGE_TEST,
        float(decimal(unexplained, _DIGITS)),
        len(sums),
        f"share of b's squared weights that the best weighted sum of {len(parents)} candidates leaves unexplained,"
        f" in {len(sums)} matrices of one name and shape; 1 where none has a part in it",
    )
    return Outcome(tests=(test,), found=tuple(_tables(parents, sums, coefficients)))


def _is_shared(one: Tensor, each: Sequence[Mapping[str, Tensor]]) -> bool:
    others = [tensors.get(one.name) for tensors in each]
    return (
        len(one.shape) == 2
        and one.shape[0] >= 64
        and one.dtype in VALUES
        and all(other is not None and other.shape == one.shape and other.dtype in VALUES for other in others)
    )


def _sums(child: Checkpoint, parents: Sequence[Parent], tensors: Sequence[Tensor]) -> _Sums:
    rows = np.unique(np.linspace(0, tensors[0].shape[0] - 1, _ROWS).astype(np.int64))
    y, *xs = (
        np.nan_to_num(decode(Matrix(checkpoint=one, tensor=tensor).take(rows), tensor.dtype).astype(np.float64))
        for one, tensor in zip((child, *(parent.weights for parent in parents)), tensors, strict=True)
    )
    stacked = np.stack([x.ravel() for x in xs])
    orders = np.argsort(keys(_RESAMPLES * rows.size).reshape(_RESAMPLES, rows.size), axis=1)
    inner = np.array([[x @ other.T for other in (*xs, y)] for x in xs])
    places = np.arange(rows.size)
    return _Sums(
        layer=next(row.layer for row in parents[0].fingerprints.tensors if row.name == tensors[0].name),
        gram=stacked @ stacked.T,
        products=stacked @ y.ravel(),
        square=float(np.vdot(y, y)),
        shuffled=np.stack([inner[:, :, order, places].sum(axis=-1) for order in orders]),
    )


def _solve(sums: Sequence[_Sums]) -> tuple[NDArray[np.floating], float]:
    """Coefficients over several tensors, and the share that they leave."""
    gram = sum((one.gram for one in sums), np.zeros(1))
    products = sum((one.products for one in sums), np.zeros(1))
    coefficients = np.linalg.lstsq(gram, products, rcond=1e-12)[0]
    square = sum(one.square for one in sums)
    return coefficients, max(0.0, 1 - float(np.dot(coefficients, products)) / square) if square else 0.0


def _intervals(sums: Sequence[_Sums]) -> Iterator[tuple[float, float]]:
    """For each parent what its coefficient would be, were its rows in a random order."""
    gram = sum((one.gram for one in sums), np.zeros(1))
    products = sum((one.products for one in sums), np.zeros(1))
    shuffled = sum((one.shuffled for one in sums), np.zeros(1))
    for parent, square in enumerate(np.diagonal(gram)):
        grams = np.repeat(gram[None], _RESAMPLES, axis=0)
        grams[:, parent, :] = grams[:, :, parent] = shuffled[:, parent, :-1]
        grams[:, parent, parent] = square
        drawn = np.repeat(products[None], _RESAMPLES, axis=0)
        drawn[:, parent] = shuffled[:, parent, -1]
        values = np.sort((np.linalg.pinv(grams, hermitian=True) @ drawn[:, :, None])[:, parent, 0])
        yield float(values[_TAIL - 1]), float(values[-_TAIL])


def _tables(parents: Sequence[Parent], sums: Sequence[_Sums], coefficients: NDArray[np.floating]) -> Iterator[Found]:
    rows = tuple(
        (parent.fingerprints.side.name, parent.fingerprints.side.tree_digest, _show(value), _show(low), _show(high))
        for parent, value, (low, high) in zip(parents, coefficients, _intervals(sums), strict=True)
    )
    columns = ("candidate", "tree digest", "coefficient", "without a part: from", "to")
    yield Found(id=MERGE_TEST, title="Coefficients of the candidates in b", table=Table(columns=columns, rows=rows))
    layers: dict[int, list[_Sums]] = defaultdict(list)
    for one in sums:
        if one.layer is not None:
            layers[one.layer].append(one)
    if layers:
        headings = ("layer", *(f"candidate {number}" for number in range(1, len(parents) + 1)), "unexplained")
        solved = [(number, *_solve(layers[number])) for number in sorted(layers)]
        lines = tuple((str(number), *map(_show, values), _show(left)) for number, values, left in solved)
        yield Found(id=MERGE_TEST, title="Coefficients by layer", table=Table(columns=headings, rows=lines))


def _show(value: float) -> str:
    return decimal(float(value), _DIGITS)
