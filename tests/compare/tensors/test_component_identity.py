"""Two networks that took one open encoder are not related for it; that they hold it is said."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.pairs import by_id, compared, measured_at
from numpy.typing import NDArray
from small_checkpoint import bfloat16, read_tensors, write_shards

from attest.compare.fingerprints import Fingerprints
from attest.compare.tensors.component_identity import COMPONENT_ID
from attest.compare.tensors.telling import TRAINED, beside_main_stack
from attest.policy import conclude

Codes = NDArray[np.uint16]
Names = tuple[str, str, tuple[tuple[str, tuple[int, int]], ...]]

SIGLIP: Names = (
    "language_model.",
    "vision_tower.vision_model.encoder.layers",
    (("self_attn.q_proj", (96, 96)), ("self_attn.out_proj", (96, 96)), ("mlp.fc1", (384, 96)), ("mlp.fc2", (96, 384))),
)
QWEN: Names = ("", "visual.blocks", (("attn.qkv", (288, 96)), ("attn.proj", (96, 96)), ("mlp.fc1", (384, 96))))


def tower(names: Names, seed: int) -> dict[str, Codes]:
    _, prefix, shapes = names
    rng = np.random.default_rng(seed)
    return {
        f"{prefix}.{layer}.{name}.weight": bfloat16(rng.standard_normal(shape).astype(np.float32))
        for layer in range(3)
        for name, shape in shapes
    }


@pytest.fixture
def with_tower(family: Path, tmp_path: Path) -> Callable[[str, Names, int], Fingerprints]:
    """A member of the family as the language model beside an encoder of images."""

    def made(name: str, names: Names, seed: int) -> Fingerprints:
        folder = tmp_path / f"{name}-{seed}"
        folder.mkdir()
        shutil.copyfile(family / name / "config.json", folder / "config.json")
        language = {names[0] + tensor: codes for tensor, codes in read_tensors(family / name).items()}
        return measured_at(write_shards(folder, {"model.safetensors": {**language, **tower(names, seed)}}))

    return made


@pytest.mark.parametrize("names", [SIGLIP, QWEN], ids=["siglip", "qwen"])
def test_one_encoder_in_two_independent_networks_accuses_nobody(
    with_tower: Callable[[str, Names, int], Fingerprints], names: Names
):
    comparison = compared(with_tower("seed-1", names, 7), with_tower("seed-2", names, 7))
    conclusion = conclude(comparison)
    component = by_id(comparison)[COMPONENT_ID]
    assert conclusion.rung == "inconclusive"
    assert any("says nothing of the main stack" in sentence for sentence in conclusion.because)
    assert (component.statistic, component.n) == (1.0, 3 * len(names[2]))
    assert [found.table.rows[0][0] for found in comparison.found if found.id == COMPONENT_ID] == ["vision"]


def test_other_encoders_share_nothing(with_tower: Callable[[str, Names, int], Fingerprints]):
    comparison = compared(with_tower("seed-1", SIGLIP, 7), with_tower("seed-2", SIGLIP, 8))
    component = by_id(comparison)[COMPONENT_ID]
    assert (component.statistic, component.n) == (0.0, 0)
    assert conclude(comparison).rung == "no-evidence"


def test_a_language_model_that_was_copied_counts_whatever_stands_beside_it(
    with_tower: Callable[[str, Names, int], Fingerprints],
):
    comparison = compared(with_tower("seed-1", SIGLIP, 7), with_tower("seed-1", SIGLIP, 8))
    assert conclude(comparison).rung == "exact-rejected"


def test_an_encoder_that_is_the_whole_of_one_side_counts(
    with_tower: Callable[[str, Names, int], Fingerprints], tmp_path: Path
):
    """The other side is that encoder, so its own main stack was found."""
    alone = tmp_path / "encoder"
    alone.mkdir()
    write_shards(alone, {"model.safetensors": tower(SIGLIP, 7)})
    comparison = compared(measured_at(alone), with_tower("seed-2", SIGLIP, 7))
    assert conclude(comparison).rung == "exact-rejected"


def test_without_other_stacks_nothing_is_compared(family: Path):
    comparison = compared(measured_at(family / "seed-1"), measured_at(family / "seed-2"))
    assert COMPONENT_ID not in by_id(comparison)
    assert [item.reason for item in comparison.not_compared if item.id == COMPONENT_ID]


@pytest.mark.parametrize("role", ["experts.gate_up", "cross.q", "linear.qkv", "ssm.in", "first.q_b"])
def test_parts_of_the_main_stack_are_no_component(role: str):
    """A point in a role is no label of a stack: what is copied there is the network's own."""
    assert beside_main_stack(role) == ("", role)
    assert role in TRAINED
    assert beside_main_stack(f"vision.{role}") == ("vision", role)
