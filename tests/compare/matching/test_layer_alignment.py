"""Layers that are inserted, dropped, repeated and moved, each called what it is."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from attest.compare.matching.layer_alignment import FOUND, align_layers


def relations(second: list[int | None]) -> list[tuple[int | None, int | None, str]]:
    """Alignment of layers 0 to 3 with a network whose layer j is that layer of the first, or a stranger."""
    matrix = np.array([[0.9 if origin == layer else 0.01 for origin in second] for layer in range(4)])
    return [(one.first, one.second, one.relation) for one in align_layers(matrix, range(4), range(len(second)))]


def in_order(*pairs: tuple[int, int]) -> list[tuple[int, int, str]]:
    return [(i, j, "in order") for i, j in pairs]


def test_the_same_layers():
    assert relations([0, 1, 2, 3]) == in_order((0, 0), (1, 1), (2, 2), (3, 3))


def test_an_inserted_layer():
    assert relations([0, 1, None, 2, 3]) == [*in_order((0, 0), (1, 1), (2, 3), (3, 4)), (None, 2, "alone")]


def test_a_dropped_layer():
    assert relations([0, 1, 3]) == [*in_order((0, 0), (1, 1), (3, 2)), (2, None, "alone")]


def test_a_repeated_layer():
    assert relations([0, 1, 1, 2, 3]) == [*in_order((0, 0), (1, 1), (2, 3), (3, 4)), (1, 2, "repeated")]


def test_a_moved_layer():
    assert relations([1, 2, 0, 3]) == [*in_order((1, 0), (2, 1), (3, 3)), (0, 2, "out of order")]


def test_strangers_are_alone():
    assert {relation for *_, relation in relations([None] * 3)} == {"alone"}


@given(arrays(np.float64, st.tuples(st.integers(1, 4), st.integers(1, 4)), elements=st.floats(0, 1)))
def test_the_chain_is_the_best_there_is_and_no_layer_is_lost(matrix: np.ndarray):
    lines = align_layers(matrix, range(matrix.shape[0]), range(matrix.shape[1]))
    assert {one.first for one in lines} - {None} == set(range(matrix.shape[0]))
    assert {one.second for one in lines} - {None} == set(range(matrix.shape[1]))
    total = sum(one.share for one in lines if one.relation == "in order")
    best = max(
        sum(matrix[i, j] for i, j in zip(rows, columns, strict=True))
        for size in range(min(matrix.shape) + 1)
        for rows in combinations(range(matrix.shape[0]), size)
        for columns in combinations(range(matrix.shape[1]), size)
        if all(matrix[i, j] >= FOUND for i, j in zip(rows, columns, strict=True))
    )
    assert abs(total - best) < 1e-12
