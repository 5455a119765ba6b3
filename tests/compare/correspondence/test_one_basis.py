"""Networks without a weight in common whose residual dimensions are used alike, as by students of one teacher."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.derived import bf16, read_family
from compare.pairs import by_id, compared, measured, measured_at
from small_checkpoint import copy_with

from attest.compare.fingerprints import Fingerprints
from attest.policy import conclude
from attest.policy_file import DEFAULT_POLICY

READS = ("q_proj.weight", "k_proj.weight", "v_proj.weight", "gate_proj.weight", "up_proj.weight")


@pytest.fixture(scope="module")
def taught(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Fingerprints]:
    """A member whose layers read every residual dimension as much as its teacher uses it; the embeddings are its own."""
    rng = np.random.default_rng(15)
    sizes = np.exp(0.5 * rng.standard_normal(96)).astype(np.float32)

    def made(name: str) -> Fingerprints:
        tensors = {
            tensor: bf16(values * sizes if tensor.endswith(READS) else values)
            for tensor, values in read_family(name).items()
        }
        return measured_at(copy_with(family / name, tmp_path_factory.mktemp("taught") / name, tensors))

    return made


def test_students_of_one_teacher_are_not_accused(taught: Callable[[str], Fingerprints]) -> None:
    comparison = compared(taught("seed-1"), taught("seed-2"))
    z = by_id(comparison)["residual-norm-correspondence/v1"].z
    assert z is not None
    assert z > DEFAULT_POLICY.minimum_z
    assert conclude(comparison).rung == "inconclusive"
    assert "one teacher" in " ".join(conclude(comparison).cautions)


def test_a_descendant_that_was_taught_besides_is(taught: Callable[[str], Fingerprints]) -> None:
    assert conclude(compared(taught("seed-1"), taught("seed-1-continued"))).rung == "exact-rejected"


def test_a_descendant_whose_neurons_were_permuted_is_found_by_them(family: Path, tmp_path: Path) -> None:
    """Its neurons agree with nothing by index; the residual dimensions do, and matched neurons bear witness."""
    tensors = read_family("seed-1-continued")
    rng = np.random.default_rng(16)
    for gate in [name for name in tensors if name.endswith("gate_proj.weight")]:
        order = rng.permutation(len(tensors[gate]))
        up, down = (gate.replace("gate_proj", part) for part in ("up_proj", "down_proj"))
        tensors |= {gate: tensors[gate][order], up: tensors[up][order], down: tensors[down][:, order]}
    copy = copy_with(
        family / "seed-1-continued", tmp_path / "permuted", {name: bf16(one) for name, one in tensors.items()}
    )
    comparison = compared(measured("seed-1"), measured_at(copy))
    assert abs(by_id(comparison)["neuron-alignment/v1"].z or 0.0) < 3
    assert conclude(comparison).rung == "exact-rejected"
