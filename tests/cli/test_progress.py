"""Progress, on a terminal and elsewhere."""

import os
import sys
from contextlib import suppress

import pytest

from attest.cli.progress import Progress


def test_elsewhere_it_is_a_line_now_and_then(capsys: pytest.CaptureFixture[str]):
    progress = Progress()
    progress(1, 2)
    assert capsys.readouterr().err == ""
    progress._every = 0.0
    progress(1_500_000_000, 3_000_000_000)
    progress.close()
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith("read 1.50 of 3.00 GB, ")
    assert found.err.endswith(" s left\n")
    assert "\x1b" not in found.err


def test_no_rate_is_told_before_enough_was_read(capsys: pytest.CaptureFixture[str]):
    """The first bytes may have waited for a model that was run before."""
    progress = Progress()
    progress._every = 0.0
    progress(1, 3_000_000_000)
    assert capsys.readouterr().err == "read 0.00 of 3.00 GB\n"


def test_on_a_terminal_it_is_one_line_that_is_cleared(monkeypatch: pytest.MonkeyPatch):
    ours, theirs = os.openpty()
    with open(theirs, "w") as terminal:  # noqa: PTH123 - a descriptor has no path
        monkeypatch.setattr(sys, "stderr", terminal)
        progress = Progress()
        progress._every = 0.0
        progress(0, 0)
        progress(1, 2)
        progress.close()
        terminal.flush()
    written = ""
    with suppress(OSError):  # nothing is left, and the other end is closed
        while piece := os.read(ours, 10_000):
            written += piece.decode()
    os.close(ours)
    assert written.count("\r\x1b[Kread 0.00 of 0.00 GB") == 2
    assert "\n" not in written
    assert written.endswith("\r\x1b[K")
