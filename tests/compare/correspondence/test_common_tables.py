"""One public table under two networks singles out residual dimensions; it must not look like descent."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured, measured_at
from numpy.typing import NDArray
from small_checkpoint import bfloat16, copy_with, read_tensors

from attest.compare.correspondence import norms
from attest.compare.correspondence.common_tables import common_table
from attest.compare.fingerprints import Fingerprints
from attest.library.screen import Screen
from attest.policy import conclude
from attest.policy_file import DEFAULT_POLICY

ON_THE_AXIS = {"residual-norm-correspondence/v1", "norm-gain-correspondence/v1"}
Tables = dict[str, NDArray[np.uint64]]


@pytest.fixture(scope="module")
def on_one_table(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Fingerprints]:
    """A member as if trained on a public table whose dimensions differ in size: what reads them follows that size."""

    def made(name: str) -> Fingerprints:
        tensors = dict(read_tensors(family / name))
        rng = np.random.default_rng(11)
        n_tokens, d_model = tensors["model.embed_tokens.weight"].shape
        sizes = np.exp(rng.standard_normal(d_model)).astype(np.float32)
        tensors["model.embed_tokens.weight"] = bfloat16(
            rng.standard_normal((n_tokens, d_model)).astype(np.float32) * sizes
        )
        for tensor, codes in tensors.items():
            if tensor.endswith(("q_proj.weight", "k_proj.weight", "gate_proj.weight", "up_proj.weight")):
                tensors[tensor] = bfloat16((codes.astype(np.uint32) << 16).view(np.float32) / sizes)
        return measured_at(copy_with(family / name, tmp_path_factory.mktemp("table") / name, tensors))

    return made


def test_two_independent_networks_on_one_public_table_are_not_accused(on_one_table: Callable[[str], Fingerprints]):
    comparison = compared(on_one_table("seed-1"), on_one_table("seed-2"))
    assert conclude(comparison).rung == "inconclusive"
    assert not ON_THE_AXIS & by_id(comparison).keys()
    assert {one.id for one in comparison.not_compared if "one table of tokens" in one.reason} >= ON_THE_AXIS


def test_without_the_rule_they_would_agree(
    on_one_table: Callable[[str], Fingerprints], monkeypatch: pytest.MonkeyPatch
):
    """And be accused, but that residual dimensions need a witness."""
    monkeypatch.setattr(norms, "common_table", lambda _a, _b: None)
    comparison = compared(on_one_table("seed-1"), on_one_table("seed-2"))
    assert (by_id(comparison)["residual-norm-correspondence/v1"].z or 0.0) > DEFAULT_POLICY.minimum_z
    assert conclude(comparison).rung == "inconclusive"


def test_a_library_holds_no_gains_against_them_either(on_one_table: Callable[[str], Fingerprints]):
    shown = {one.test for one in Screen(on_one_table("seed-1")).against(on_one_table("seed-2"))}
    assert "neuron-alignment/v1" in shown
    assert not ON_THE_AXIS & shown


def test_descendants_that_trained_their_table_are_compared_as_before():
    assert common_table(measured("seed-1"), measured("seed-1-continued")) is None
    assert common_table(measured("seed-1"), measured("seed-2")) is None
    assert common_table(measured("seed-1"), measured("seed-1")) == "embed"


def held(**tables: NDArray[np.uint64]) -> Fingerprints:
    return replace(measured("seed-1"), tensors=(), arrays={"row-digests/v2": tables})


ROWS = np.random.default_rng(12).integers(0, 1 << 62, 600, np.uint64)


def test_stored_sinusoids_of_unequal_length_are_one_table():
    assert common_table(held(positions=ROWS[:200]), held(position_table=ROWS[:100])) == "positions"
    assert common_table(held(positions=ROWS[:200]), held(positions=ROWS[200:])) is None


def with_positions(values: NDArray[np.float64]) -> Fingerprints:
    """A member that has such a table of positions besides."""
    one = measured("seed-1")
    row = next(row for row in one.tensors if row.role == "embed" and row.moments is not None)
    moments = replace(
        row.moments,
        mean=str(values.mean()),
        std=str(values.std()),
        minimum=str(values.min()),
        maximum=str(values.max()),
    )
    return replace(one, tensors=(replace(row, role="positions", digest=str(values.sum()), moments=moments),), arrays={})


def sinusoids(length: int, scale: float) -> NDArray[np.float64]:
    angles = np.outer(np.arange(length), 10_000.0 ** (-np.arange(48) / 48))
    return scale * np.hstack([np.sin(angles), np.cos(angles)])


def test_sinusoids_of_any_length_and_scale_are_one_table_and_learned_positions_are_not():
    learned = with_positions(np.random.default_rng(13).standard_normal((256, 96)))
    uniform = with_positions(np.random.default_rng(14).uniform(-1, 1, (256, 96)))
    short, long = with_positions(sinusoids(100, 1.0)), with_positions(sinusoids(2048, 0.3))
    assert common_table(short, long) == "positions"
    assert {common_table(one, other) for one in (learned, uniform) for other in (short, long)} == {None}
    assert common_table(with_positions(np.zeros((256, 96))), with_positions(np.ones((256, 96)))) is None


def test_few_equal_rows_and_padding_are_no_table():
    some, other = ROWS[:200], np.concatenate([ROWS[:90], ROWS[300:410]])
    assert common_table(held(embed=some), held(embed=other)) is None
    padding = np.repeat(ROWS[:1], 150)
    assert common_table(held(embed=np.r_[padding, ROWS[1:40]]), held(embed=np.r_[padding, ROWS[50:90]])) is None
    assert common_table(held(embed=ROWS[:15]), held(embed=ROWS[:15])) is None


def test_samples_of_unequal_density_are_compared_by_the_thinner_one():
    sample = ROWS[ROWS & np.uint64(3) == 0]
    assert common_table(held(embed=ROWS), held(embed=sample)) == "embed"
    assert common_table(held(embed=ROWS[:300]), held(embed=sample[np.isin(sample, ROWS[300:])])) is None
