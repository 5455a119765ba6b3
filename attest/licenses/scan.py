"""Scanning a repository: every detector on every file, and what follows from all files together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import chain
from pathlib import Path

from attest.checkpoint.source import Location, at_revision, is_remote, shown
from attest.errors import InputError
from attest.finding import Finding
from attest.licenses import (
    acknowledgment,
    checksum_list,
    citation,
    copyright_line,
    generated_file,
    json_declaration,
    license_file,
    lookalike,
    model_card,
    package_metadata,
    provenance_comment,
    pyproject,
    reuse_toml,
    spdx_tag,
)
from attest.licenses.archive import is_archive, read_archive
from attest.licenses.copied import CopyClaim, Reader, claims_of, compare_copies
from attest.licenses.git import is_bare_repository, notice_changes, read_revision
from attest.licenses.installed import is_package, read_package
from attest.licenses.readable import Skipped
from attest.licenses.remote import read_remote
from attest.licenses.repository import Scan, scan_repository
from attest.licenses.source import Detector, Source
from attest.licenses.walk import read_repository

__all__ = ["DETECTORS", "MAX_CLAIMS", "local_folder", "read_files", "scan", "scan_files"]

MAX_CLAIMS = 20_000
"""Comments that are held against the code that they name."""

DETECTORS: tuple[Detector, ...] = (
    license_file.detect,
    model_card.detect,
    json_declaration.detect,
    pyproject.detect,
    citation.detect,
    reuse_toml.detect,
    package_metadata.detect,
    copyright_line.detect,
    provenance_comment.detect,
    spdx_tag.detect,
    lookalike.detect,
    generated_file.detect,
    checksum_list.detect,
    acknowledgment.detect,
)


def scan(
    root: Location, *, revision: str | None = None, history: bool = False, references: Sequence[Location] = ()
) -> Scan:
    """What the files of a repository say about licenses, copyrights and where code comes from.

    Parameters
    ----------
    root : Path or str
        A folder, a git repository, or a zip, wheel or tar archive; ``hf://org/name@revision`` or another URI of a
        checkpoint; ``pkg:pypi/name@version`` for an installed package.
    revision : str, optional
        Branch, tag or commit of a git repository to be read instead of its folder; ``HEAD`` where it has no folder.
    history : bool, default False
        Whether the git history is searched for copyright lines that were taken out.
    references : sequence of Path or str
        Where code may lie that comments say was copied, of the same kinds as ``root``; ``root`` itself is the last.

    Raises
    ------
    InputError
        It does not exist, cannot be opened, is damaged, or holds too many files.
    CheckpointError, NetworkError
        A server does not answer as it must.

    Notes
    -----
    Reads text files up to 1 MiB (license files up to 4 MiB) and the headers of weights, and follows no link. Of a git repository no configuration,
    hook or attribute is read, and nothing of any repository is run. Bytes that are not UTF-8 stand as U+FFFD in the
    quoted text, control characters too.

    It does not show which license applies, whether a license is kept, or that nothing else is in the repository:
    not found means only that these patterns found nothing in the files that were read.
    """
    past: Iterable[Finding] = ()
    if history:
        _, past = notice_changes(local_folder(root, "a history"), revision or "HEAD")
    readers = [*(partial(read_files, reference) for reference in references), partial(read_files, root, revision)]
    return scan_files(read_files(root, revision), readers, past)


def scan_files(files: Iterable[Source | Skipped], references: Sequence[Reader], past: Iterable[Finding]) -> Scan:
    """Scan of files that are read only now.

    Parameters
    ----------
    files : iterable of Source and Skipped
    references : sequence of callable
        Give the files that may hold what comments call "copied from"; the first that holds it counts.
    past : iterable of Finding
        Findings of the files' history.
    """
    claims: list[CopyClaim] = []
    later = chain(past, compare_copies(claims, references))  # it begins when the claims are there
    return scan_repository(_noting_claims(files, claims), DETECTORS, later)


def _noting_claims(items: Iterable[Source | Skipped], claims: list[CopyClaim]) -> Iterator[Source | Skipped]:
    """The same items; what their comments say of having been copied is noted while they pass."""
    for item in items:
        if isinstance(item, Source) and len(claims) < MAX_CLAIMS:
            claims.extend(claims_of(item))
        yield item


def read_files(root: Location, revision: str | None = None) -> Iterator[Source | Skipped]:
    """The text files of a folder, git repository, archive, server or installed package, and what was not read."""
    if is_remote(root):
        return read_remote(str(at_revision(root, revision)))
    if is_package(str(root)):
        return read_package(str(root))
    path = Path(root)
    if revision is not None or is_bare_repository(path):
        return read_revision(path, "HEAD" if revision is None else revision)
    return read_archive(path) if is_archive(path) else read_repository(path)


def local_folder(root: Location, what: str) -> Path:
    """The folder of a git repository, which must lie on this machine.

    Raises
    ------
    InputError
        It lies elsewhere.
    """
    if is_remote(root):
        raise InputError("no-repository", f"is no git repository with {what}", fix="clone it first", where=shown(root))
    return Path(root)
