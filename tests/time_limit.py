"""A limit for code that must not hang: the whole run ends, with a trace, where it does."""

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_longer_than(seconds: float) -> Iterator[None]:
    """End the whole run, with a trace, where the block hangs."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()
