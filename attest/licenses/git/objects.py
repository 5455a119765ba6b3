"""Blobs of a git repository, many at a time, with a limit on each and on all."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator, Sequence
from typing import IO

from attest.licenses.git.repository import GitRepository, damaged

__all__ = ["blobs"]


def blobs(repository: GitRepository, ids: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    """Each blob by its id, in the order asked for.

    Raises
    ------
    InputError
        An object is missing, damaged, or no blob.

    Notes
    -----
    One process serves all, and one blob is held in memory at a time; who asks has looked at the sizes first.
    """
    if not ids:
        return
    with subprocess.Popen(  # noqa: S603 - ids are hexadecimal and go to its input
        ["git", "--no-pager", f"--git-dir={repository.own}", "cat-file", "--batch", "--buffer"],  # noqa: S607 - the user's own git
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=repository.environment(),
    ) as process:
        asking = threading.Thread(target=_ask, args=(process.stdin, ids), daemon=True)
        asking.start()
        try:
            for id_ in ids:
                yield id_, _next(process.stdout, repository)
        finally:
            process.kill()
            asking.join()


def _ask(stream: IO[bytes] | None, ids: Sequence[str]) -> None:
    if stream is None:
        return
    try:
        with stream:
            stream.write("".join(f"{id_}\n" for id_ in ids).encode())
    except OSError:  # the reader has left
        return


def _next(stream: IO[bytes] | None, repository: GitRepository) -> bytes:
    head = stream.readline().split() if stream else []
    if stream is None or len(head) != 3 or head[1] != b"blob":
        raise damaged(repository.directory, "an object is missing or is not what it should be")
    data = stream.read(int(head[2]))
    if len(data) != int(head[2]) or stream.read(1) != b"\n":
        raise damaged(repository.directory, "an object ends too early")
    return data
