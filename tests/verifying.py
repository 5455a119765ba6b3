"""What tests of verification share."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tiny_evidence import TinyEvidence

from attest.errors import AttestError
from attest.verify import Check, Expectation, Files, Verification, verify

ANYBODY = Expectation(key=None)
ALL_STEPS = ["bundle", "signature", "signer", "time", "statement", "subjects", "details", "checkpoint", "policy"]
INTACT = dict.fromkeys(ALL_STEPS, "PASSED") | {"time": "SKIPPED", "policy": "SKIPPED"}
"""Outcomes for an intact bundle that is signed with a key, where nobody was asked for the time."""


def exit_code(path: Path, expectation: Expectation, checkpoint: Path | None = None) -> int:
    """What the command line would exit with; any other exception than a coded one fails the test."""
    try:
        return verify(path, expectation=expectation, files=Files(checkpoint=checkpoint)).exit_code
    except AttestError as error:
        return error.exit_code


def check(tiny: TinyEvidence, **arguments: Any) -> Verification:
    """Verify the tiny evidence and its checkpoint."""
    checkpoint = arguments.pop("checkpoint", tiny.checkpoint)
    given = {"expectation": tiny.expectation(), "files": Files(checkpoint=checkpoint)} | arguments
    return verify(tiny.directory, **given)


def outcomes(verification: Verification) -> dict[str, str]:
    return {one.id: one.outcome for one in verification.checks}


def failed(verification: Verification) -> list[str]:
    return [one.id for one in verification.checks if one.outcome == "FAILED"]


def step(verification: Verification, name: str) -> Check:
    return next(one for one in verification.checks if one.id == name)


@contextmanager
def rewriting(path: Path) -> Iterator[Callable[[bytes], None]]:
    """Write a file again and again without opening it anew, which costs a disk more than a verification does."""
    with path.open("r+b" if path.exists() else "w+b", buffering=0) as stream:

        def write(data: bytes) -> None:
            os.pwrite(stream.fileno(), data, 0)
            if os.fstat(stream.fileno()).st_size != len(data):
                stream.truncate(len(data))

        yield write


def mutations(data: bytes, others: bytes = b"A", places: Iterable[int] | None = None) -> Iterator[tuple[int, bytes]]:
    """Some data once for every place in it with one bit flipped, and with the byte replaced by each of others."""
    for place in range(len(data)) if places is None else places:
        old = data[place]
        for new in {old ^ (1 << place % 8), *others} - {old}:
            yield place, data[:place] + bytes([new]) + data[place + 1 :]
