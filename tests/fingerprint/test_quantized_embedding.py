"""A table of tokens that is kept as codes is as good as its values: for axes made of words, and for tests that read rows."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from packing import write_mlx
from relabeled import byte_tokenizer
from small_checkpoint import write_tensors

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.weights.role_weights import RoleWeights
from attest.errors import CheckpointError
from attest.fingerprint.anchors import Anchors, read_anchors
from attest.measure import measure

ID = "anchored-sketch/v1"
EMBED = "model.embed_tokens"


def with_tokenizer(folder: Path) -> Path:
    (folder / "tokenizer.json").write_text(json.dumps(byte_tokenizer()))
    return folder


@pytest.fixture(scope="module")
def copy(family: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_tokenizer(write_mlx(tmp_path_factory.mktemp("embedding") / "copy", family / "seed-1"))


@pytest.fixture(scope="module")
def stored(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same values, stored as they are."""
    opened = open_checkpoint(copy)
    beside = {tensor.name for one in opened.packed.values() for tensor in one.companions.values()}
    tensors = {one.name: opened.read_bits(one) for one in opened.tensors if one.name not in beside}
    tensors |= {name: opened.read_values(one) for name, one in opened.packed.items()}
    folder = tmp_path_factory.mktemp("embedding") / "stored"
    folder.mkdir()
    write_tensors(folder / "model.safetensors", tensors)
    (folder / "config.json").write_bytes((copy / "config.json").read_bytes())
    return with_tokenizer(folder)


def test_words_are_at_the_same_places(copy: Path, stored: Path):
    here, there = (read_anchors(place_tensors(open_checkpoint(folder))) for folder in (copy, stored))
    assert isinstance(here, Anchors)
    assert isinstance(there, Anchors)
    assert np.array_equal(here.bits, there.bits)


def test_sketches_on_axes_of_words_are_the_same(copy: Path, stored: Path):
    here, there = (measure(folder, deep=True).profiles[ID] for folder in (copy, stored))
    assert here.keys() == there.keys() == {f"layers.{layer}" for layer in range(4)}
    assert all(np.array_equal(array, there[name]) for name, array in here.items())


def test_rows_are_read_alone(copy: Path, stored: Path, monkeypatch: pytest.MonkeyPatch):
    rows = np.array([200, 3, 4, 5, 3, 0])
    expected = RoleWeights(model=place_tensors(open_checkpoint(stored))).rows("embed", None, rows)
    assert expected is not None
    found = RoleWeights(model=place_tensors(open_checkpoint(copy)))
    monkeypatch.setattr(type(found.model.checkpoint), "read_values", None)
    assert np.array_equal(found.rows("embed", None, rows), expected)


@pytest.mark.parametrize("end", ["weight", "scales", "biases"])
def test_what_changes_between_the_two_reads_is_noticed(end: str, family: Path, tmp_path: Path):
    folder = with_tokenizer(write_mlx(tmp_path / "copy", family / "seed-1"))
    tensor = next(one for one in open_checkpoint(folder).tensors if one.name == f"{EMBED}.{end}")
    done = False

    def change(_: int, __: int) -> None:
        nonlocal done
        if not done:
            with (folder / tensor.file).open("r+b") as stream:
                stream.seek(tensor.begin)
                data = stream.read(tensor.end - tensor.begin)
                stream.seek(tensor.begin)
                stream.write(bytes(byte ^ 0x55 for byte in data))
            done = True

    with pytest.raises(CheckpointError) as caught:
        measure(folder, threads=1, deep=True, progress=change)
    assert caught.value.code == "file-changed"
