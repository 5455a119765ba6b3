"""Measurements in processes of their own that are killed at random points, again and again until one comes through."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import shutil
from itertools import count
from pathlib import Path
from signal import SIGKILL
from threading import Timer
from unittest.mock import patch

from attest.cli import main
from attest.journal import MIN_SIZE, Journal
from attest.sweep import StretchResult

__all__ = ["bases", "entries", "measure_and_kill", "written"]


def measure_and_kill(checkpoint: Path, output: Path, journal: Path, *, stretch_size: int, threads: int) -> list[int]:
    """Measure; number of entries in the journal after every SIGKILL.

    A run is killed some time after it kept one or two results more, wherever its threads are then.
    """
    context = multiprocessing.get_context("forkserver")  # has imported all that a run needs, and forks in a moment
    context.set_forkserver_preload(["attest.cli", "attest.measure"])
    words = ["measure", str(checkpoint), "-o", str(output), "--resume", str(journal), "--threads", str(threads)]
    rng = random.Random(7)  # noqa: S311 - not a secret
    kept = [0]
    for _ in range(40):
        lives, delay = rng.randint(1, 2), rng.choice([0.0, rng.random() * 0.003])
        process = context.Process(target=_run, args=(words, stretch_size, lives, delay))
        process.start()
        process.join()
        if process.exitcode == 0:
            return kept
        assert process.exitcode == -SIGKILL
        if output.exists():  # killed when all was written
            shutil.rmtree(output)
        else:
            kept.append(len(entries(journal)))
    raise AssertionError("no run came through")


def _run(words: list[str], stretch_size: int, lives: int, delay: float) -> None:
    """Measure, and die some seconds after so many results were kept."""
    keep, numbers = Journal.keep, count(1)

    def keep_and_die(journal: Journal, result: StretchResult) -> None:
        keep(journal, result)
        if result.end >= MIN_SIZE and next(numbers) == lives:
            end = Timer(delay, os.kill, (os.getpid(), SIGKILL))
            end.daemon = True
            end.start()
            if not delay:
                end.join()

    with patch("attest.sweep.stretch.STRETCH_SIZE", stretch_size), patch.object(Journal, "keep", keep_and_die):
        main(words)


def entries(journal: Path) -> list[Path]:
    """What a journal holds."""
    return sorted(journal.glob("*.attest-journal"))


def written(output: Path) -> dict[str, bytes]:
    """Files of an evidence directory, without the time and the label of files that were resumed."""
    files = {path.relative_to(output).as_posix(): path.read_bytes() for path in output.rglob("*") if path.is_file()}
    statement = json.loads(files["statement.json"])
    statement["predicate"].pop("measuredAt")
    for file in statement["predicate"]["checkpoint"]["files"]:
        file["basis"] = "computed"
    return {**files, "statement.json": json.dumps(statement).encode()}


def bases(output: Path) -> dict[str, str]:
    """Basis of every file in an evidence directory."""
    checkpoint = json.loads((output / "statement.json").read_bytes())["predicate"]["checkpoint"]
    return {file["path"]: file["basis"] for file in checkpoint["files"]}
