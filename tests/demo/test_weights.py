"""Unpacking for the demo, and where its weights are found."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from attest.demo.weights import family, find_minilm, find_minilm_zip, find_stranger, unzip
from attest.errors import CheckpointError


def packed(path: Path, name: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(name, b"data")
    return path


def test_files_are_unpacked(tmp_path: Path) -> None:
    unzip(packed(tmp_path / "a.zip", "folder/model.safetensors"), tmp_path / "out")
    assert (tmp_path / "out" / "folder" / "model.safetensors").read_bytes() == b"data"


@pytest.mark.parametrize("name", ["../escape", "/etc/escape", "a/../../escape", "a\\..\\escape"])
def test_names_that_lead_out_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        unzip(packed(tmp_path / "a.zip", name), tmp_path / "out")
    assert caught.value.code == "unsafe-path"
    assert not (tmp_path / "escape").exists()


def test_the_family_lies_where_it_is_shipped() -> None:
    assert {path.name for path in family().iterdir() if path.is_dir()} == {
        "seed-1", "seed-2", "seed-3", "seed-1-continued",
    }  # fmt: skip


def test_packages_are_found_without_being_imported() -> None:
    for found in (find_minilm(), find_minilm_zip(), find_stranger()):
        assert found is None or found.exists()
