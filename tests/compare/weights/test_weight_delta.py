"""What kind of change a difference looks like: adapters, frozen layers, quantization, pruning."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.derived import LAYERS, Values, bf16, layer_name, random_model, write
from compare.pairs import measured_at
from hypothesis import given
from hypothesis import strategies as st

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.outcome import Outcome
from attest.compare.weights.delta_rank import delta_ranks
from attest.compare.weights.grid import describe_grid
from attest.compare.weights.weight_delta import weight_delta

UP = layer_name(1, "mlp.up_proj")


def described(tmp_path: Path, a: Values, b: Values) -> Outcome:
    sides = [write(tmp_path / name, one) for name, one in (("a", a), ("b", b))]
    left, right = map(measured_at, sides)
    return weight_delta(
        left, right, (place_tensors(open_checkpoint(sides[0])), place_tensors(open_checkpoint(sides[1])))
    )


def table(outcome: Outcome, title: str) -> dict[str, dict[str, str]]:
    (one,) = (one.table for one in outcome.found if one.title.startswith(title))
    return {row[0]: dict(zip(one.columns, row, strict=True)) for row in one.rows}


def by_tensor(outcome: Outcome) -> dict[str, dict[str, str]]:
    return table(outcome, "What changed from a to b, by tensor")


@pytest.mark.parametrize("rank", [1, 4, 16])
@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_a_merged_adapter_shows_its_rank(tmp_path: Path, rank: int, dtype: str) -> None:
    """Also where everything was rounded to BF16 after merging."""
    rng = np.random.default_rng(rank)
    a = random_model(1)
    if dtype == "BF16":
        a = {name: (bf16(array).astype(np.uint32) << 16).view(np.float32) for name, array in a.items()}
    b = dict(a)
    for layer in range(LAYERS):
        update = rng.standard_normal((96, rank)) @ rng.standard_normal((rank, 96))
        b[layer_name(layer, "self_attn.q_proj")] = a[layer_name(layer, "self_attn.q_proj")] + np.float32(0.01) * update
    b = {name: array.astype(np.float32) for name, array in b.items()}
    if dtype == "BF16":
        b = {name: bf16(array) for name, array in b.items()}
    lines = by_tensor(described(tmp_path, a, b))
    for layer in range(LAYERS):
        line = lines[layer_name(layer, "self_attn.q_proj")]
        assert line["rank above rounding"] == str(rank)
        assert float(line["stable rank"]) <= rank
        assert lines[layer_name(layer, "mlp.up_proj")]["changed"] == "0"


def test_frozen_layers_are_mapped(tmp_path: Path) -> None:
    a, other = random_model(1), random_model(2)
    b = {name: array + (0.1 * other[name] if ".layers.3." in name else 0) for name, array in a.items()}
    outcome = described(tmp_path, a, b)
    layers = table(outcome, "What changed from a to b, by layer")
    assert [layers[str(layer)]["unchanged"] for layer in range(LAYERS)] == ["12", "12", "12", "0"]
    assert 0.08 < float(layers["3"]["relative change"]) < 0.12
    assert outcome.tests[0].calibration == "descriptive"
    assert outcome.tests[0].n == 50


def test_pruning_changes_what_was_pruned(tmp_path: Path) -> None:
    a = random_model(1)
    b = {name: np.where(np.abs(array) < 0.01, 0, array).astype(np.float32) for name, array in a.items()}
    line = by_tensor(described(tmp_path, a, b))[UP]
    assert 0.35 < float(line["changed"]) < 0.42
    assert float(line["cosine"]) > 0.95


def test_unrelated_networks_differ_by_about_the_root_of_two(tmp_path: Path) -> None:
    test = described(tmp_path, random_model(1), random_model(2)).tests[0]
    assert 1.3 < test.statistic < 1.5


def test_equal_buffers_and_gains_do_not_bring_strangers_nearer(tmp_path: Path) -> None:
    """Such as the value that masks attention, which older checkpoints store in every layer."""
    same: Values = {
        layer_name(layer, part): values.astype(np.float32)
        for layer in range(LAYERS)
        for part, values in (("input_layernorm", np.ones(96)), ("self_attn.masked_bias", np.full(1, -1e9)))
    }
    outcome = described(tmp_path, random_model(1) | same, random_model(2) | same)
    assert 1.3 < outcome.tests[0].statistic < 1.5
    layers = table(outcome, "What changed from a to b, by layer")
    assert all(1.3 < float(line["relative change"]) < 1.5 for line in layers.values())


def test_signs_of_direction_are_only_called_weak(tmp_path: Path) -> None:
    a = random_model(1)
    b = {name: _int8(array) if array.ndim > 1 else array for name, array in a.items()}
    outcome = described(tmp_path, a, b)
    signs = table(outcome, "Weak signs of which came later")
    assert signs["b lies on a coarser grid, a does not"]["matrices"] == "29"
    assert signs["a lies on a coarser grid, b does not"]["matrices"] == "0"
    assert {line["grid of b"] for name, line in by_tensor(outcome).items() if "proj.weight" in name} == {"int8 by row"}


def _int8(values: np.ndarray) -> np.ndarray:
    scale = np.abs(values).max(axis=1, keepdims=True) / np.float32(127)
    return (np.rint(values / scale) * scale).astype(np.float32)


def test_values_that_are_not_finite_are_counted_and_break_nothing(tmp_path: Path) -> None:
    a, b = random_model(1), random_model(1)
    b[UP][3, 5] = np.nan
    b[UP][4, 5] = np.inf
    line = by_tensor(described(tmp_path, a, b))[UP]
    assert float(line["changed"]) == pytest.approx(2 / 24576, rel=1e-3)
    assert line["stable rank"] == "-"


def test_tensors_without_a_counterpart_are_left_out(tmp_path: Path) -> None:
    outcome = described(tmp_path, {"x": np.zeros((4, 4), np.float32)}, {"y": np.zeros((4, 4), np.float32)})
    assert not outcome.tests
    assert "one name and shape" in outcome.not_compared[0].reason


@pytest.mark.parametrize("shape", [(40, 500), (500, 40), (600, 700)])
@pytest.mark.parametrize("rank", [3, 20])
def test_ranks_of_small_and_large_matrices(shape: tuple[int, int], rank: int) -> None:
    """The last is longer than what is decomposed as a whole, and projected first."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape).astype(np.float32)
    delta = rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))
    y = (x + 0.01 * delta).astype(np.float32)
    ranks = delta_ranks(lambda: iter([(x[:17], y[:17]), (x[17:], y[17:])]), *shape, "F32")
    assert ranks is not None
    assert ranks.above == rank
    squares = np.linalg.svd(y.astype(float) - x, compute_uv=False) ** 2
    assert ranks.stable == pytest.approx(squares.sum() / squares[0], rel=1e-3)


