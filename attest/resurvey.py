"""Scanning a repository again: the same code, run on a reader's own copies, against what was signed.

Nothing in a scan depends on the machine, so every value must be identical. No signature is checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from attest.checkpoint.source import Location, is_remote
from attest.digest import sha256
from attest.document import load
from attest.errors import InputError
from attest.licenses.summary import LICENSES_NAME
from attest.repository_scan import (
    NOTICES_NAME,
    ORIGINS_NAME,
    REPOSITORY_SCAN_TYPE,
    CodeOrigins,
    RepositoryScan,
    ScannedRepository,
)
from attest.reproduce import compare_records
from attest.reproduction import Reproduction, Value
from attest.statement import Statement
from attest.survey import Places, survey
from attest.terminal import amount

__all__ = ["resurvey"]

_LABELS = {
    LICENSES_NAME: "all findings",
    NOTICES_NAME: "all changes of notices",
    ORIGINS_NAME: "all origins of code",
}


def resurvey(statement: Statement, path: Path, copies: Places) -> Reproduction:
    """Scan a repository again and compare, value by value.

    Parameters
    ----------
    statement : Statement
        What was stated.
    path : Path
        The bundle or evidence directory that it was read from.
    copies : Places
        The reader's own copies of what was scanned, and of what it was held against. The revision, and the history
        that is searched, are those of the statement.

    Raises
    ------
    InputError
        The statement is not about a repository, or a copy cannot be read.
    DocumentError
        The predicate is malformed.
    """
    signed = _signed(statement, path)
    again = survey(_places(signed, copies))
    values = tuple(_values(signed, again.evidence, {name: sha256(data) for name, data in again.details.items()}))
    missing = tuple(value.name for value in values if value.outcome == "not-measured")
    return Reproduction(
        checkpoint=signed.repository.name,
        statement_sha256=statement.digest,
        values=values,
        files=again.evidence.repository.files,
        bytes=again.evidence.repository.bytes,
        not_asked=() if _is_complete(signed, copies) else missing,
        same_program=signed.tool.source_sha256 == again.evidence.tool.source_sha256,
    )


def _signed(statement: Statement, path: Path) -> RepositoryScan:
    if statement.predicate_type != REPOSITORY_SCAN_TYPE:
        raise InputError(
            "not-a-scan", "is not evidence about a repository", fix="give what attest scan wrote", where=str(path)
        )
    return load(RepositoryScan, statement.predicate, where=f"{path.name}#/predicate")


def _places(signed: RepositoryScan, copies: Places) -> Places:
    """What is read: of the reader's copies those that the statement has a use for."""
    compared = signed.origins if copies.reference is not None else None
    return replace(
        copies,
        revision=_revision(signed.repository, copies.repository),
        history=signed.notices.commit if signed.notices else None,
        reference=copies.reference if compared else None,
        reference_history=compared is not None and compared.reference.kind == "history",
        common=copies.common if compared else (),
        releases=copies.releases if compared and compared.dating else (),
    )


def _is_complete(signed: RepositoryScan, copies: Places) -> bool:
    """Whether the reader gave a copy of each kind of thing that was read beside the repository."""
    held: list[tuple[object, object]] = [(signed.copied_from, copies.copied_from), (signed.origins, copies.reference)]
    if signed.origins:
        held += [(signed.origins.common, copies.common), (signed.origins.dating, copies.releases)]
    return all(given for stated, given in held if stated)


def _revision(signed: ScannedRepository, copy: Location) -> str | None:
    """What of the reader's copy is read: the commit that was, where the copy can have it and names no other."""
    if is_remote(copy):
        return signed.commit if "@" not in str(copy) else None
    return signed.commit if signed.kind == "revision" else None


def _values(signed: RepositoryScan, fresh: RepositoryScan, digests: dict[str, str]) -> Iterator[Value]:
    yield _files("files of the repository", signed.repository, fresh.repository)
    named = {one.tree_digest: one for one in fresh.copied_from}
    for one in signed.copied_from:
        yield _files(f"files of {one.name}", one, named.get(one.tree_digest))
    if {one.tree_digest for one in signed.copied_from} == named.keys():
        yield compare_records("licenses", signed.licenses, fresh.licenses)
    else:
        yield Value(name="licenses", outcome="not-measured", message="give the same as --reference")
        digests = {name: digest for name, digest in digests.items() if name != LICENSES_NAME}
    if signed.notices:
        yield compare_records("history of notices", signed.notices, fresh.notices)
    if signed.origins:
        yield from _origins(signed.origins, fresh.origins)
        if fresh.origins and _thirds(signed.origins) != _thirds(fresh.origins):
            digests = {name: digest for name, digest in digests.items() if name != ORIGINS_NAME}
    for detail in signed.details:
        label = _LABELS.get(detail.name, detail.name)
        if detail.name not in digests:
            yield Value(name=label, outcome="not-measured", message="was not measured this time")
        elif digests[detail.name] == detail.sha256:
            yield Value(name=label, outcome="identical", message=f"{detail.size} bytes, sha256 {detail.sha256}")
        else:
            yield Value(name=label, outcome="differs", message=f"sha256 {detail.sha256} was signed")


def _files(label: str, signed: ScannedRepository, fresh: ScannedRepository | None) -> Value:
    if fresh is None:
        return Value(name=label, outcome="not-measured", message="give your own copy to read it again")
    same = signed.tree_digest == fresh.tree_digest
    message = (
        f"{amount(fresh.files, 'file')}, tree {fresh.tree_digest}"
        if same
        else f"{signed.files:,} files were read, {fresh.files:,} now"
    )
    return Value(name=label, outcome="identical" if same else "differs", message=message)


def _origins(signed: CodeOrigins, fresh: CodeOrigins | None) -> Iterator[Value]:
    yield _files("files of the reference", signed.reference, fresh.reference if fresh else None)
    again = {one.tree_digest: one for one in _others(fresh)} if fresh else {}
    for other in _others(signed):
        yield _files(f"files of {other.name}", other, again.get(other.tree_digest))
    if fresh is None or (signed.dating and not fresh.dating) or _thirds(signed) != _thirds(fresh):
        asked = "give --against, every --releases, and the same as --common"
        yield Value(name="origins of code", outcome="not-measured", message=asked)
        return
    yield compare_records("origins of code", _without_places(signed), _without_places(fresh))


def _others(origins: CodeOrigins) -> tuple[ScannedRepository, ...]:
    """What was read beside the repository and its reference."""
    common, dating = origins.common, origins.dating
    return (*(common.repositories if common else ()), *(dating.releases if dating else ()))


def _thirds(origins: CodeOrigins) -> frozenset[str]:
    """Digests of what was left out as common."""
    return frozenset(one.tree_digest for one in origins.common.repositories) if origins.common else frozenset()


def _without_places(origins: CodeOrigins) -> CodeOrigins:
    """Origins without what the copies are called: those are told apart by their digests."""
    dating = origins.dating and replace(origins.dating, releases=())
    common = origins.common and replace(origins.common, repositories=())
    reference = replace(origins.reference, name="", kind="folder", revision=None, commit=None)
    return replace(origins, reference=reference, common=common, dating=dating)
