"""What holds for every test on weights: exchanging the two changes no number, and what is missing has a reason."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from compare.opened import Opened, changed, opened, run, statistics
from measured import FAMILY
from relabeled import weights
from small_checkpoint import bfloat16, write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare import WEIGHT_TESTS
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import WeightTest
from attest.compare.weights.weight_delta import weight_delta
from attest.measure import measure

DESCRIBING = [test for test in WEIGHT_TESTS if test is not weight_delta]


@pytest.fixture(scope="module")
def nameless(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """A checkpoint in which nothing is recognized."""
    folder = tmp_path_factory.mktemp("nameless")
    write_tensors(folder / "model.safetensors", {"x": np.ones((8, 8), np.float32)})
    measurement = measure(folder)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(folder))


@pytest.mark.parametrize("test", DESCRIBING, ids=lambda test: test.__name__)
@pytest.mark.parametrize("change", ["as it was", "without its first layer"])
def test_exchanging_the_two_changes_no_statistic(test: WeightTest, change: str):
    one, other = opened("seed-1"), opened("seed-1-continued", change)
    forth, back = statistics(run(test, one, other)), statistics(run(test, other, one))
    assert forth == back


@pytest.mark.parametrize("test", DESCRIBING, ids=lambda test: test.__name__)
def test_where_nothing_is_recognized_there_is_a_reason_or_nothing_found(test: WeightTest, nameless: Opened):
    outcome = run(test, opened("seed-1"), nameless)
    assert outcome.not_compared or all(one.statistic == 0 for one in outcome.tests)


@pytest.mark.parametrize("test", DESCRIBING, ids=lambda test: test.__name__)
def test_embeddings_of_another_width_than_the_network_break_nothing(test: WeightTest):
    narrow = changed(weights("seed-1") | {"embed_tokens.weight": np.ones((256, 64)) * np.arange(64)})
    assert all(one.statistic <= 1 or one.z for one in run(test, opened("seed-1"), narrow).tests)


@pytest.mark.parametrize("test", DESCRIBING, ids=lambda test: test.__name__)
def test_values_that_are_not_finite_or_all_zero_break_nothing(test: WeightTest):
    model = weights("seed-1")
    model["embed_tokens.weight"][5] = np.nan
    model["layers.1.mlp.gate_proj.weight"][:] = 0
    model["layers.2.self_attn.q_proj.weight"][:] = np.inf
    outcome = run(test, opened("seed-1"), changed(model))
    assert all(np.isfinite(one.statistic) for one in outcome.tests)


@pytest.fixture(scope="module")
def enormous(tmp_path_factory: pytest.TempPathFactory) -> Opened:
    """The greatest values that binary64 and binary32 hold, in two of three tensors."""
    largest = {"<f8": np.finfo("<f8").max, "<f4": np.finfo("<f4").max}
    arrays = {}
    for place, (name, values) in enumerate(weights("seed-1").items()):
        dtype = ("<f8", "<f4", None)[place % 3]
        arrays[f"model.{name}"] = (
            np.copysign(largest[dtype], values).astype(dtype) if dtype else bfloat16(values.astype(np.float32))
        )
    folder = tmp_path_factory.mktemp("enormous")
    shutil.copyfile(FAMILY / "seed-1" / "config.json", folder / "config.json")
    write_tensors(folder / "model.safetensors", arrays)
    measurement = measure(folder)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(folder))


@pytest.mark.parametrize("test", WEIGHT_TESTS, ids=lambda test: test.__name__)
def test_enormous_values_break_nothing(test: WeightTest, enormous: Opened):
    for other in (opened("seed-2"), enormous):
        assert all(np.isfinite(one.statistic) for one in run(test, enormous, other).tests)
