"""Strands: jobs that run one after another, on whichever thread is free.

A digest needs its bytes in order, and so do sums of floats; different files, chunks and tensors do not. Each of those
is a strand, and a few threads work on all strands, so that one large file keeps every core busy and no result depends
on which thread did what.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from threading import Condition, Lock, Thread
from typing import Self

__all__ = ["Crew", "Strand"]

Job = Callable[[], None]


class Crew:
    """A few threads, and a bound on how many blocks they may have before them.

    Parameters
    ----------
    threads : int
        With 1, every job runs at once in the caller's thread.
    max_blocks : int
        ``admit`` waits while so many blocks are not done.
    """

    def __init__(self, *, threads: int, max_blocks: int) -> None:
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads = [Thread(target=self._work) for _ in range(threads)] if threads > 1 else []
        self._left = False
        self._changed = Condition()
        self._blocks = 0
        self._max_blocks = max_blocks
        self._failure: BaseException | None = None

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._left = True
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def run(self, job: Job) -> None:
        """Run a job on a free thread; its failure is raised by the next ``admit`` or ``finish``."""
        if self._threads:
            self._jobs.put(job)
        else:
            job()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            try:
                if not self._left:
                    job()
            except BaseException as failure:  # noqa: BLE001 - raised again in the caller's thread
                with self._changed:
                    self._failure = self._failure or failure
                    self._changed.notify_all()

    def admit(self) -> None:
        """Wait until another block may be read."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or self._blocks < self._max_blocks)
            self._raise_failure()
            self._blocks += 1

    def done(self) -> None:
        """Count one block as done."""
        with self._changed:
            self._blocks -= 1
            self._changed.notify_all()

    def finish(self) -> None:
        """Wait until all blocks are done."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or self._blocks == 0)
            self._raise_failure()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure


class Strand:
    """Jobs that run in the order in which they were given, never two at a time."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._lock = Lock()
        self._waiting: deque[Job] = deque()
        self._running = False

    def add(self, job: Job) -> None:
        """Give the strand its next job."""
        with self._lock:
            self._waiting.append(job)
            if self._running:
                return
            self._running = True
        self._crew.run(self._work)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._running = False
                    return
                job = self._waiting.popleft()
            job()
