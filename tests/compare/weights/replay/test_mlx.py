"""What MLX makes of a weight is made again bit for bit, on a CPU; and on a GPU as its source has it."""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare.pairs import measured_at
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mlx_vectors import BITS, VECTORS, array, weight
from numpy.typing import NDArray
from packing import write_mlx

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.weights.replay import exact_replay
from attest.compare.weights.replay.mlx import Grid, mlx_codes
from attest.compare.weights.replay.operation import MlxPart, Operation, operations


def grid(bits: int, size: int, dtype: str = "F32", **kind: Any) -> Grid:
    return Grid(bits=bits, size=size, dtype=dtype, **{"on": "a CPU", **kind})


@pytest.mark.parametrize("vector", VECTORS["affine"][1:], ids=lambda one: f"{one['bits']} bits")
def test_words_scales_and_biases_are_those_of_mlx(vector: dict[str, Any]) -> None:
    own = grid(vector["bits"], vector["size"], vector["dtype"])
    parts: dict[MlxPart, Any] = {"codes": np.uint32, "scales": BITS[own.dtype], "biases": BITS[own.dtype]}
    for part, dtype in parts.items():
        writes = "U32" if part == "codes" else own.dtype
        made = Operation(reads="F32", writes=writes, mlx=(part, own)).apply(weight().view(np.uint32), np.empty((0, 0)))
        assert np.array_equal(made.view(dtype), array(vector["words" if part == "codes" else part], dtype))


@pytest.mark.parametrize(("on", "codes"), [("a CPU", [0, 0, 2, 2]), ("a GPU", [0, 1, 2, 3])])
def test_halves(on: str, codes: list[int]) -> None:
    """Of a scale of 1 the codes of 0, 1/2, 3/2 and 5/2 above the least value."""
    values = np.full((1, 32), -15, np.float32)
    values[0, :4] += np.array([0, 0.5, 1.5, 2.5], np.float32)
    values[0, 31] = 0
    words = mlx_codes(values, grid(4, 32, on=on))
    assert [int(words[0, 0]) >> 4 * place & 15 for place in range(4)] == codes


def test_a_gpu_takes_0_for_the_largest_of_negative_values() -> None:
    values = -2 - np.arange(32, dtype=np.float32)[None] / 32
    both = [mlx_codes(values, grid(4, 32, on=on)) for on in ("a CPU", "a GPU")]
    assert not np.array_equal(*both)


@settings(max_examples=25)
@given(arrays(np.float32, (2, 64), elements=st.floats(width=32)), st.sampled_from([2, 3, 4, 5, 6, 8]))
def test_whatever_the_values_are(values: NDArray[np.float32], bits: int) -> None:
    for on, dtype in itertools.product(("a CPU", "a GPU"), ("F32", "BF16")):
        for writes in ("U32", dtype):
            for operation in operations("F32", writes, 64, [grid(bits, 32, dtype, on=on)]):
                assert len(operation.apply(values.view(np.uint32), np.empty((0, 0), np.float32))) == 2


def test_grids_that_do_not_divide_a_row_and_integers_have_none() -> None:
    its = [grid(4, 64, "BF16")]
    assert [str(one) for one in operations("F32", "U32", 128, its)] == [
        "MLX codes of F32 as BF16, 4 bits by 64, as on a CPU"
    ]
    assert [str(one) for one in operations("BF16", "BF16", 128, its)][1:] == [
        f"MLX {part} of BF16, 4 bits by 64, as on a CPU" for part in ("scales", "biases")
    ]
    assert not list(operations("F32", "U32", 96, its))
    assert not list(operations("F32", "F16", 96, its))[1:]
    assert not list(operations("I32", "U32", 128, its))


OWN = {"model__layers__1__mlp__down_proj": {"bits": 6, "group_size": 64}}


def share(parent: Path, child: Path) -> tuple[float, int, str]:
    weights = (place_tensors(open_checkpoint(parent)), place_tensors(open_checkpoint(child)))
    outcome = exact_replay(measured_at(parent), measured_at(child), weights)
    (test,) = outcome.tests
    return test.statistic, test.n, "; ".join(row[0] for found in outcome.found[:1] for row in found.table.rows)


def test_a_converted_copy_is_made_again_of_its_parent_alone(family: Path, tmp_path: Path) -> None:
    copy = write_mlx(tmp_path / "copy", family / "seed-1", **OWN)
    found, n, words = share(family / "seed-1", copy)
    assert found == 1
    assert n > 0
    assert "MLX codes of BF16, 6 bits by 64, as on a CPU" in words
    assert share(family / "seed-2", copy)[:2] == (0, 0)


def test_strangers_that_mlx_converted(family: Path, tmp_path: Path) -> None:
    copies = [write_mlx(tmp_path / name, family / name) for name in ("seed-1", "seed-2")]
    assert share(*copies)[1] == 0
