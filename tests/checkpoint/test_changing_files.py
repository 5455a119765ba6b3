"""Files that change while they are read, and between two looks at them."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from small_checkpoint import raw

from attest.checkpoint import open_checkpoint
from attest.checkpoint.tree import open_file
from attest.errors import CheckpointError
from attest.measure import measure
from attest.sweep import sweep


@pytest.fixture
def copy(family: Path, tmp_path: Path) -> Path:
    """A copy of a checkpoint that a test may spoil."""
    return Path(shutil.copytree(family / "seed-1", tmp_path / "copy"))


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def truncate(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1)


def touch(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")


def replace(path: Path) -> None:
    shutil.copyfile(path, path.with_name("new"))
    path.with_name("new").replace(path)


CHANGES = {change.__name__: change for change in (append, truncate, touch, overwrite, replace)}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_while_it_is_open_is_noticed(copy: Path, change: Callable[[Path], None]):
    def read() -> None:
        with open_file(copy, "config.json") as stream:
            stream.read(3)
            change(copy / "config.json")

    with pytest.raises(CheckpointError) as caught:
        read()
    assert caught.value.code == "file-changed"


def test_a_failure_while_a_file_is_open_keeps_its_own_name(copy: Path):
    def fail() -> None:
        with open_file(copy, "config.json"):
            append(copy / "config.json")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_file_that_changes_while_it_is_measured_is_noticed(
    copy: Path, change: Callable[[Path], None], threads: int
):  # fmt: skip
    """Once some of the weights were read, and some not."""
    weights = copy / "model.safetensors"
    changes = iter([change])

    def meddle(done: int, _all: int) -> None:
        if done > 300_000:
            for one in changes:
                one(weights)

    with pytest.raises(CheckpointError) as caught:
        measure(copy, threads=threads, progress=meddle)
    assert (caught.value.code, caught.value.where) == ("file-changed", "model.safetensors")


def spoil_header(copy: Path) -> None:
    path = copy / "model.safetensors"
    path.write_bytes(path.read_bytes().replace(b"q_proj", b"k_proj", 1))


def spoil_config(copy: Path) -> None:
    path = copy / "config.json"
    path.write_bytes(path.read_bytes().replace(b'"num_attention_heads": 4', b'"num_attention_heads": 2'))


def grow_config(copy: Path) -> None:
    append(copy / "config.json")


def shrink_config(copy: Path) -> None:
    truncate(copy / "config.json")


@pytest.mark.parametrize("spoil", [spoil_header, spoil_config, grow_config, shrink_config])
def test_what_was_parsed_before_must_be_what_is_digested(copy: Path, spoil: Callable[[Path], None]):
    """Between the look at headers and configuration, and the one read."""
    checkpoint = open_checkpoint(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    spoil(copy)
    assert {path.name: path.read_bytes() for path in copy.iterdir()} != before
    with pytest.raises(CheckpointError) as caught:
        sweep(checkpoint, lambda _: {}, threads=1)
    assert caught.value.code == "file-changed"


def test_a_file_that_vanishes_is_noticed(copy: Path):
    checkpoint = open_checkpoint(copy)
    (copy / "config.json").unlink()
    with pytest.raises(CheckpointError) as caught:
        sweep(checkpoint, lambda _: {}, threads=1)
    assert (caught.value.code, caught.value.where) == ("cannot-read", "config.json")


def test_a_writer_at_work_is_noticed(tmp_path: Path):
    """A download that goes on while it is measured."""
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(raw({"a": {"dtype": "U8", "shape": [8_000_000], "data_offsets": [0, 8_000_000]}}))

    def download() -> Iterator[None]:
        with weights.open("ab") as stream:
            while True:
                stream.write(bytes(1_000_000))
                stream.flush()
                yield

    coming = download()
    for _ in range(8):
        next(coming)
    with pytest.raises(CheckpointError) as caught:
        measure(tmp_path, progress=lambda _done, _all: next(coming))
    coming.close()
    assert caught.value.code == "file-changed"
