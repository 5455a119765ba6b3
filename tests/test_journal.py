"""A killed measurement goes on where it stopped, and nothing of the result tells but the label."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from interrupted import bases, entries, measure_and_kill, written
from reproduced import again
from servers.web import Web, serving
from small_checkpoint import bfloat16, read_tensors, write_shards

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.cli import main
from attest.errors import InputError
from attest.journal import MIN_SIZE, Journal, binding
from attest.measure import Measurement, measure
from attest.program import environment, this_tool
from attest.sweep import ChunkDigest, QuantizedSums, Scales, StretchResult, TensorResult
from attest.sweep.counted import sums_of_codes
from attest.sweep.stretch import STRETCH_SIZE

SHARDS = 5


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, family: Path) -> Path:
    """A checkpoint of several shards above the size that is kept: a small network beside tensors without a role."""
    folder = tmp_path_factory.mktemp("resume") / "checkpoint"
    folder.mkdir()
    tensors = read_tensors(family / "seed-1")
    rng = np.random.default_rng(1)
    names = sorted(tensors)
    shards = {
        f"model-{number}.safetensors": {
            **{name: tensors[name] for name in names[number::SHARDS]},
            f"extra.{number}": bfloat16(rng.standard_normal((1500, 1000)).astype(np.float32)),
        }
        for number in range(SHARDS)
    }
    (folder / "config.json").write_bytes((family / "seed-1" / "config.json").read_bytes())
    return write_shards(folder, shards)


def test_killed_at_random_points_the_result_is_the_same(checkpoint: Path, tmp_path: Path):
    """SIGKILL after random times, again and again until a run comes through: each goes on where the last stopped."""
    main(["measure", str(checkpoint), "-o", str(tmp_path / "whole")], standalone_mode=False)
    journal, output = tmp_path / "journal", tmp_path / "resumed"
    kept = measure_and_kill(checkpoint, output, journal, stretch_size=STRETCH_SIZE, threads=1)
    assert kept == sorted(kept)
    assert len(set(kept)) > 2
    assert written(output) == written(tmp_path / "whole")
    assert sorted(set(bases(output).values())) == ["computed", "resumed"]
    assert set(bases(tmp_path / "whole").values()) == {"computed"}
    assert not journal.exists()


@pytest.fixture(scope="module")
def filled(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("filled") / "journal"
    measure(checkpoint, resume=folder)
    return folder


@pytest.fixture
def journal(filled: Path, tmp_path: Path) -> Path:
    """A copy of a whole measurement's journal that a test may spoil."""
    return Path(shutil.copytree(filled, tmp_path / "journal"))


@pytest.fixture(scope="module")
def whole(checkpoint: Path) -> Measurement:
    """The same without a journal."""
    return measure(checkpoint)


def test_large_files_are_kept_and_small_ones_are_not(checkpoint: Path, filled: Path):
    sizes = [path.stat().st_size for path in checkpoint.iterdir()]
    assert len(entries(filled)) == sum(size >= MIN_SIZE for size in sizes) == SHARDS
    assert {path.stat().st_mode & 0o777 for path in entries(filled)} == {0o600}


def test_a_file_that_was_kept_is_not_read(checkpoint: Path, filled: Path, whole: Measurement):
    read: list[int] = []
    again = measure(checkpoint, resume=filled, progress=lambda done, _all: read.append(done))
    kept = sum(path.stat().st_size for path in checkpoint.glob("model-*.safetensors"))
    assert read[0] == kept
    assert again.details == whole.details


def changed_time(checkpoint: Path) -> None:
    os.utime(checkpoint / "config.json", ns=(1, 1))


