"""The folder of a library: ``members/<tree digest>.parquet``, one file a checkpoint.

Files appear whole or not at all, so two programs may add to one library, and a killed one leaves nothing half-written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from attest.atomic import refuse_existing, write_atomically
from attest.checkpoint.tree import open_file
from attest.compare.fingerprints import Fingerprints, read_fingerprints
from attest.document import dump, load
from attest.errors import CheckpointError, DocumentError, InputError
from attest.evidence_directory import read_evidence
from attest.library.member import LibraryMember, pack_member, read_fingerprints_of, read_member

__all__ = ["MAX_MEMBERS", "Library", "create_library", "open_library"]

MAX_MEMBERS = 100_000
"""Most members of a library that are listed."""

_MEMBERS = "members"
_FILE = re.compile(r"([0-9a-f]{64})\.parquet")


@dataclass(frozen=True, kw_only=True, slots=True)
class Library:
    """A library on this machine.

    Parameters
    ----------
    path : Path
        Its folder.
    """

    path: Path

    def digests(self) -> list[str]:
        """Tree digests of all members, in order.

        Raises
        ------
        InputError
            There are more than ``MAX_MEMBERS``.
        """
        found = sorted(match[1] for one in (self.path / _MEMBERS).iterdir() if (match := _FILE.fullmatch(one.name)))
        if len(found) > MAX_MEMBERS:
            message = f"has {len(found)} members, more than the {MAX_MEMBERS} that are read"
            raise InputError("library-too-large", message, fix="divide it", where=str(self.path))
        return found

    def member(self, digest: str) -> LibraryMember:
        """What is said of a member as a whole."""
        with self._file(digest) as stream:
            return _named(read_member(stream, digest), digest)

    def fingerprints(
        self, digest: str, wanted: Collection[str] | None = None, sharing: Collection[bytes] | None = None
    ) -> tuple[LibraryMember, Fingerprints]:
        """A member and its fingerprints: see ``read_fingerprints_of``."""
        with self._file(digest) as stream:
            member, fingerprints = read_fingerprints_of(stream, digest, wanted, sharing)
            return _named(member, digest), fingerprints

    def add(self, evidence: Path, lineages: tuple[str, ...] = (), *, force: bool = False) -> LibraryMember:
        """Add the checkpoint that evidence is about; no signature is checked.

        Raises
        ------
        InputError
            It is a member already and ``force`` is not set, or cannot be written.
        DocumentError
            The evidence is malformed, or a lineage has no or more than 200 characters.
        """
        fingerprints = read_fingerprints(evidence)
        said = dump(LibraryMember.of(fingerprints, read_evidence(evidence)[1], lineages))
        member = load(LibraryMember, said, where=evidence.name)
        file = self.path / _MEMBERS / f"{member.side.tree_digest}.parquet"
        if file.exists() and not force:
            message = f"is about a checkpoint that the library holds already, {member.side.tree_digest[:16]}"
            raise InputError("output-exists", message, fix="give --force to replace it", where=str(evidence))
        write_atomically(file, pack_member(member, fingerprints), force=force)
        return member

    @contextmanager
    def _file(self, digest: str) -> Iterator[BinaryIO]:
        try:
            with open_file(self.path / _MEMBERS, f"{digest}.parquet") as stream:
                yield stream
        except CheckpointError as error:
            raise InputError("no-member", error.message, fix="add its evidence", where=digest) from error


def create_library(path: Path) -> Library:
    """An empty library in a folder that is not there yet.

    Raises
    ------
    InputError
        Something stands there, or it cannot be written.
    """
    refuse_existing(path, force=False)
    try:
        (path / _MEMBERS).mkdir(parents=True)
    except OSError as error:
        message = f"cannot be written ({error.strerror})"
        raise InputError("cannot-write", message, fix="choose another place", where=str(path)) from error
    return Library(path=path)


def open_library(path: Path) -> Library:
    """The library in a folder.

    Raises
    ------
    InputError
        There is none.
    """
    if not (path / _MEMBERS).is_dir():
        raise InputError("no-library", "holds no library", fix="make one: attest library build", where=str(path))
    return Library(path=path)


def _named(member: LibraryMember, digest: str) -> LibraryMember:
    if member.side.tree_digest != digest:
        message = "is about another checkpoint than its name says"
        raise DocumentError("bad-library", message, fix="add its evidence again", where=digest)
    return member
