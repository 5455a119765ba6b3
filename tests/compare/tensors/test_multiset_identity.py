"""The same values in another order, and small tables that anybody may share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from compare.derived import bf16, read_family, write
from compare.pairs import measured, measured_at

from attest.compare.tensors.multiset_identity import multiset_identity
from attest.policy_file import DEFAULT_POLICY


@pytest.mark.parametrize("other", ["seed-2", "seed-3", "seed-1-continued"])
def test_models_that_were_trained_share_none(other: str) -> None:
    (test,) = multiset_identity(measured("seed-1"), measured(other)).tests
    assert (test.statistic, test.n) == (0, 0)


def test_every_order_and_shape_is_seen_through(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    changed = {}
    for number, (name, array) in enumerate(read_family("seed-1").items()):
        values = array
        if array.ndim == 2:
            values = (array.T, array[rng.permutation(len(array))], rng.permuted(array.ravel()).reshape(-1, 96))[
                number % 3
            ]
        changed[f"t{number}.{name}"] = bf16(np.ascontiguousarray(values))
    write(tmp_path / "b", changed)
    outcome = multiset_identity(measured("seed-1"), measured_at(tmp_path / "b"))
    (test,), (table,) = outcome.tests, outcome.found
    assert test.n == 29
    assert test.statistic == 1.0
    assert all(row[3].endswith(row[0]) for row in table.table.rows)
    assert {row[-1] for row in table.table.rows} == {"no"}


def test_a_wider_dtype_holds_the_same_values(tmp_path: Path) -> None:
    """BF16 values that F16 holds too."""
    values = read_family("seed-1")
    coarse = {name: array.astype(np.float16).astype(np.float32) for name, array in values.items()}
    narrow = {name: bf16(array) for name, array in coarse.items()}
    again = {name: (codes.astype(np.uint32) << 16).view(np.float32) for name, codes in narrow.items()}
    exact = {name: array for name, array in again.items() if np.array_equal(array, array.astype(np.float16))}
    assert len(exact) > 20
    write(tmp_path / "a", {name: narrow[name] for name in exact})
    write(tmp_path / "b", {name: array.astype(np.float16) for name, array in exact.items()})
    assert multiset_identity(measured_at(tmp_path / "a"), measured_at(tmp_path / "b")).tests[0].statistic == 1.0


def test_one_changed_value_is_another_multiset(tmp_path: Path) -> None:
    values = read_family("seed-1")
    for array in values.values():
        array.flat[7] += 1
    write(tmp_path / "b", {name: bf16(array) for name, array in values.items()})
    assert multiset_identity(measured("seed-1"), measured_at(tmp_path / "b")).tests[0].n == 0


def test_what_was_not_counted_is_left_out(tmp_path: Path) -> None:
    write(tmp_path / "b", read_family("seed-1"))
    outcome = multiset_identity(measured("seed-1"), measured_at(tmp_path / "b"))
    assert not outcome.tests
    assert "16 or 8 bits" in outcome.not_compared[0].reason


def test_codes_that_are_ranks_are_everybodys(tmp_path: Path) -> None:
    """A quantizer that makes all codes equally frequent gives strangers one multiset."""
    for name, seed in (("a", 1), ("b", 2)):
        ranks = {
            f"model.layers.{layer}.mlp.up_proj.weight": np.random.default_rng([seed, layer]).permuted(
                np.tile(np.arange(-128, 128, dtype=np.int8), 96)
            ).reshape(256, 96)
            for layer in range(3)
        }  # fmt: skip
        write(tmp_path / name, ranks)
    a, b = measured_at(tmp_path / "a"), measured_at(tmp_path / "b")
    assert {row.multiset for row in a.tensors} == {row.multiset for row in b.tensors}
    assert not [test for test in multiset_identity(a, b).tests if test.n]


def balanced(name: str) -> dict[str, np.ndarray]:
    """Matrices as codes of 8 bits, every code as often as any other (balanced quantization)."""
    codes = {}
    for tensor, values in read_family(name).items():
        ranks = values.ravel().argsort().argsort().reshape(values.shape)
        codes[tensor] = (ranks * 256 // values.size - 128).astype(np.int8) if values.ndim == 2 else bf16(values)
    return codes


def test_codes_that_all_stand_as_often_are_nobodys(tmp_path: Path) -> None:
    for name in ("seed-1", "seed-2"):
        write(tmp_path / name, balanced(name))
    outcome = multiset_identity(*(measured_at(tmp_path / name) for name in ("seed-1", "seed-2")))
    assert sum(test.n for test in outcome.tests) < DEFAULT_POLICY.minimum_tensors


def test_values_that_only_one_side_holds_several_times_tell_as_before(tmp_path: Path) -> None:
    """As the permuted experts that were made of one dense layer."""
    values = {name: bf16(array) for name, array in read_family("seed-1").items()}
    write(tmp_path / "b", values | {f"again.{name}": array[::-1].copy() for name, array in values.items()})
    (test,) = multiset_identity(measured("seed-1"), measured_at(tmp_path / "b")).tests
    assert (test.n, test.statistic) == (29, 1.0)
