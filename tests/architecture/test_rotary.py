"""Orders of rows that containers have, against the formulas of those who permute them."""

import numpy as np
import pytest

from attest.architecture.rotary import halves_from_in_turn

HEADS, D_HEAD, D_MODEL = 3, 8, 5
MATRIX = np.arange(HEADS * D_HEAD * D_MODEL).reshape(HEADS * D_HEAD, D_MODEL)


def test_from_meta_as_the_converter_of_hugging_face_permutes():
    """``w.view(n_heads, dim1 // n_heads // 2, 2, dim2).transpose(1, 2).reshape(dim1, dim2)``"""
    expected = MATRIX.reshape(HEADS, D_HEAD // 2, 2, D_MODEL).swapaxes(1, 2).reshape(MATRIX.shape)
    assert np.array_equal(MATRIX[halves_from_in_turn(HEADS, D_HEAD)], expected)


def test_to_gguf_as_the_converter_of_llama_cpp_permutes():
    """``weights.reshape(n_head, 2, shape[0] // n_head // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)``"""
    expected = MATRIX.reshape(HEADS, 2, D_HEAD // 2, D_MODEL).swapaxes(1, 2).reshape(MATRIX.shape)
    assert np.array_equal(MATRIX[np.argsort(halves_from_in_turn(HEADS, D_HEAD))], expected)


@pytest.mark.parametrize("d_rotary", [0, 2, 6, 8, None])
def test_every_row_is_taken_once(d_rotary: int | None):
    order = halves_from_in_turn(HEADS, D_HEAD, d_rotary=d_rotary)
    assert np.array_equal(np.sort(order), np.arange(HEADS * D_HEAD))


def turned(query: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """A head turned by position 3, pair by pair."""
    result = query.copy()
    for number, (a, b) in enumerate(pairs):
        angle = 3 * 10_000.0 ** (-2 * number / len(query))
        result[a] = query[a] * np.cos(angle) - query[b] * np.sin(angle)
        result[b] = query[a] * np.sin(angle) + query[b] * np.cos(angle)
    return result


def test_permuted_rows_turn_with_the_same_partners():
    query, key = np.random.default_rng(1).standard_normal((2, D_HEAD))
    order = halves_from_in_turn(1, D_HEAD)
    in_turn = [(2 * at, 2 * at + 1) for at in range(D_HEAD // 2)]
    halves = [(at, at + D_HEAD // 2) for at in range(D_HEAD // 2)]
    assert turned(query, in_turn) @ key == pytest.approx(turned(query[order], halves) @ key[order], rel=1e-12)


@pytest.mark.parametrize("d_rotary", [1, -2, 10])
def test_rows_that_cannot_be_paired(d_rotary: int):
    with pytest.raises(ValueError, match="cannot be paired"):
        halves_from_in_turn(HEADS, D_HEAD, d_rotary=d_rotary)
