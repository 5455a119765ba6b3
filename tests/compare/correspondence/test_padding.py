"""Padding and pruning leave units that are all the same, at the same places in networks that share nothing else."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured_at
from numpy.typing import NDArray
from small_checkpoint import copy_with, read_tensors

from attest.compare.correspondence.permutation import tells_apart
from attest.policy import conclude

Codes = NDArray[np.uint16]
MLP = ("gate_proj", "up_proj")


def pad_neurons(name: str, codes: Codes, code: int) -> Codes:
    """The last quarter of the neurons of every layer is one constant."""
    codes = codes.copy()
    if any(part in name for part in MLP):
        codes[-len(codes) // 4 :] = code
    elif "down_proj" in name:
        codes[:, -codes.shape[1] // 4 :] = code
    return codes


def pad_residual(name: str, codes: Codes, code: int) -> Codes:
    """The last eighth of the residual dimensions is one constant in all matrices."""
    codes = codes.copy()
    if codes.ndim == 2 and not any(part in name for part in ("o_proj", "down_proj")):
        codes[:, -codes.shape[1] // 8 :] = code
    elif codes.ndim == 2:
        codes[-len(codes) // 8 :] = code
    return codes


@pytest.fixture(scope="module", params=[pad_neurons, pad_residual], ids=["neurons", "residual dimensions"])
def padded(request: pytest.FixtureRequest, family: Path, tmp_path_factory: pytest.TempPathFactory):
    def made(name: str, code: int) -> Path:
        pad: Callable[..., Codes] = request.param
        arrays = {tensor: pad(tensor, codes, code) for tensor, codes in read_tensors(family / name).items()}
        folder = tmp_path_factory.mktemp("padded") / f"{name}-{code}"
        return copy_with(family / name, folder, arrays)

    return made


@pytest.mark.parametrize("code", [0x0000, 0x3C23], ids=["zeros", "0.01"])
def test_independent_networks_with_the_same_padding_are_not_accused(padded: Callable[..., Path], code: int):
    comparison = compared(measured_at(padded("seed-1", code)), measured_at(padded("seed-2", code)))
    largest = max(abs(test.z or 0.0) for test in comparison.tests)
    assert conclude(comparison).rung == "no-evidence"
    assert largest < 4
    assert any("several that are the same" in item.reason for item in comparison.not_compared)


def test_a_padded_descendant_is_found_all_the_same(padded: Callable[..., Path]):
    comparison = compared(measured_at(padded("seed-1", 0)), measured_at(padded("seed-1-continued", 0)))
    assert (by_id(comparison)["neuron-alignment/v1"].z or 0.0) > 50
    assert conclude(comparison).rung == "exact-rejected"


def test_without_repeated_units_none_is_left_out(family: Path):
    comparison = compared(measured_at(family / "seed-1"), measured_at(family / "seed-2"))
    assert not any("several that are the same" in item.reason for item in comparison.not_compared)


def test_units_that_are_the_same_are_told_by_all_their_features():
    features = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 2.5], [-0.0, 0.0], [3.0, 2.0]])
    assert tells_apart(features).tolist() == [True, False, True, False, True]
    assert tells_apart(np.ones((3, 1))).tolist() == [False] * 3
