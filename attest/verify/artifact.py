"""Step 8 for a single file: the one that was signed, or one of the subjects of a statement."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from attest.checkpoint.tree import open_file
from attest.document import parse
from attest.errors import CheckpointError, DocumentError, InputError
from attest.statement import MAX_STATEMENT
from attest.verify.check import Outcome, checked, skipped
from attest.verify.compared import Compared, Held
from attest.verify.content import Content

__all__ = ["Artifact", "check_artifact", "read_artifact"]

_BLOCK = 1024 * 1024
_ALGORITHMS = ("sha256", "sha384", "sha512")


@dataclass(frozen=True, kw_only=True, slots=True)
class Artifact:
    """A file and its digests by algorithm, hexadecimal."""

    name: str
    size: int
    digests: Mapping[str, str]

    @property
    def sha256(self) -> str:
        """SHA-256 of the file."""
        return self.digests["sha256"]


def read_artifact(path: Path) -> Artifact:
    """Digests of a file, every byte of it read.

    Raises
    ------
    InputError
        It cannot be read, is no regular file, or changed meanwhile.
    """
    states = {name: hashlib.new(name) for name in _ALGORITHMS}
    real, size = Path(os.path.realpath(path)), 0
    try:
        with open_file(real.parent, real.name) as stream:
            while block := stream.read(_BLOCK):
                size += len(block)
                for state in states.values():
                    state.update(block)
    except (CheckpointError, OSError) as error:
        reason = error.message if isinstance(error, CheckpointError) else f"cannot be read ({error.strerror})"
        raise InputError("no-artifact", reason, fix="check the path", where=str(path)) from error
    return Artifact(name=path.name, size=size, digests={name: state.hexdigest() for name, state in states.items()})


def check_artifact(content: Content, payload: bytes | None, artifact: Artifact, signature: Outcome) -> Held:
    """Step 8: the file is what was signed, or one of the subjects.

    Parameters
    ----------
    content : Content
        What steps 5 to 7 read.
    payload : bytes or None
        A statement, or None where steps 2 and 3 checked the signature over the file itself.
    artifact : Artifact
    signature : {"PASSED", "FAILED", "SKIPPED"}
        What step 2 found.
    """
    facts: dict[str, Any] = {"size": artifact.size, **artifact.digests}
    if payload is None:
        return _check_signed(artifact, signature, facts)
    nothing = Compared.of(content)
    try:
        subjects = list(_subjects(payload))
    except DocumentError as error:
        check = checked("checkpoint", "FAILED", "The statement names no subjects.", [str(error)], **facts)
        return Held(check=check, compared=nothing)
    if content.predicate is None:
        nothing = replace(nothing, files_named=len(subjects))
    names = [name for name, digests in subjects if _is_same(digests, artifact)]
    if not names:
        message = f"The file (SHA-256 {artifact.sha256}) is none of the {len(subjects):,} subjects."
        return Held(check=checked("checkpoint", "FAILED", message, **facts), compared=nothing)
    others = f"; nothing was read of the {len(subjects) - 1:,} others" if len(subjects) > 1 else ""
    message = f"The file is the subject {names[0]!r}{others}."
    return Held(
        check=checked("checkpoint", "PASSED", message, **facts, subject=names[0]),
        compared=replace(nothing, files_covered=1, bytes_covered=artifact.size),
    )


def _check_signed(artifact: Artifact, signature: Outcome, facts: Mapping[str, Any]) -> Held:
    """Step 8 where the file itself was signed."""
    named = Compared(files_named=1, files_covered=0, bytes_named=None, bytes_covered=0)
    if signature != "PASSED":
        message = "Cannot be told, since the signature does not hold over it."
        return Held(check=skipped("checkpoint", message), compared=named)
    message = f"The file that was signed, all {artifact.size:,} bytes."
    size = artifact.size
    compared = replace(named, files_covered=1, bytes_named=size, bytes_covered=size)
    return Held(check=checked("checkpoint", "PASSED", message, **facts), compared=compared)


def _is_same(digests: Mapping[str, Any], artifact: Artifact) -> bool:
    """Whether every digest that we can compute is the file's, and there is one."""
    common = digests.keys() & artifact.digests.keys()
    return bool(common) and all(digests[name] == artifact.digests[name] for name in common)


def _subjects(payload: bytes) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Name and digests of each subject of any in-toto statement."""
    value = parse(payload, where="statement", max_bytes=MAX_STATEMENT)
    subjects = value.get("subject") if isinstance(value, dict) else None
    for subject in subjects if isinstance(subjects, list) else ():
        digests = subject.get("digest") if isinstance(subject, dict) else None
        if isinstance(digests, dict):
            yield str(subject.get("name", "")), digests
