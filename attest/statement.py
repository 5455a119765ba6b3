"""In-toto Statement v1: what was measured, about which files.

References
----------
in-toto Attestation Framework, spec/v1/statement.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final

from attest.digest import sha256
from attest.document import JSON, Limits, canonical, dump, load, parse, record
from attest.errors import DocumentError

__all__ = ["MAX_STATEMENT", "PAYLOAD_TYPE", "STATEMENT_TYPE", "Sha256", "Statement", "Subject"]

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PAYLOAD_TYPE: Final = "application/vnd.in-toto+json"
MAX_STATEMENT = 4 * 1024 * 1024
"""Largest statement that is read, in bytes. What attest writes stays under 1 MiB."""

Sha256 = Annotated[str, Limits(pattern="^[0-9a-f]{64}$")]


@record
class DigestSet:
    """Digests of one subject; SHA-256 only, since that is what every verifier reads."""

    sha256: Sha256


@record
class Subject:
    """One thing the statement is about."""

    name: str
    digest: DigestSet


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A statement together with the exact bytes that are signed.

    Parameters
    ----------
    payload : bytes
        The bytes as they were given; never serialized again.
    subjects : tuple of Subject
    predicate_type : str
        URI of the predicate's kind and version.
    predicate : dict
        Parsed, not yet checked against its schema.
    """

    payload: bytes
    subjects: tuple[Subject, ...]
    predicate_type: str
    predicate: dict[str, Any]

    @property
    def digest(self) -> str:
        """SHA-256 of the payload."""
        return sha256(self.payload)

    @classmethod
    def build(cls, *, subjects: tuple[Subject, ...], predicate_type: str, predicate: JSON) -> Statement:
        """Statement over the given subjects, in canonical JSON (RFC 8785).

        Raises
        ------
        DocumentError
            It has no subject, or is larger than what is read.
        """
        if not subjects:
            raise DocumentError("not-a-statement", "a statement needs a subject", fix="report this", where="statement")
        payload = canonical(
            {
                "_type": STATEMENT_TYPE,
                "subject": [dump(subject) for subject in subjects],
                "predicateType": predicate_type,
                "predicate": predicate,
            }
        )
        value = parse(payload, where="statement", max_bytes=MAX_STATEMENT)
        return cls(payload=payload, subjects=subjects, predicate_type=predicate_type, predicate=value["predicate"])

    @classmethod
    def parse(cls, payload: bytes, *, where: str) -> Statement:
        """Statement held by signed bytes.

        Raises
        ------
        DocumentError
            Not JSON, not a Statement v1, no subject, or a subject without a name and a SHA-256.
        """
        value = parse(payload, where=where, max_bytes=MAX_STATEMENT)
        keys = {"_type", "subject", "predicateType", "predicate"}
        if not isinstance(value, dict) or set(value) != keys or value["_type"] != STATEMENT_TYPE:
            raise DocumentError(
                "not-a-statement",
                f"not an in-toto Statement v1 (expected exactly the keys {', '.join(sorted(keys))})",
                fix="give a bundle that attest wrote",
                where=where,
            )
        subjects = load(tuple[Subject, ...], value["subject"], where=f"{where}#/subject")
        if not subjects or not isinstance(value["predicateType"], str) or not isinstance(value["predicate"], dict):
            raise DocumentError(
                "not-a-statement",
                "a statement needs a subject, a predicateType and a predicate object",
                fix="give a bundle that attest wrote",
                where=where,
            )
        return cls(
            payload=payload,
            subjects=subjects,
            predicate_type=value["predicateType"],
            predicate=value["predicate"],
        )
