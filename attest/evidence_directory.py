"""The directory that holds a statement, its detail files, and after signing its bundle."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from attest.atomic import refuse_existing, refuse_output, write_atomically, write_directory_atomically
from attest.checkpoint.tree import open_file
from attest.digest import sha256
from attest.document import load
from attest.envelope import Envelope, pre_authentication_encoding
from attest.errors import CheckpointError, DigestMismatchError, DocumentError, InputError
from attest.evidence import EVIDENCE_TYPE, Detail, Evidence
from attest.statement import MAX_STATEMENT, PAYLOAD_TYPE, Statement

if TYPE_CHECKING:
    from attest.bundle import Bundle
    from attest.signer import Signer

__all__ = [
    "MAX_DETAIL",
    "SIGNER_KEY_NAME",
    "STATEMENT_NAME",
    "describe_detail",
    "directory_of",
    "is_evidence_alone",
    "load_evidence",
    "named_details",
    "read_detail",
    "read_evidence",
    "read_statement",
    "read_unsigned_statement",
    "refuse_among",
    "refuse_around",
    "refuse_place",
    "sign_with_key",
    "write_bundle",
    "write_evidence",
]

STATEMENT_NAME = "statement.json"
SIGNER_KEY_NAME = "signer.pub.pem"
"""Copy of the signer's public key beside the bundle: a convenience, and no reason to trust it."""
MAX_DETAIL = 512 * 1024 * 1024
_BESIDE = frozenset({".json", ".jsonl", ".pem", ".sig"})
_DETAIL_NAME = re.compile(r"detail/[A-Za-z0-9][A-Za-z0-9._-]*")


def directory_of(path: Path) -> Path | None:
    """The evidence directory that a path is, or whose bundle it is; None for a bundle on its own."""
    if path.is_dir():
        return path
    folder = Path(os.path.realpath(path)).parent
    return folder if any(os.path.lexists(folder / name) for name in ("detail", STATEMENT_NAME)) else None


def is_evidence_alone(path: Path) -> bool:
    """Whether a folder holds a statement, its detail files and signatures, and nothing else that could be a checkpoint."""
    if not os.path.isfile(path / STATEMENT_NAME) or not os.path.isdir(path / "detail"):  # noqa: PTH112, PTH113 - False of a name too long
        return False
    others = [entry for entry in path.iterdir() if entry.name != "detail"]
    return all(entry.is_file() and entry.suffix in _BESIDE for entry in others)


def describe_detail(name: str, media_type: str, data: bytes) -> Detail:
    """Entry of a detail file for the statement."""
    return Detail(name=name, media_type=media_type, size=len(data), sha256=sha256(data))


def refuse_place(path: Path, *, force: bool) -> None:
    """Refuse a place where no evidence directory can be made; with ``force``, only an earlier one is replaced.

    Raises
    ------
    InputError
        Something stands there, or its folder is missing or may not be written to.
    """
    refuse_output(path, force=force)
    if path.exists() and not (path / STATEMENT_NAME).is_file():
        raise InputError(
            "output-not-evidence", "holds no evidence, so it is not replaced", fix="give another name", where=str(path)
        )


def refuse_around(path: Path, read: Iterable[Path]) -> None:
    """Refuse evidence in place of a folder that holds what it is about.

    Raises
    ------
    InputError
    """
    place = Path(os.path.realpath(path))
    if any(Path(os.path.realpath(one)).is_relative_to(place) for one in read):
        message = "holds what is measured or compared, so it cannot be replaced"
        raise InputError("checkpoint-in-output", message, fix="choose a folder beside it", where=str(path))


def refuse_among(path: Path, repositories: Iterable[Path]) -> None:
    """Refuse evidence about folders inside one of them, where it would be scanned the next time, or around one.

    Raises
    ------
    InputError
    """
    place = Path(os.path.realpath(path))
    for folder in (Path(os.path.realpath(one)) for one in repositories):
        if place.is_relative_to(folder) and folder.is_dir():
            message = "lies inside a folder that is scanned: whoever scans that again finds the evidence, too"
            raise InputError("output-in-repository", message, fix="choose a folder outside of it", where=str(path))
        if folder.is_relative_to(place):
            message = "holds what is scanned, so it cannot be replaced"
            raise InputError("output-in-repository", message, fix="choose a folder beside it", where=str(path))


def write_evidence(path: Path, statement: Statement, details: Mapping[str, bytes], *, force: bool = False) -> None:
    """Write an evidence directory whole or not at all."""
    refuse_place(path, force=force)
    write_directory_atomically(path, {STATEMENT_NAME: statement.payload, **details}, force=force)


