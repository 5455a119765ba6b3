"""What of a scan of licenses is signed in a statement: the most telling findings, and what they rest on.

All of it stands in ``detail/licenses.json`` (``attest.licenses.summary``).
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from attest.document import Count, Limits, record
from attest.finding import Finding
from attest.statement import Sha256

__all__ = [
    "Basis",
    "BlobId",
    "FoundExpression",
    "LicenseEngine",
    "LicenseSummary",
    "Obligation",
    "ScannedFile",
    "Scope",
    "ScopedLicenses",
    "UntoldLicense",
]

Scope: TypeAlias = Literal["weights", "code", "data", "documentation", "repository"]
"""What a license is found for, as far as names of files and folders tell."""

Basis: TypeAlias = Literal["text", "notice", "tag", "declared"]
"""On what it rests: a whole license text, words that refer to one, a tag (SPDX, REUSE), or a field."""

BlobId = Annotated[str, Limits(pattern="^[0-9a-f]{40}$")]
"""What git names a file's bytes by: SHA-1 over ``blob``, their number and the bytes themselves."""


@record
class ScannedFile:
    """A file that has a finding, by its bytes as they were read.

    ``blob`` is how git names them, so that they are found in a repository; ``sha256`` is what binds them.
    """

    path: str
    sha256: Sha256
    blob: BlobId


@record
class LicenseEngine:
    """What identified the license texts: who repeats a scan needs the same."""

    id: str
    index_sha256: Sha256
    index_source: str
    sketches_sha256: Sha256


@record
class Obligation:
    """A clause of a license that was found or is declared, and what the files show.

    ``source`` is the path and line of the license's whole text; where no file holds that, of the declaration, whose
    words are then in ``declaration``. ``evidence`` is a path, with a line where there is one. ``not-found`` says that
    nothing of the kind was found in what was read, not that the license was broken: whether a clause applies at all
    depends on what somebody does.
    """

    license: str
    source: str
    declaration: str | None
    section: str
    kind: str
    quote: str
    status: Literal["met", "not-found", "not-applicable", "cannot-be-seen-from-files"]
    evidence: str | None


@record
class UntoldLicense:
    """A license that was found or is declared, of which no clause can be told, and why.

    ``license`` is its id, or the declared words. ``reason`` is ``no-clauses`` (attest knows the license and none of its
    clauses), ``family`` (several licenses bear that name), ``several-versions`` (and their clauses may differ),
    ``changed-text`` (a license file is near that license, with other words), or ``not-known``.
    """

    license: str
    source: str
    reason: Literal["no-clauses", "family", "several-versions", "not-known", "changed-text"]


@record
class FoundExpression:
    """A license expression, on what it rests, the first place where it stands, and how many files say the same.

    ``basis`` is ``text`` (a whole license text), ``notice``, ``tag`` (SPDX, REUSE) or ``declared``.
    """

    expression: str
    basis: Basis
    path: str
    line: int | None
    files: Count


@record
class ScopedLicenses:
    """What was found for one scope. ``expression`` joins all of it by AND: each was found, whichever applies.

    ``unread`` counts tags and declarations that name no license that attest knows, and license files that hold none of
    their texts without a change.
    """

    scope: Scope
    expression: str
    found: tuple[FoundExpression, ...]
    unread: Count


@record
class LicenseSummary:
    """What the scan of a repository found; all findings are in the detail file.

    ``files`` are those of the findings that are listed here and that were read.
    """

    files_scanned: Count
    files_skipped: Count
    finding_count: Count
    findings: tuple[Finding, ...]
    files: tuple[ScannedFile, ...]
    obligations: tuple[Obligation, ...]
    untold: tuple[UntoldLicense, ...]
    scopes: tuple[ScopedLicenses, ...]
    engine: LicenseEngine
    detail: str
