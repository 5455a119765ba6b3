"""A repository that is surveyed: every time the same files, at one commit, and described by what was read."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from attest.checkpoint.source import Location, at_revision, is_remote, open_tree, shown
from attest.digest import sha256, tree_digest
from attest.errors import InputError
from attest.finding import Finding
from attest.licenses.archive import is_archive
from attest.licenses.git import history_files, is_bare_repository, open_repository
from attest.licenses.installed import is_package
from attest.licenses.readable import Skipped
from attest.licenses.scan import local_folder, read_files
from attest.licenses.source import Source
from attest.repository_scan import Kind, ScannedRepository
from attest.terminal import visible

__all__ = ["Place", "commit_of", "name_of"]


class Place:
    """Where a repository lies; a branch or tag is looked up once, so that every pass reads the same commit.

    Parameters
    ----------
    location : Path or str
        A folder, a git repository, an archive, a URI, or an installed package.
    revision : str, optional
        Branch, tag or commit to be read instead of the folder, or on the Hub.
    whole_history : bool, default False
        Whether to read every version in the history of a git repository instead.

    Raises
    ------
    InputError
        There is no such revision.
    CheckpointError, NetworkError
        A server does not answer as it must.
    """

    def __init__(self, location: Location, revision: str | None = None, *, whole_history: bool = False) -> None:
        self._location = location
        self._revision = revision
        self._commit: str | None = None
        self._kind: Kind = _kind(location)
        self._files: list[tuple[str, int, str]] | None = None
        self.findings: tuple[Finding, ...] = ()
        """What the last pass found of what was not read."""
        if whole_history:
            self._kind = "history"
        elif is_remote(location):
            origin = open_tree(at_revision(location, revision)).origin
            self._revision, self._commit = (origin.revision, origin.commit) if origin else (revision, None)
        elif revision or (self._kind == "folder" and is_bare_repository(Path(location))):
            self._kind, self._commit = "revision", commit_of(Path(location), revision or "HEAD")

    def files(self) -> Iterator[Source | Skipped]:
        """The text files, and what was not read.

        Raises
        ------
        InputError
            They are not those of an earlier pass.
        """
        read = []
        findings: list[Finding] = []
        for item in self._items():
            if isinstance(item, Source):
                read.append((item.path, len(item.raw), sha256(item.raw)))
            else:
                findings += item.findings
            yield item
        if self._files not in (None, read):
            raise InputError(
                "file-changed", "changed while it was read", fix="scan again when nothing writes to it",
                where=shown(self._location),
            )  # fmt: skip
        self._files, self.findings = read, tuple(findings)

    def described(self) -> ScannedRepository:
        """What was read; where nobody has read it yet, it is read now."""
        if self._files is None:
            deque(self.files(), maxlen=0)
        files = self._files or []
        return ScannedRepository(
            name=name_of(self._location),
            kind=self._kind,
            revision=self._revision,
            commit=self._commit,
            files=len(files),
            bytes=sum(size for _, size, _ in files),
            tree_digest=tree_digest(files),
        )

    def _items(self) -> Iterator[Source | Skipped]:
        if self._kind == "history":
            return history_files(local_folder(self._location, "a history"))
        if is_remote(self._location) and self._commit:
            return read_files(str(self._location).partition("@")[0], self._commit)
        return read_files(self._location, self._commit or self._revision)


def name_of(place: Location) -> str:
    """What the evidence calls a place: the last part of a path, so that no user or folder is named, or a URI."""
    if is_remote(place):
        return visible(shown(place))
    return visible(str(place) if is_package(str(place)) else Path(place).resolve().name) or "repository"


def commit_of(path: Path, revision: str) -> str:
    """The commit that a revision stands for."""
    with open_repository(path) as repository:
        return repository.commit(revision)


def _kind(location: Location) -> Kind:
    if is_remote(location):
        return "remote"
    if is_package(str(location)):
        return "package"
    return "archive" if is_archive(Path(location)) else "folder"
