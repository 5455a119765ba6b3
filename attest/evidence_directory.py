"""The directory that holds a statement, its detail files, and after signing its bundle."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from attest.atomic import write_directory_atomically
from attest.bundle import BUNDLE_NAME, read_bundle
from attest.digest import sha256
from attest.errors import DigestMismatchError, DocumentError, InputError
from attest.evidence import Detail
from attest.statement import MAX_STATEMENT, Statement

__all__ = ["MAX_DETAIL", "STATEMENT_NAME", "describe_detail", "read_detail", "read_statement", "write_evidence"]

STATEMENT_NAME = "statement.json"
MAX_DETAIL = 512 * 1024 * 1024
_DETAIL_NAME = re.compile(r"detail/[A-Za-z0-9][A-Za-z0-9._-]*")


def describe_detail(name: str, media_type: str, data: bytes) -> Detail:
    """Entry of a detail file for the statement."""
    return Detail(name=name, media_type=media_type, size=len(data), sha256=sha256(data))


def write_evidence(path: Path, statement: Statement, details: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write an evidence directory whole or not at all."""
    write_directory_atomically(path, {STATEMENT_NAME: statement.payload, **details}, force=force)


def read_statement(path: Path) -> Statement:
    """Statement of a bundle file or an evidence directory, signed or not; no signature is checked.

    Where a directory holds a bundle, the bundle's payload is what counts.
    """
    if not path.is_dir() or (path / BUNDLE_NAME).exists():
        bundle, _ = read_bundle(path)
        return bundle.statement(where=path.name)
    file = path / STATEMENT_NAME
    try:
        with file.open("rb") as stream:
            payload = stream.read(MAX_STATEMENT + 1)
    except OSError as error:
        raise InputError(
            "no-statement",
            f"cannot be read ({error.strerror})",
            fix="give a directory that attest measure wrote",
            where=str(file),
        ) from error
    return Statement.parse(payload, where=file.name)


def read_detail(directory: Path, detail: Detail) -> bytes:
    """Bytes of a detail file, checked against the statement's size and digest.

    Raises
    ------
    DocumentError
        The statement names a file outside ``detail/``, or one larger than ``MAX_DETAIL``.
    InputError
        The file is missing.
    DigestMismatchError
        The file is not the one that the statement names.
    """
    if not _DETAIL_NAME.fullmatch(detail.name):
        raise DocumentError(
            "unsafe-path", f"{detail.name!r} is not a detail file", fix="ask for an intact copy", where="details"
        )
    if detail.size > MAX_DETAIL:
        raise DocumentError(
            "document-too-large",
            f"{detail.size} bytes, more than the {MAX_DETAIL} that are read",
            fix="ask for an intact copy",
            where=detail.name,
        )
    file = directory / detail.name
    try:
        with file.open("rb") as stream:
            data = stream.read(detail.size + 1)
    except OSError as error:
        raise InputError(
            "no-detail", f"cannot be read ({error.strerror})", fix="ask for the whole directory", where=str(file)
        ) from error
    if len(data) != detail.size or sha256(data) != detail.sha256:
        raise DigestMismatchError(
            "detail-differs",
            "is not the file that the statement names",
            fix="ask for an intact copy of the evidence directory",
            where=detail.name,
        )
    return data
