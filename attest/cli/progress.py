"""Progress on stderr: bytes, rate and time left on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time

import click

from attest.terminal import is_terminal

__all__ = ["Progress"]

_EVERY_ON_TERMINAL = 0.2
_EVERY_ELSEWHERE = 30.0
_GIGABYTE = 1e9
_KNOWN_FROM = 100
"""The rate is told from this part of all bytes on; before it, waiting for the first ones would look like reading."""


class Progress:
    """Told how many bytes of how many were read; writes at most a few times a second."""

    def __init__(self) -> None:
        self._terminal = is_terminal(sys.stderr)
        self._every = _EVERY_ON_TERMINAL if self._terminal else _EVERY_ELSEWHERE
        self._began = self._wrote = time.monotonic()
        self._done = 0

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` bytes were read; fewer than before are those of another checkpoint."""
        if done < self._done:
            self._began = time.monotonic()
        self._done = done
        rate = done / max(time.monotonic() - self._began, 1e-9)
        line = f"read {done / _GIGABYTE:.2f} of {total / _GIGABYTE:.2f} GB"
        if done * _KNOWN_FROM >= total:
            line += f", {rate / _GIGABYTE:.2f} GB/s, {(total - done) / max(rate, 1e-9):.0f} s left"
        self._show(line)

    def ran(self, done: int, total: int) -> None:
        """Show that the model took ``done`` of ``total`` steps."""
        self._show(f"ran {done} of {total} steps of the model")
        self._began = time.monotonic()

    def _show(self, line: str) -> None:
        now = time.monotonic()
        if now - self._wrote < self._every:
            return
        self._wrote = now
        click.echo(f"\r\x1b[K{line}" if self._terminal else line, nl=not self._terminal, err=True)

    def close(self) -> None:
        """Clear the line on a terminal."""
        if self._terminal:
            click.echo("\r\x1b[K", nl=False, err=True)