def changed_config(checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    path.write_text(path.read_text().replace("{", '{"x": 1,', 1))


def more_files(checkpoint: Path) -> None:
    (checkpoint / "new.txt").touch()


@pytest.mark.parametrize("change", [changed_time, changed_config, more_files])
def test_another_checkpoint_takes_nothing(tmp_path: Path, checkpoint: Path, change: Callable[[Path], None]):
    """Even where only a file beside the shards is another."""
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in checkpoint.iterdir():
        shutil.copyfile(path, copy / path.name)
    journal = tmp_path / "journal"
    measure(copy, resume=journal)
    change(copy)
    files = measure(copy, resume=journal).evidence.checkpoint.files
    assert {file.basis for file in files} == {"computed"}


def test_another_program_takes_nothing(checkpoint: Path):
    model = place_tensors(open_checkpoint(checkpoint))
    tool, place = this_tool(), environment("numba", "numpy")
    bound = binding(model, tool, place, ())
    assert bound == binding(model, tool, place, ())
    assert bound != binding(model, this_tool().__class__(name="attest", version="0", source_sha256="0" * 64), place, ())
    assert bound != binding(model, tool, environment("numpy"), ())
    assert bound != binding(model, tool, place, ("new/v1",))


def test_the_binding_is_the_same_in_every_process(checkpoint: Path):
    code = (
        "import sys; from pathlib import Path; from attest.architecture import place_tensors;"
        "from attest.checkpoint import open_checkpoint; from attest.journal import binding;"
        "from attest.program import environment, this_tool;"
        "print(binding(place_tensors(open_checkpoint(Path(sys.argv[1]))), this_tool(), environment('numpy'), ()))"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", code, checkpoint],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(runs) == 1


@pytest.mark.parametrize("position", [0, 31, 32, 40, 5000, -1])
def test_a_damaged_entry_is_measured_again(checkpoint: Path, journal: Path, whole: Measurement, position: int):
    for path in entries(journal):
        data = bytearray(path.read_bytes())
        data[position] ^= 1
        path.write_bytes(data)
    again = measure(checkpoint, resume=journal)
    assert {file.basis for file in again.evidence.checkpoint.files} == {"computed"}
    assert again.details == whole.details


def test_an_entry_under_another_name_is_not_taken(checkpoint: Path, journal: Path, whole: Measurement):
    first, second = entries(journal)[:2]
    second.write_bytes(first.read_bytes())
    again = measure(checkpoint, resume=journal)
    assert again.details == whole.details
    assert sorted(file.basis for file in again.evidence.checkpoint.files).count("computed") == 3


def test_a_link_in_the_place_of_an_entry_is_not_followed(checkpoint: Path, filled: Path, tmp_path: Path):
    journal = tmp_path / "journal"
    journal.mkdir(mode=0o700)
    for path in entries(filled):
        (journal / path.name).symlink_to(path)
    assert {file.basis for file in measure(checkpoint, resume=journal).evidence.checkpoint.files} == {"computed"}


def stretch(collected: Any) -> StretchResult:
    """The second stretch of a file, with one tensor that gave this."""
    chunks = (ChunkDigest(begin=0, size=1, digest=b"x", tensor=None),)
    tensors = {"t": TensorResult(digest="0", collected={"x": collected})}
    return StretchResult(path="a", number=1, end=MIN_SIZE, sha256="0" * 64, state=b"x", chunks=chunks, tensors=tensors)


def test_only_results_of_collecting_are_made(tmp_path: Path):
    """An entry cannot name another class."""
    journal = Journal(tmp_path / "journal", "0")
    evil: Any = InputError
    with pytest.raises(TypeError):
        journal.keep(stretch(evil))
    journal.keep(stretch(this_tool()))
    with pytest.raises(TypeError, match="no record of a result"):
        journal.find("a", 1)


SUMS = sums_of_codes(np.arange(65536, dtype=np.int64), "BF16")
VALUES: dict[str, Any] = {
    "exact sums": SUMS,
    "scales": Scales(scales=SUMS, minima=None),
    "quantized sums": QuantizedSums(
        **{one.name: getattr(SUMS, one.name) for one in fields(SUMS)}, codes=tuple(range(16))
    ),
    "large integer": 2**200 - 1,
    "negative": -5,
    "truth": True,
    "nothing": None,
    "text": "é\ud800",
    "float": 0.1,
    "infinity": float("inf"),
    "minus zero": -0.0,
    "tuple": (1, (2.5, "x")),
    "mapping": {"a": {"b": 1}},
    "bytes": b"\0\xff",
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_come_back_as_they_were(tmp_path: Path, value: Any):
    journal = Journal(tmp_path / "journal", "0")
    result = stretch(value)
    journal.keep(result)
    found = journal.find("a", 1)
    assert found == result
    assert repr(found) == repr(result)
    assert [journal.find("a", 0), journal.find("b", 1), Journal(tmp_path / "journal", "1").find("a", 1)] == [None] * 3


@pytest.mark.parametrize("dtype", ["<i8", "<u8", "<f4", "<f8", "<i4", "|i1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_come_back_in_the_same_order_of_memory(tmp_path: Path, dtype: str, order: Any):
    journal = Journal(tmp_path / "journal", "0")
    array = np.asarray(np.arange(12).reshape(3, 4), dtype=dtype, order=order)
    journal.keep(stretch(array))
    found = journal.find("a", 1)
    assert found is not None
    back = found.tensors["t"].collected["x"]
    assert (back.dtype, back.strides, back.tolist()) == (array.dtype, array.strides, array.tolist())
    assert back.flags.writeable


def test_a_folder_that_others_can_write_to_is_refused(tmp_path: Path):
    for mode in (0o777, 0o770, 0o702):
        folder = tmp_path / oct(mode)
        folder.mkdir()
        folder.chmod(mode)
        with pytest.raises(InputError) as caught:
            Journal(folder, "0")
        assert caught.value.code == "open-journal"


def test_a_link_is_no_journal(tmp_path: Path):
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(InputError) as caught:
        Journal(tmp_path / "link", "0")
    assert caught.value.code == "open-journal"


@pytest.mark.parametrize("place", ["missing/journal", "file"])
def test_a_place_where_no_folder_can_be(tmp_path: Path, place: str):
    (tmp_path / "file").touch()
    with pytest.raises(InputError) as caught:
        Journal(tmp_path / place, "0")
    assert caught.value.code == "cannot-write"


def test_clearing_leaves_other_files(tmp_path: Path):
    """And takes what a killed run had begun to write."""
    folder = tmp_path / "journal"
    folder.mkdir()
    for name in ("x.attest-journal", ".y.attest-journal.begun", "mine.txt"):
        (folder / name).touch()
    Journal.clear(folder)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


def test_a_journal_in_the_checkpoint_is_refused(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["measure", checkpoint, "-o", tmp_path / "out", "--resume", checkpoint / "journal"]
    with pytest.raises(SystemExit) as caught:
        main([str(word) for word in words])
    assert caught.value.code == 3
    assert "output-in-checkpoint" in capsys.readouterr().err


def test_reproducing_reads_no_journal(checkpoint: Path, journal: Path, tmp_path: Path):
    """Evidence of a resumed run is reproduced by reading every byte."""
    main(["measure", str(checkpoint), "-o", str(tmp_path / "resumed"), "--resume", str(journal)], standalone_mode=False)
    read: list[int] = []
    result = again(tmp_path / "resumed", checkpoint=checkpoint, progress=lambda done, _all: read.append(done))
    assert result.reproduced
    assert {value.outcome for value in result.values} == {"identical"}
    assert len(read) > 6


def test_a_remote_measurement_is_resumed(checkpoint: Path, tmp_path: Path):
    web = Web(files={f"/{path.name}": path.read_bytes() for path in checkpoint.iterdir()})
    with serving(web):
        url = f"{web.url}/model.safetensors.index.json"
        whole = measure(url, resume=tmp_path / "journal")
        before = sum(len(request.path) > 0 for request in web.log)
        again = measure(url, resume=tmp_path / "journal")
        assert again.details == whole.details
        assert len(web.log) - before < before
        web.headers["/config.json"] = {"ETag": '"changed"'}
        files = measure(url, resume=tmp_path / "journal").evidence.checkpoint.files
        assert {file.basis for file in files} == {"computed"}
