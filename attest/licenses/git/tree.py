"""The text files of a git repository at one revision."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from attest.errors import InputError
from attest.licenses.git.objects import blobs
from attest.licenses.git.repository import GitRepository, open_repository
from attest.licenses.readable import Reason, Skipped, limit_of, source_of
from attest.licenses.source import Source

__all__ = ["Entry", "entries", "read_revision"]

_MAX_ENTRIES = 2_000_000
_MAX_PATH = 512
_FILE_MODES = (b"100644", b"100755", b"100664")
_REASONS: dict[bytes, Reason] = {b"120000": "link", b"160000": "submodule"}

Entry = tuple[str, str]
"""Path and blob id."""


def read_revision(path: Path, revision: str) -> Iterator[Source | Skipped]:
    """Every text file of a commit, and everything else that was met, in order of path.

    Raises
    ------
    InputError
        It is no git repository, has no such revision, or is damaged.
    """
    with open_repository(path) as repository:
        files: list[Entry] = []
        for item in entries(repository, repository.commit(revision)):
            if isinstance(item, Skipped):
                yield item
            else:
                files.append(item)
        for (name, _), (_, data) in zip(files, blobs(repository, [id_ for _, id_ in files]), strict=True):
            yield source_of(name, data)


def entries(repository: GitRepository, commit: str) -> Iterator[Entry | Skipped]:
    """Files of a commit that are small enough, and what else it holds.

    Raises
    ------
    InputError
        It holds more files than are listed.
    """
    rows = repository.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit).split(b"\0")
    if len(rows) > _MAX_ENTRIES:
        raise InputError(
            "too-many-files",
            f"holds more than {_MAX_ENTRIES} files",
            fix="scan a smaller repository",
            where=str(repository.directory),
        )
    for row in filter(None, rows):
        head, _, raw = row.partition(b"\t")
        mode, _, id_, size = head.split()
        name = raw.decode("utf-8", "surrogateescape")
        if not name.isprintable():
            yield Skipped(path=None, reason="unprintable-name")
        elif len(raw) > _MAX_PATH:
            yield Skipped(path=None, reason="path-too-long")
        elif any(part in ("", ".", "..", ".git") for part in name.split("/")):
            yield Skipped(path=None, reason="unsafe-name")
        elif mode not in _FILE_MODES:
            yield Skipped(path=name, reason=_REASONS.get(mode, "special-file"))
        elif not size.isdigit():  # a partial clone
            yield Skipped(path=name, reason="unreadable")
        elif int(size) > limit_of(name):
            yield Skipped(path=name, reason="too-large")
        else:
            yield name, id_.decode()
