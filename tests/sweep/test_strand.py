"""Jobs on threads: in order, with room, and heard where one fails."""

import shutil
import threading
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from small_checkpoint import write_tensors

from attest.checkpoint import Tensor, open_checkpoint
from attest.errors import CheckpointError
from attest.sweep import Accumulator, ExactAccumulator, sweep
from attest.sweep.strand import Crew, Strand


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of several tensors, which are read in many blocks."""
    folder = tmp_path_factory.mktemp("one")
    write_tensors(folder / "model.safetensors", {f"{n}": np.full((100, 50), n, np.float32) for n in range(4)})
    (folder / "README.md").write_bytes(b"x" * 1000)
    return folder


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_jobs_of_a_strand_run_in_order_and_never_two_at_a_time(threads: int):
    seen: dict[int, list[int]] = {strand: [] for strand in range(3)}
    busy = [threading.Lock() for _ in seen]

    def job(strand: int, number: int) -> None:
        assert busy[strand].acquire(blocking=False)
        seen[strand].append(number)
        busy[strand].release()
        crew.done()

    with Crew(threads=threads, max_blocks=10) as crew:
        strands = [Strand(crew) for _ in seen]
        for number in range(200):
            for strand in seen:
                crew.admit()
                strands[strand].add(partial(job, strand, number))
        crew.finish()
    assert all(numbers == list(range(200)) for numbers in seen.values())


def test_no_more_blocks_are_admitted_than_there_is_room_for():
    first = threading.Event()
    admitted = []

    def admit() -> None:
        for number in range(3):
            crew.admit()
            admitted.append(number)
            first.set()

    with Crew(threads=2, max_blocks=2) as crew:
        crew.admit()
        thread = threading.Thread(target=admit, daemon=True)
        thread.start()
        assert first.wait(60)
        thread.join(0.1)
        assert (admitted, thread.is_alive()) == ([0], True)
        crew.done()
        crew.done()
        thread.join(60)
        assert admitted == [0, 1, 2]


def exact_sums(tensor: Tensor) -> dict[str, Accumulator]:
    return {"exact": ExactAccumulator(tensor.dtype)}


class Broken:
    """Fails at its second block, or when it should give its result."""

    def __init__(self, at: str) -> None:
        self._at = at
        self._blocks = 0

    def update(self, rows: NDArray[Any], first_row: int) -> None:
        self._blocks += 1
        if self._at == "update" and self._blocks == 2:
            raise ZeroDivisionError(f"{rows.shape} {first_row}")

    def result(self) -> None:
        if self._at == "result":
            raise ZeroDivisionError


def broken_at(place: str) -> Callable[[Tensor], Mapping[str, Accumulator]]:
    def make(_: Tensor) -> dict[str, Accumulator]:
        if place == "start":
            raise ZeroDivisionError
        return {"broken": Broken(place)}

    return make


def in_time(action: Callable[[], object]) -> BaseException | None:
    """What an action raised; fails where it hangs."""
    raised: list[BaseException | None] = []

    def act() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - handed to the caller
            raised.append(error)
        else:
            raised.append(None)

    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(60)
    assert not thread.is_alive(), "it hangs"
    return raised[0]


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("place", ["start", "update", "result"])
def test_an_accumulator_that_fails_is_heard_and_nothing_hangs(one_file: Path, place: str, threads: int):
    before = threading.active_count()
    checkpoint = open_checkpoint(one_file)
    error = in_time(lambda: sweep(checkpoint, broken_at(place), threads=threads, block_size=300))
    assert type(error) is ZeroDivisionError
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_an_interruption_is_heard_and_nothing_hangs(one_file: Path, threads: int):
    before = threading.active_count()
    checkpoint = open_checkpoint(one_file)
    left = iter(range(5))

    def interrupt(_: int) -> None:
        if next(left, None) is None:
            raise KeyboardInterrupt

    error = in_time(lambda: sweep(checkpoint, exact_sums, threads=threads, block_size=300, progress=interrupt))
    assert type(error) is KeyboardInterrupt
    assert threading.active_count() == before


@pytest.mark.parametrize("threads", [1, 3])
def test_a_file_that_cannot_be_opened_any_more(one_file: Path, tmp_path: Path, threads: int):
    folder = Path(shutil.copytree(one_file, tmp_path / "copy"))
    checkpoint = open_checkpoint(folder)
    (folder / "README.md").unlink()
    error = in_time(lambda: sweep(checkpoint, exact_sums, threads=threads, block_size=300))
    assert isinstance(error, CheckpointError)
    assert (error.code, error.where) == ("cannot-read", "README.md")
