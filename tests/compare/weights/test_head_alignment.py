"""Heads found again: in another place and layer, with their insides reordered, in another basis; strangers not."""

from __future__ import annotations

import numpy as np
import pytest
from compare.opened import HEADS, STRANGERS, opened, run, statistics

from attest.compare.weights.head_alignment import _unit_tables, head_alignment

NAME = "head-alignment"


def places(one: tuple, other: tuple) -> dict[tuple[int, int], tuple[int, int]]:
    (table,) = run(head_alignment, one, other).found
    rows = [tuple(map(int, row[:4])) for row in table.table.rows]
    return {(layer, head): (to_layer, to_head) for layer, head, to_layer, to_head in rows}


@pytest.mark.parametrize("change", ["as it was", "heads moved", "rows in turn", "rotated", "wider", "disguised"])
def test_every_head_of_a_copy_is_found(change: str):
    assert statistics(run(head_alignment, opened("seed-1"), opened("seed-1", change)))[NAME] > 0.9


def test_heads_are_found_where_they_went():
    moved = places(opened("seed-1"), opened("seed-1", "heads moved"))
    assert len(moved) > 0.9 * 4 * HEADS
    assert all(there == (layer, (head + 2) % HEADS) for (layer, head), there in moved.items())
    dropped = places(opened("seed-1"), opened("seed-1", "without its first layer"))
    assert set(dropped.values()) <= {(layer, head) for layer in range(3) for head in range(HEADS)}
    assert all((layer - 1, head) == there for (layer, head), there in dropped.items())


def test_many_heads_of_a_descendant_are_found():
    assert statistics(run(head_alignment, opened("seed-1"), opened("seed-1-continued", "disguised")))[NAME] > 0.4


@pytest.mark.parametrize(("a", "b"), STRANGERS)
def test_heads_of_strangers_are_not(a: str, b: str):
    assert statistics(run(head_alignment, opened(a), opened(b)))[NAME] < 0.1


def test_a_table_keeps_what_a_head_computes_and_nothing_of_its_inside():
    rng = np.random.default_rng(4)
    left, right = (rng.standard_normal((1, 3, 5)).astype(np.float32) for _ in range(2))
    turn = np.linalg.qr(rng.standard_normal((3, 3)))[0].astype(np.float32)
    plain = _unit_tables(left, right)
    assert np.allclose(plain, _unit_tables(7 * (turn @ left[0])[None], (turn @ right[0])[None] / 7), atol=1e-5)
    assert np.linalg.norm(plain) == pytest.approx(1)
    table = plain.reshape(5, 5)
    assert np.allclose(table.sum(axis=0), 0, atol=1e-5)
    assert np.allclose(table.sum(axis=1), 0, atol=1e-5)


def test_a_table_by_hand():
    left = np.array([[[1, 0]]], np.float32)
    right = np.array([[[2, 0]]], np.float32)
    assert _unit_tables(left, right).ravel().tolist() == [0.5, -0.5, -0.5, 0.5]
