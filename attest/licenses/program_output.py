"""The output of a program that may take for ever, or say more than this machine can hold."""

from __future__ import annotations

import subprocess
import tempfile
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from attest.checkpoint.byte_range import read_up_to

__all__ = ["Output", "output_of"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Output:
    """What a program wrote, or why it was ended; ``code`` is what it gave back."""

    data: bytes
    complaint: str
    code: int
    is_too_slow: bool
    is_too_large: bool


def output_of(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    seconds: float,
    max_bytes: int,
    stdin: bytes = b"",
    folder: Path | None = None,
) -> Output:
    """Output of a program, which is ended when it takes longer, or writes more, than that; it runs in a folder.

    Raises
    ------
    FileNotFoundError
        There is no such program.
    """
    with tempfile.TemporaryFile() as asked, tempfile.TemporaryFile() as complaints:
        asked.write(stdin)
        asked.seek(0)
        with subprocess.Popen(  # noqa: S603 - who calls this vouches for the command, and no shell sees it
            command, stdin=asked, stdout=subprocess.PIPE, stderr=complaints, env=environment, cwd=folder
        ) as process:
            late = threading.Event()
            watch = threading.Timer(seconds, _end, (process, late))
            watch.start()
            data = read_up_to(cast("BinaryIO", process.stdout), max_bytes + 1)
            if len(data) > max_bytes:
                process.kill()
            process.wait()
            watch.cancel()
        complaints.seek(0)
        complaint = complaints.read(200).decode("utf-8", "replace").strip()
    return Output(
        data=data,
        complaint=complaint,
        code=process.returncode,
        is_too_slow=late.is_set(),
        is_too_large=len(data) > max_bytes,
    )


def _end(process: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    process.kill()
