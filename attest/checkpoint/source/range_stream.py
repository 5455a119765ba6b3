"""One remote file as a seekable stream: a few ranges, asked for again where the connection breaks.

The first range after a long way is small, so that a header costs one short answer; each further one is four times as
long, and soon one range reaches to the end of the file. A short way ahead is read through: what lies scattered in a
file costs no more requests than the file has megabytes.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Protocol

from attest.errors import NetworkError

__all__ = ["FIRST_RANGE", "MAX_PIECE", "SHORT_WAY", "Body", "Interrupted", "Patience", "RangeStream"]

FIRST_RANGE = 64 * 1024
"""Bytes of the first range after a long way: most headers fit."""

MAX_PIECE = 4 * 1024 * 1024
"""Most bytes that a body takes from its connection at once, so that a large buffer is not held twice."""

SHORT_WAY = 1024 * 1024
"""Bytes ahead that are read through rather than asked around: they take about as long as another request."""

_HELD = 1024 * 1024
"""A range of at most this length is taken to its end and held, so that its connection serves the next one, too."""

_GROWTH = 4
_LONG_RANGE = 4 * 1024 * 1024
"""A range of this length is not cut any more: it reaches to the end of the file."""

_MAX_TRIES = 6
_FIRST_PAUSE = 0.5
_MAX_PAUSE = 30.0
_PROGRESS = 1024 * 1024
"""Bytes after which earlier failures are forgotten."""


class Interrupted(Exception):  # noqa: N818 - not an error: asking again may help
    """Raised when an answer broke off or was put off; ``retry_after`` is the server's header, if it gave one."""

    def __init__(self, reason: str, *, retry_after: str | None = None) -> None:
        super().__init__(reason)
        self.pause = _seconds(retry_after)
        """Seconds that the server asks for, if it does."""


def _seconds(retry_after: str | None) -> float | None:
    """Seconds that ``Retry-After`` asks for: a number of them, or a date."""
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit() and len(retry_after) < 10:
        return float(retry_after)
    try:
        return (parsedate_to_datetime(retry_after) - datetime.now(UTC)).total_seconds()
    except (ValueError, TypeError):  # no date, or one without a zone
        return None


class Patience:
    """Waits between tries, longer each time, until there were too many.

    Parameters
    ----------
    where : str
        What is asked for, for errors.
    sleep : callable
    """

    def __init__(self, where: str, sleep: Callable[[float], None] = time.sleep) -> None:
        self._where = where
        self._sleep = sleep
        self._failures = 0
        self._progress = 0

    def bear(self, trouble: Interrupted) -> None:
        """Wait before the next try.

        Raises
        ------
        NetworkError
            It was one failure too many.
        """
        self._failures += 1
        self._progress = 0
        if self._failures >= _MAX_TRIES:
            raise NetworkError(
                "no-answer",
                f"did not answer in {_MAX_TRIES} tries ({trouble})",
                fix="try again later, or download the checkpoint and measure the copy",
                where=self._where,
            ) from trouble
        pause = _FIRST_PAUSE * 2 ** (self._failures - 1) if trouble.pause is None else trouble.pause
        self._sleep(min(max(pause, 0.0), _MAX_PAUSE))

    def advance(self, size: int) -> None:
        """Count bytes that came in: enough of them, and earlier failures are forgotten."""
        self._progress += size
        if self._progress >= _PROGRESS:
            self._failures = 0


class Body(Protocol):
    """The bytes of one answer, exactly those of the range that was asked for."""

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a part of the buffer; 0 at the end. Raises ``Interrupted`` where the connection breaks."""

    def close(self) -> None:
        """Give up the rest."""


class RangeStream(io.RawIOBase):
    """Seekable stream over ranges of one file.

    Parameters
    ----------
    ask : callable
        Opens the body of the bytes from ``begin`` up to, not including, ``end``; raises ``Interrupted`` where asking
        again may help.
    size : int
        Bytes of the file.
    patience : Patience
    """

    def __init__(self, ask: Callable[[int, int], Body], *, size: int, patience: Patience) -> None:
        super().__init__()
        self._ask = ask
        self._size = size
        self._patience = patience
        self._position = 0
        self._body: Body | None = None
        self._at = 0  # of the next byte that the body gives
        self._end = 0  # of the range that was asked for last
        self._window = FIRST_RANGE
        self._held = bytearray()
        self._held_from = 0

    def readable(self) -> bool:
        """Whether it can be read: yes."""
        return True

    def seekable(self) -> bool:
        """Whether it can seek: yes."""
        return True

    def tell(self) -> int:
        """Offset of the next byte."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to an offset; nothing is asked for before it is read."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("negative seek position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # narrower: no other buffers are given
        """Fill a part of the buffer; 0 at the end of the file."""
        view = memoryview(buffer).cast("B")[: max(0, self._size - self._position)]
        count = 0
        while len(view) and not count:
            count = self._take_held(view)
            try:
                count = count or self._read(view)
            except Interrupted as trouble:
                self._drop()
                self._patience.bear(trouble)
        self._position += count
        return count

    def _take_held(self, view: memoryview) -> int:
        within = self._position - self._held_from
        part = self._held[within : within + len(view)] if within >= 0 else b""
        view[: len(part)] = part
        return len(part)

    def _read(self, view: memoryview) -> int:
        """Fill a part of the view from the connection; 0 where what was read is held instead."""
        body = self._body
        if body is None or not self._at <= self._position < min(self._at + SHORT_WAY, self._end):
            body = self._begin_range(len(view))
        if self._end - self._at <= _HELD and self._at == self._position:
            self._hold(body)
            return 0
        while self._at < self._position:
            self._receive(body, memoryview(bytearray(min(self._position - self._at, FIRST_RANGE))))
        return self._receive(body, view[: self._end - self._at])

    def _begin_range(self, wanted: int) -> Body:
        self._drop()
        if not 0 <= self._position - self._at <= SHORT_WAY:
            self._window = FIRST_RANGE
        length = max(wanted, self._window)
        self._window = length * _GROWTH
        self._at = self._position
        self._end = self._size if length >= _LONG_RANGE else min(self._position + length, self._size)
        self._body = self._ask(self._at, self._end)
        return self._body

    def _hold(self, body: Body) -> None:
        """Take the rest of the range; what came before an interruption stays."""
        self._held, self._held_from = bytearray(), self._at
        piece = memoryview(bytearray(min(self._end - self._at, FIRST_RANGE)))
        while self._at < self._end:
            self._held += piece[: self._receive(body, piece[: self._end - self._at])]

    def _receive(self, body: Body, view: memoryview) -> int:
        count = body.readinto(view)
        if not count:
            raise Interrupted("the answer ended early")
        self._at += count
        self._patience.advance(count)
        if self._at == self._end:
            self._drop()
        return count

    def _drop(self) -> None:
        if self._body is not None:
            self._body.close()
            self._body = None

    def close(self) -> None:
        """Give up the range that is under way."""
        self._drop()
        super().close()
