"""What a report is made from: bundles, read, named and put in order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from attest.attestation_result import ATTESTATION_RESULT_TYPE, AttestationResult
from attest.bundle import Bundle
from attest.comparison import COMPARISON_TYPE, Comparison
from attest.digest import sha256
from attest.document import load
from attest.errors import DocumentError, InputError, SignatureError
from attest.evidence import EVIDENCE_TYPE, Evidence
from attest.identity import CertifiedIdentity
from attest.predicate import PREDICATES, Predicate
from attest.protocol import PROTOCOL_TYPE
from attest.repository_scan import REPOSITORY_SCAN_TYPE
from attest.statement import Statement, Subject

__all__ = ["MAX_SOURCES", "Source", "read_sources"]

MAX_SOURCES = 16
_KINDS = {
    EVIDENCE_TYPE: ("evidence", "E"),
    COMPARISON_TYPE: ("comparison", "C"),
    PROTOCOL_TYPE: ("protocol", "P"),
    REPOSITORY_SCAN_TYPE: ("repository-scan", "R"),
    ATTESTATION_RESULT_TYPE: ("attestation-result", "V"),
}
"""What each kind is called in file names, and the letter of its labels."""

Shown: TypeAlias = Predicate | AttestationResult

_RECORDS: Mapping[str, type[Shown]] = {**PREDICATES, ATTESTATION_RESULT_TYPE: AttestationResult}


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One bundle as it stands in a report; nothing about it has been verified.

    Parameters
    ----------
    label : str
        Short name on the page: ``E1``, ``E2`` … for evidence, ``C1`` … for comparisons, ``P1`` … for protocols,
        ``R1`` … for scans of repositories, ``V1`` … for attestation results.
    data : bytes
        The bundle file, byte for byte.
    bundle : Bundle
    statement : Statement
    predicate : Evidence, Comparison, Protocol, RepositoryScan or AttestationResult
    """

    label: str
    data: bytes
    bundle: Bundle
    statement: Statement
    predicate: Shown

    @property
    def kind(self) -> str:
        """``evidence``, ``comparison``, ``protocol``, ``repository-scan`` or ``attestation-result``."""
        return _KINDS[self.statement.predicate_type][0]

    @property
    def file_name(self) -> str:
        """Name to save the bundle under, made from its statement's digest."""
        return f"{self.kind}-{self.statement.digest[:12]}.sigstore.json"

    @property
    def verify_command(self) -> str:
        """How a reader checks the signature; whom to expect, the reader gets from elsewhere than the page."""
        whom = "--key KEY.pub.pem" if self.bundle.key_hint else "--identity IDENTITY --issuer ISSUER"
        return f"attest verify {self.file_name} {whom}"

    @property
    def reproduce_command(self) -> str | None:
        """How a reader measures, compares or scans again; None where there is nothing to repeat."""
        copies = {"evidence": "--checkpoint CHECKPOINT", "comparison": "--a A --b B", "repository-scan": "--repo REPO"}
        return f"attest reproduce {self.file_name} {copies[self.kind]}" if self.kind in copies else None

    @property
    def certified(self) -> str | None:
        """Whom the signer's certificate names, unverified; None where a key signed."""
        if self.bundle.certificate is None:
            return None
        try:
            return CertifiedIdentity.read(self.bundle.certificate).text
        except SignatureError as error:
            return error.message

    @property
    def named_signer(self) -> str | None:
        """The key or the identity that the bundle names, unverified."""
        return self.bundle.key_hint or self.certified

    @property
    def unlisted_subjects(self) -> tuple[Subject, ...]:
        """Subjects of the statement that are not among the files which the predicate lists."""
        files = self.predicate.checkpoint.files if isinstance(self.predicate, Evidence) else ()
        listed = {(file.path, file.sha256) for file in files}
        return tuple(one for one in self.statement.subjects if (one.name, one.digest.sha256) not in listed)

    @property
    def sha256(self) -> str:
        """Digest of the bundle file."""
        return sha256(self.data)


def _read(data: bytes, number: int) -> Source:
    where = f"bundle {number}"
    bundle = Bundle.from_json(data, where=where)
    statement = bundle.statement(where=where)
    if statement.predicate_type not in _KINDS:
        raise DocumentError(
            "unknown-predicate",
            f"holds a {statement.predicate_type!r}, which this report does not show",
            fix="give bundles of evidence, comparisons, protocols, scans or attestation results",
            where=where,
        )
    predicate: Shown = load(_RECORDS[statement.predicate_type], statement.predicate, where=f"{where}#/predicate")
    return Source(label="", data=data, bundle=bundle, statement=statement, predicate=predicate)


def _in_order(sources: Sequence[Source]) -> list[Source]:
    """Comparisons by digest; evidence as they name it (A before B), then by digest, then protocols."""
    comparisons = [source for source in sources if isinstance(source.predicate, Comparison)]
    named = [
        digest
        for source in comparisons
        if isinstance(source.predicate, Comparison)
        for side in (source.predicate.a, source.predicate.b)
        for digest in (side.statement_sha256, side.tree_digest)
    ]

    def place(source: Source) -> int:
        evidence = source.predicate
        mine = {source.statement.digest, evidence.checkpoint.tree_digest} if isinstance(evidence, Evidence) else set()
        return next((index for index, digest in enumerate(named) if digest in mine), len(named))

    return sorted((source for source in sources if source not in comparisons), key=place) + comparisons


def read_sources(bundles: Sequence[bytes]) -> tuple[Source, ...]:
    """Bundles read, without repetition, evidence first, in an order that does not depend on how they were given.

    Raises
    ------
    InputError
        None, or more than ``MAX_SOURCES``.
    DocumentError
        A bundle is malformed, or of a kind that no report shows.
    """
    if not 1 <= len(bundles) <= MAX_SOURCES:
        raise InputError(
            "bundle-count", f"{len(bundles)} bundles; a report shows 1 to {MAX_SOURCES}", fix="give fewer bundles"
        )
    read = {sha256(data): _read(data, number) for number, data in enumerate(bundles, start=1)}
    counts = Counter[str]()
    labeled = []
    for source in _in_order([read[digest] for digest in sorted(read)]):
        _, letter = _KINDS[source.statement.predicate_type]
        counts[letter] += 1
        labeled.append(replace(source, label=f"{letter}{counts[letter]}"))
    return tuple(labeled)
