"""Which layer of one network is which of the other, in order: inserted, dropped, repeated and moved layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["FOUND", "AlignedLayer", "Relation", "align_layers"]

FOUND = 0.1
"""Agreement from which a layer counts as found: a convention, above all unrelated pairs that were seen (0.045)."""

Relation = Literal["in order", "out of order", "repeated", "alone"]


@dataclass(frozen=True, kw_only=True, slots=True)
class AlignedLayer:
    """A layer of either network and how it is found in the other; None where it is not.

    ``repeated``: it is found in a layer that another layer is found in, too. ``alone``: it is not found.
    """

    first: int | None
    second: int | None
    share: float
    relation: Relation


def align_layers(matrix: NDArray[np.float64], first: Sequence[int], second: Sequence[int]) -> tuple[AlignedLayer, ...]:
    """All layers of both networks, each at least once.

    Parameters
    ----------
    matrix : ndarray of shape (len(first), len(second)), float64
        Agreement of each layer pair.
    first, second : sequence of int
        Layers, ascending.

    Returns
    -------
    tuple of AlignedLayer
        Those in order, in order; then what is left of the first network, then of the second.

    Notes
    -----
    The pairs in order are those with the greatest sum of agreement among all sets of pairs of at least ``FOUND`` in
    which both layers ascend. What is left goes to the layer that agrees most, if at all.
    """
    chain = _chain(matrix)
    taken_first, taken_second = {i for i, _ in chain}, {j for _, j in chain}
    lines = [_line(matrix, first, second, i, j, "in order") for i, j in chain]
    for i in (i for i in range(len(first)) if i not in taken_first):
        j = int(matrix[i].argmax())
        if matrix[i, j] < FOUND:
            lines.append(AlignedLayer(first=first[i], second=None, share=float(matrix[i, j]), relation="alone"))
            continue
        lines.append(_line(matrix, first, second, i, j, "repeated" if j in taken_second else "out of order"))
        taken_second.add(j)
    for j in (j for j in range(len(second)) if j not in taken_second):
        i = int(matrix[:, j].argmax())
        if matrix[i, j] < FOUND:
            lines.append(AlignedLayer(first=None, second=second[j], share=float(matrix[i, j]), relation="alone"))
        else:
            lines.append(_line(matrix, first, second, i, j, "repeated"))
    return tuple(lines)


def _line(
    matrix: NDArray[np.float64], first: Sequence[int], second: Sequence[int], i: int, j: int, relation: Relation
) -> AlignedLayer:
    return AlignedLayer(first=first[i], second=second[j], share=float(matrix[i, j]), relation=relation)


def _chain(matrix: NDArray[np.float64]) -> list[tuple[int, int]]:
    """Places that ascend in both, with the greatest sum (dynamic programming over prefixes)."""
    rows, columns = matrix.shape
    sums = np.zeros((rows + 1, columns + 1))
    for i in range(rows):
        for j in range(columns):
            paired = sums[i, j] + matrix[i, j] if matrix[i, j] >= FOUND else 0.0
            sums[i + 1, j + 1] = max(sums[i, j + 1], sums[i + 1, j], paired)
    found, i, j = [], rows, columns
    while i and j:
        if sums[i, j] == sums[i - 1, j]:
            i -= 1
        elif sums[i, j] == sums[i, j - 1]:
            j -= 1
        else:
            i, j = i - 1, j - 1
            found.append((i, j))
    return found[::-1]
