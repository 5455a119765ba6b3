"""How many processors this process may use, and work that is done on all of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

__all__ = ["on_all_cores", "usable_cores"]

_MAX_THREADS = 8

Item = TypeVar("Item")
Result = TypeVar("Result")


def usable_cores() -> int:
    """Processors that the system lets this process run on, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def on_all_cores(function: Callable[[Item], Result], items: Iterable[Item]) -> list[Result]:
    """What a function gives for each item, in their order; at most eight threads take turns at them.

    Worth it for what leaves the interpreter's lock to others, as compiled loops and products of matrices do.
    """
    waiting = list(items)
    threads = min(_MAX_THREADS, usable_cores(), len(waiting))
    if threads < 2:
        return [function(item) for item in waiting]
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 - loads logging, which measuring does not need

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(function, waiting))