@given(st.integers(0, 2**32), st.sampled_from(["F32", "F64"]))
def test_values_that_were_trained_lie_on_no_grid(seed: int, dtype: str) -> None:
    values = np.random.default_rng(seed).standard_normal((8, 64))
    assert describe_grid(values.astype(np.float32 if dtype == "F32" else np.float64), dtype) == "-"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda v: (bf16(v).astype(np.uint32) << 16).view(np.float32), "BF16 values"),
        (lambda v: v.astype(np.float16).astype(np.float32), "F16 values"),
        (_int8, "int8 by row"),
        (lambda v: _int8(v.reshape(-1, 32)).reshape(v.shape), "int8 by block of 32"),
        (lambda v: (np.rint(v * 7 / np.abs(v).max(axis=1, keepdims=True)) * 0.3).astype(np.float32), "4 bits by row"),
        (lambda v: v, "-"),
        (lambda v: v[:1, :32], "-"),
        (np.zeros_like, "-"),
    ],
)
def test_grids(make: Callable[[np.ndarray], np.ndarray], words: str) -> None:
    values = np.random.default_rng(5).standard_normal((16, 96)).astype(np.float32)
    assert describe_grid(np.ascontiguousarray(make(values)), "F32") == words


def test_where_no_role_is_known_statistics_of_batches_count_for_nothing(tmp_path: Path) -> None:
    """Convolutions of two strangers, and running variances that are alike in all networks and far larger."""
    sides = [np.random.default_rng(seed) for seed in (1, 2)]
    a, b = (
        {
            "stages.0.conv.weight": one.standard_normal((16, 8, 3, 3)).astype(np.float32),
            "stages.0.norm.running_var": (100 + one.standard_normal(64)).astype(np.float32),
        }
        for one in sides
    )
    assert described(tmp_path, a, b).tests[0].statistic == pytest.approx(1.4, abs=0.1)
