"""A run that was killed inside one large file goes on there, and the evidence is that of an uninterrupted one."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from interrupted import bases, entries, measure_and_kill, written
from servers.web import Web
from small_checkpoint import bfloat16, read_tensors, write_tensors

from attest.checkpoint import Tensor, open_checkpoint
from attest.checkpoint.sealed import read_sealed
from attest.cli import main
from attest.errors import CheckpointError
from attest.journal import Journal
from attest.measure import Measurement, measure
from attest.sweep import Accumulator, StretchResult, sweep

SIZE = 1024 * 1024
NAME = "model.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory, family: Path) -> Path:
    """One file of seventeen stretches, if they are of ``SIZE``: a small network, and tensors without a role."""
    folder = tmp_path_factory.mktemp("resume") / "checkpoint"
    folder.mkdir()
    rng = np.random.default_rng(1)
    extra = {f"extra.{n}": bfloat16(rng.standard_normal((600, 900)).astype(np.float32)) for n in range(16)}
    write_tensors(folder / NAME, {**read_tensors(family / "seed-1"), **extra})
    (folder / "config.json").write_bytes((family / "seed-1" / "config.json").read_bytes())
    return folder


@pytest.fixture(scope="module")
def whole(checkpoint: Path) -> Measurement:
    """Measured without a stop."""
    return measure(checkpoint)


@pytest.fixture(autouse=True)
def _short_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.sweep.stretch.STRETCH_SIZE", SIZE)


class _StoppedError(Exception):
    pass


def stop_at(share: float) -> Callable[[int, int], None]:
    def progress(done: int, total: int) -> None:
        if done > share * total:
            raise _StoppedError

    return progress


def interrupt(location: Path | str, journal: Path, share: float) -> int:
    """Measure a part of a checkpoint; number of stretches that were kept."""
    with pytest.raises(_StoppedError):
        measure(location, resume=journal, progress=stop_at(share), threads=1)
    return len(entries(journal))


def test_killed_at_random_points_of_one_file(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """SIGKILL, again and again until a run comes through: each goes on where the last stopped."""
    main(["measure", str(checkpoint), "-o", str(tmp_path / "whole")], standalone_mode=False)
    journal, output = tmp_path / "journal", tmp_path / "resumed"
    kept = measure_and_kill(checkpoint, output, journal, stretch_size=SIZE, threads=2)
    assert kept == sorted(kept)
    assert len(set(kept)) > 3
    assert written(output) == written(tmp_path / "whole")
    assert bases(output) == {"config.json": "computed", NAME: "resumed"}
    assert not journal.exists()
    assert "resumed" not in capsys.readouterr().out


@pytest.mark.parametrize(("share", "n_kept"), [(0.3, 4), (0.7, 11), (0.999, 16)])
def test_what_was_kept_is_read_for_the_digest_of_the_file_only(
    checkpoint: Path, whole: Measurement, tmp_path: Path, share: float, n_kept: int
):
    assert interrupt(checkpoint, tmp_path / "journal", share) >= n_kept
    again = measure(checkpoint, resume=tmp_path / "journal")
    assert again.details == whole.details
    assert again.resumed == {NAME}
    assert n_kept * SIZE < again.read_again[NAME] < (checkpoint / NAME).stat().st_size
    assert len(entries(tmp_path / "journal")) == 17
    last = measure(checkpoint, resume=tmp_path / "journal")
    assert (last.details, last.resumed, last.read_again) == (whole.details, {NAME}, {})


def test_no_value_is_collected_twice(checkpoint: Path, tmp_path: Path):
    """Accumulators are made for tensors of stretches that were not kept, and the chunks come from both runs."""
    made: list[str] = []

    def accumulators(tensor: Tensor) -> dict[str, Accumulator]:
        made.append(tensor.name)
        return {}

    opened = open_checkpoint(checkpoint)
    journal = Journal(tmp_path / "journal", "0")
    first = sweep(opened, accumulators, kept=journal)
    for number in count(3):
        if journal.find(NAME, number) is None:
            break
        journal.place(f"{number}\n{NAME}").unlink()
    once = tuple(made)
    made.clear()
    again = sweep(opened, accumulators, kept=journal)
    assert 0 < len(made) < len(once)
    assert set(made) < set(once)
    assert (again.files, again.tensors) == (first.files, first.tensors)


def test_it_is_said(checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    interrupt(checkpoint, tmp_path / "journal", 0.5)
    words = ["measure", checkpoint, "-o", tmp_path / "out", "--resume", tmp_path / "journal"]
    main([str(word) for word in words], standalone_mode=False)
    said = capsys.readouterr().out
    assert "resumed     results of an earlier run stand for 1 file, or a part of them\n" in said
    assert f"read again  {NAME}: its first " in said


def test_bytes_that_changed_between_the_runs_are_noticed(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Even where nothing tells of the change: here the identity of files leaves out all but the path."""
    monkeypatch.setattr("attest.checkpoint.tree._identity", lambda status: str(status.st_size))
    copy = tmp_path / NAME
    copy.write_bytes((checkpoint / NAME).read_bytes())
    kept = interrupt(copy, tmp_path / "journal", 0.5)
    with copy.open("r+b") as stream:
        stream.seek((kept - 1) * SIZE)
        stream.write(b"changed")
    with pytest.raises(CheckpointError, match="other bytes") as caught:
        measure(copy, resume=tmp_path / "journal")
    assert (caught.value.code, caught.value.where) == ("file-changed", NAME)


