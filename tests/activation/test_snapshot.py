"""A run that was killed goes on from its last snapshot, and its result is that of a run that was not."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from activation.staged import activations_of, run

from attest.activation import Activations, read_prompts
from attest.activation.prompts import load_prompt_set
from attest.activation.snapshot import Snapshot, Snapshots
from attest.journal import Journal
from attest.measure import measure

Causal = Callable[[str], Path]
ENGLISH = load_prompt_set("general-en")


def killed_after(steps: int, checkpoint: Path, folder: Path, snapshot: Path, *, stream: bool) -> None:
    """Run in a fork of this process, which has torch loaded, until it kills itself without a word."""
    told: list[str] = []

    def tell(line: str) -> None:
        told.append(line)
        if len(told) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        signal.alarm(60)
        run(checkpoint, folder, ENGLISH, stream=stream, snapshot=snapshot, tell=tell)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


@pytest.mark.torch
@pytest.mark.usefixtures("unchanged_torch")
@pytest.mark.parametrize(
    ("stream", "steps", "resumed", "left"),
    [(False, 7, 7, 3), (True, 25, 2, 10)],  # 10 sequences; 3 blocks on 10 sequences each
)
def test_a_killed_run_goes_on_to_the_same_bits(
    causal: Causal, tmp_path: Path, *, stream: bool, steps: int, resumed: int, left: int
):
    checkpoint, snapshot = causal("qwen2"), tmp_path / "snapshot"
    killed_after(steps, checkpoint, tmp_path / "killed", snapshot, stream=stream)
    told: list[str] = []
    (again, found), (whole, expected) = (
        run(checkpoint, tmp_path / name, ENGLISH, stream=stream, snapshot=place, tell=told.append)
        for name, place in (("again", snapshot), ("whole", None))
    )
    assert (again.resumed, whole.resumed) == (resumed, 0)
    assert len(told) == left + (30 if stream else 10)
    for name, one in expected.items():
        assert one.arrays
        assert one.arrays.keys() == found[name].arrays.keys()
        assert all(np.array_equal(found[name].arrays[key], array) for key, array in one.arrays.items())


@pytest.mark.torch
@pytest.mark.usefixtures("unchanged_torch")
def test_measuring_keeps_a_run_in_its_journal_and_clears_it(
    family: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    journal, kept = tmp_path / "journal", []

    def ran(*_: object, snapshot: Path, **__: object) -> Activations:
        snapshot.write_bytes(b"what it had got to")
        kept.append(snapshot.parent)
        return activations_of(family / "seed-1", "random-tokens")

    monkeypatch.setattr("attest.activation.measure_activations", ran)
    measure(family / "seed-1", prompts=read_prompts("random-tokens"), resume=journal)
    assert kept == [journal]
    Journal.clear(journal)
    assert not journal.exists()


def test_another_run_or_a_damaged_file_is_not_seen(tmp_path: Path):
    path = tmp_path / "snapshot"
    held = {"one/v1": {"sums": np.arange(3.0)}, "two/v1": {}}
    Snapshots(path, "a", 0).keep(lambda: Snapshot(steps=2, held=held, states=[np.ones((2, 4), np.float32)] * 11))
    found = Snapshots(path, "a", 0).last()
    assert found is not None
    assert (found.steps, len(found.states), path.stat().st_mode & 0o777) == (2, 11, 0o600)
    assert found.held["one/v1"]["sums"].tolist() == [0, 1, 2]
    assert Snapshots(path, "b", 0).last() is None
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    assert Snapshots(path, "a", 0).last() is None
    path.write_bytes(data[:10])
    assert Snapshots(path, "a", 0).last() is None
    path.unlink()
    assert Snapshots(path, "a", 0).last() is None


def test_nothing_is_kept_before_it_is_time(tmp_path: Path):
    def make() -> Snapshot:
        raise AssertionError("made too soon")

    Snapshots(tmp_path / "snapshot", "a", 60).keep(make)
    Snapshots(None, "a", 0).keep(make)
    assert list(tmp_path.iterdir()) == []
