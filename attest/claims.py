"""``claims.jsonl``: what others have signed about a statement, one bundle a line.

Anybody may append to it, the accused too, so a line that cannot be read is reported and hides no other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from attest.atomic import write_atomically
from attest.bundle import MAX_BUNDLE, Bundle
from attest.checkpoint.tree import open_file
from attest.errors import AttestError, CheckpointError, DocumentError, InputError

__all__ = ["CLAIMS_NAME", "MAX_CLAIMS", "Claim", "append_claim", "read_claims"]

CLAIMS_NAME = "claims.jsonl"
MAX_CLAIMS = 256
_MAX_FILE = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One line: its number from 1, its bytes, and the bundle in it or why there is none."""

    line: int
    data: bytes
    bundle: Bundle | None
    problem: str


def read_claims(path: Path) -> tuple[Claim, ...]:
    """Claims in a file; none where there is no file.

    Raises
    ------
    DocumentError
        More than 64 MiB, or more than 256 lines.
    InputError
        It is there and cannot be read.
    """
    if not os.path.lexists(path):
        return ()
    try:
        with open_file(path.parent, path.name) as stream:
            data = stream.read(_MAX_FILE + 1)
    except CheckpointError as error:
        raise InputError("no-claims", error.message, fix="check the file", where=str(path)) from error
    lines = data.split(b"\n")
    if len(data) > _MAX_FILE or len(lines) > MAX_CLAIMS + 1:
        reason = f"has {len(lines):,} lines of {len(data):,} bytes; {MAX_CLAIMS} lines are read"
        raise DocumentError("document-too-large", reason, fix="keep the lines that matter", where=path.name)
    return tuple(_read_line(number, line) for number, line in enumerate(lines, start=1) if line.strip())


def append_claim(path: Path, bundle: Bundle) -> None:
    """Add a bundle as the last line; the lines before stay as they are.

    Raises
    ------
    DocumentError
        The file is full.
    InputError
        It cannot be read or written.
    """
    claims = read_claims(path)
    if len(claims) >= MAX_CLAIMS:
        raise DocumentError("document-too-large", "is full", fix="begin another file", where=path.name)
    lines = [*(claim.data for claim in claims), bundle.to_json(), b""]
    write_atomically(path, b"\n".join(lines), force=True)


def _read_line(number: int, data: bytes) -> Claim:
    try:
        if len(data) > MAX_BUNDLE:
            raise DocumentError(
                "document-too-large", "a line is too long", fix="ask its author", where=f"line {number}"
            )
        return Claim(line=number, data=data, bundle=Bundle.from_json(data, where=f"line {number}"), problem="")
    except AttestError as error:
        return Claim(line=number, data=data, bundle=None, problem=str(error))