def test_a_file_that_is_another_takes_nothing(checkpoint: Path, tmp_path: Path):
    copy = tmp_path / NAME
    copy.write_bytes((checkpoint / NAME).read_bytes())
    interrupt(copy, tmp_path / "journal", 0.5)
    os.utime(copy, ns=(1, 1))
    assert measure(copy, resume=tmp_path / "journal").resumed == frozenset()


def in_order(journal: Path) -> list[tuple[int, Path]]:
    """Entries by the number of their stretch, each with where it ends: times of files tell no order, many have one."""
    found = {}
    for path in entries(journal):
        arrays = read_sealed(path, max_bytes=SIZE)
        assert arrays is not None
        content = json.loads(arrays["result"].tobytes())[-1]
        found[int(content["number"][1], 16)] = (int(content["end"][1], 16), path)
    assert sorted(found) == list(range(len(found)))
    return [found[number] for number in sorted(found)]


@pytest.mark.parametrize("damaged", [0, -1])
def test_a_damaged_entry_ends_what_is_taken(checkpoint: Path, whole: Measurement, tmp_path: Path, damaged: int):
    journal = tmp_path / "journal"
    interrupt(checkpoint, journal, 0.7)
    kept = in_order(journal)
    _, path = kept[damaged]
    path.write_bytes(path.read_bytes()[:-1])
    again = measure(checkpoint, resume=journal)
    assert again.details == whole.details
    assert again.read_again == ({NAME: kept[damaged - 1][0]} if damaged else {})


def test_a_remote_file_goes_on_without_another_download(checkpoint: Path, whole: Measurement, web: Web, tmp_path: Path):
    web.files |= {f"/{path.name}": path.read_bytes() for path in checkpoint.iterdir()}
    url = f"{web.url}/{NAME}"
    kept = interrupt(url, tmp_path / "journal", 0.6)
    web.log.clear()
    again = measure(url, resume=tmp_path / "journal")
    assert (again.read_again, again.resumed) == ({}, {NAME})
    assert again.tensors.tensors == whole.tensors.tensors
    assert {file.path: file.sha256 for file in whole.evidence.checkpoint.files}[NAME] == (
        again.evidence.checkpoint.files[0].sha256
    )
    begins = [request.range[0] for request in web.log if request.range and request.range[0] > SIZE]
    assert min(begins) >= kept * SIZE
    interrupt(url, tmp_path / "other", 0.6)
    web.headers[f"/{NAME}"] = {"ETag": '"changed"'}
    assert measure(url, resume=tmp_path / "other").resumed == frozenset()


def test_a_result_of_another_place_is_not_taken(checkpoint: Path, tmp_path: Path):
    """As an entry would be that somebody wrote: it must end where the stretch does, and have its header's digests."""
    opened = open_checkpoint(checkpoint)
    journal = Journal(tmp_path / "journal", "0")
    sweep(opened, lambda _: {}, kept=journal)
    first = journal.find(NAME, 0)
    assert first is not None

    class Forged:
        def __init__(self, **changes: object) -> None:
            self._changes = changes

        def find(self, path: str, number: int) -> StretchResult | None:
            found = journal.find(path, number)
            return found and StretchResult(**{**{n: getattr(found, n) for n in found.__slots__}, **self._changes})

        def keep(self, result: StretchResult) -> None:
            """Nothing."""

    assert sweep(opened, lambda _: {}, kept=Forged()).resumed == {NAME}
    for changes in ({"end": first.end + 1}, {"chunks": first.chunks[1:]}):
        assert sweep(opened, lambda _: {}, kept=Forged(**changes)).resumed == frozenset()