def read_statement(path: Path) -> Statement:
    """Statement of a bundle file or an evidence directory, signed or not; no signature is checked.

    Where a directory holds a bundle, the bundle's payload is what counts.
    """
    from attest.bundle import BUNDLE_NAME, read_bundle  # noqa: PLC0415 - measuring does without bundles

    if not path.is_dir() or (path / BUNDLE_NAME).exists():
        bundle, _ = read_bundle(path)
        return bundle.statement(where=path.name)
    return read_unsigned_statement(path)


def read_evidence(path: Path) -> tuple[Statement, Evidence]:
    """Statement and predicate of evidence about one checkpoint, signed or not; no signature is checked.

    Raises
    ------
    InputError
        There is no statement, or it is about something else.
    DocumentError
        It is malformed.
    """
    statement = read_statement(path)
    return statement, load_evidence(statement, path)


def load_evidence(statement: Statement, path: Path) -> Evidence:
    """Predicate of a statement about one checkpoint, which was read from a path.

    Raises
    ------
    InputError
        The statement is about something else.
    DocumentError
        The predicate is malformed.
    """
    if statement.predicate_type != EVIDENCE_TYPE:
        raise InputError(
            "not-evidence",
            "is not evidence about one checkpoint",
            fix="give what attest measure wrote",
            where=str(path),
        )
    return load(Evidence, statement.predicate, where=f"{path.name}#/predicate")


def read_unsigned_statement(directory: Path) -> Statement:
    """Statement in ``statement.json``, whether or not a bundle lies beside it.

    Raises
    ------
    InputError
        There is no such file.
    DocumentError
        It is not a statement.
    """
    try:
        with open_file(directory, STATEMENT_NAME) as stream:
            payload = stream.read(MAX_STATEMENT + 1)
    except CheckpointError as error:
        raise InputError(
            "no-statement",
            error.message,
            fix="give a directory that attest measure wrote",
            where=str(directory / STATEMENT_NAME),
        ) from error
    return Statement.parse(payload, where=STATEMENT_NAME)


def named_details(statement: Statement) -> tuple[Detail, ...]:
    """Detail files that a statement names; a predicate without ``details`` names none.

    Raises
    ------
    DocumentError
        ``details`` is not a list of detail files, or names one twice.
    """
    details = load(tuple[Detail, ...], statement.predicate.get("details", []), where="details")
    if len({detail.name for detail in details}) != len(details):
        raise DocumentError("detail-twice", "a detail file is named twice", fix="ask its author", where="details")
    return details


def sign_with_key(payload: bytes, signer: Signer) -> Bundle:
    """A statement's bytes, signed."""
    from attest.bundle import Bundle  # noqa: PLC0415 - as above

    signature = signer.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    envelope = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signature=signature)
    return Bundle(content=envelope, key_hint=signer.public_key.hint)


def write_bundle(directory: Path, bundle: Bundle, public_pem: bytes | None, *, force: bool = False) -> None:
    """Write a bundle and, where there is one, the key that it is checked with; an earlier signer's key goes.

    Raises
    ------
    InputError
        One of the two is there already and ``force`` is not set, or cannot be written.
    """
    from attest.bundle import BUNDLE_NAME  # noqa: PLC0415 - as above

    bundle_file, key_file = directory / BUNDLE_NAME, directory / SIGNER_KEY_NAME
    refuse_existing(bundle_file, force=force)
    if public_pem is not None:
        write_atomically(key_file, public_pem, force=force)
    elif force:
        key_file.unlink(missing_ok=True)
    write_atomically(bundle_file, bundle.to_json(), force=force)


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
    if not 0 <= detail.size <= MAX_DETAIL:
        raise DocumentError(
            "document-too-large",
            f"{detail.size} bytes; from 0 to {MAX_DETAIL} are read",
            fix="ask for an intact copy",
            where=detail.name,
        )
    try:
        with open_file(directory, detail.name) as stream:
            data = stream.read(detail.size + 1)
    except CheckpointError as error:
        raise InputError(
            "no-detail", error.message, fix="ask for the whole directory", where=str(directory / detail.name)
        ) from error
    if len(data) != detail.size or sha256(data) != detail.sha256:
        raise DigestMismatchError(
            "detail-differs",
            "is not the file that the statement names",
            fix="ask for an intact copy of the evidence directory",
            where=detail.name,
        )
    return data
