"""The repository-scan predicate: what one run of ``attest scan`` read in a repository, and whose code is in it.

It is signed like evidence. The schema is ``schemas/repository-scan.v1.schema.json``; its page is
``schemas/repository-scan.v1.md``. Nothing in it speaks of weights: code reuse is not weight reuse.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from attest.document import Count, Limits, Timestamp, dump, record
from attest.evidence import Detail, Environment, Tool
from attest.finding import Finding
from attest.license_summary import LicenseSummary
from attest.statement import DigestSet, Sha256, Statement, Subject

__all__ = [
    "DISTINCTIVE",
    "LEAST_ALIKE_TOKENS",
    "NOTICES_NAME",
    "ORIGINS_NAME",
    "REPOSITORY_SCAN_TYPE",
    "CodeOrigins",
    "CommonCode",
    "DatedFile",
    "Dating",
    "HolderNotice",
    "IdenticalFile",
    "Kind",
    "NoticeChange",
    "NoticeDetail",
    "NoticeHistory",
    "NoticeMonth",
    "Origin",
    "OriginDetail",
    "OriginMethod",
    "RepositoryScan",
    "ScannedRepository",
    "repository_scan_statement",
]

REPOSITORY_SCAN_TYPE = "https://attest/repository-scan/v1"
"""Identifier of the predicate; it names a meaning and is never fetched."""

NOTICES_NAME = "detail/notices.json"
ORIGINS_NAME = "detail/origins.json"

DISTINCTIVE = 0.95
"""Share of the reference's files that must be less outstanding than a file for it to be called distinctive."""

LEAST_ALIKE_TOKENS = 200
"""Tokens that must be alike for it."""

Share = Annotated[str, Limits(pattern=r"^(0|1|0\.[0-9]{1,10}|[1-9](\.[0-9]{1,4})?e-[0-9]{2})$")]
"""A share from 0 to 1 as a decimal."""

GitId = Annotated[str, Limits(pattern="^[0-9a-f]{40}([0-9a-f]{24})?$")]
"""What a git repository names a commit or the bytes of a file by."""


Kind: TypeAlias = Literal["archive", "folder", "history", "package", "remote", "revision"]
"""What files were read of: an archive, a folder, all versions in a git history, an installed package, a server, or a git tree."""


@record
class ScannedRepository:
    """Files as they were read.

    ``tree_digest`` binds path, size and SHA-256 of each file that was read, and of no other. ``revision`` is what was
    asked for, ``commit`` what it stood for, in a git repository or on a server; null where there is none.
    """

    name: str
    kind: Kind
    revision: str | None
    commit: GitId | None
    files: Count
    bytes: Count
    tree_digest: Sha256


@record
class NoticeChange:
    """A commit after which the head of a file names a holder no longer, or names one that it did not.

    ``time`` is the committer's own clock, in UTC: a claim. ``path`` is the new one where the file moved. ``before``
    and ``after`` name its bytes, ``removed`` and ``added`` are the lines, verbatim.
    """

    commit: GitId
    time: Timestamp
    path: str
    before: GitId
    after: GitId
    removed: tuple[str, ...]
    added: tuple[str, ...]


@record
class NoticeMonth:
    """How many lines that name a holder came and went in the commits of a month, ``YYYY-MM``."""

    month: Annotated[str, Limits(pattern=r"^[0-9]{4}-[01][0-9]$")]
    added: Count
    removed: Count


@record
class NoticeDetail:
    """What ``detail/notices.json`` holds: all changes, oldest first."""

    changes: tuple[NoticeChange, ...]


@record
class NoticeHistory:
    """When files began and ceased to name holders, in the history of a commit.

    ``months`` counts all changes, up to 1,200 months; ``changes`` lists at most 100, those that removed a line first,
    in order of time, at most five lines each; the detail file lists all.
    """

    commit: GitId
    change_count: Count
    months: tuple[NoticeMonth, ...]
    changes: tuple[NoticeChange, ...]
    detail: str


@record
class OriginMethod:
    """How code was compared: who repeats it needs the same.

    Runs of ``gram_tokens`` tokens, winnowed in windows of ``window``; files of fewer than ``least_tokens`` are left
    out, an origin is listed from ``least_containment``, and there is a null from ``least_null_files`` files on.
    """

    id: str
    gram_tokens: Count
    window: Count
    least_tokens: Count
    least_containment: Share
    least_null_files: Count


@record
class IdenticalFile:
    """A file, and one of the reference with the same bytes."""

    path: str
    origin: str


@record
class Origin:
    """A file, and the file of the other side that holds most of its grams.

    ``common`` is the share of the file's grams that third repositories hold; it is left out of all that follows.
    ``containment`` is the share of the file's grams that the other holds, ``reverse`` the share of the other's grams
    that the file holds, ``blind_containment`` the first without the names of things. ``runner_up`` is the next best
    file under another name, ``margin`` how much less it holds. ``percentile`` ranks the containment among those of the
    other side's files of the kind in one another, ``nearest_percentile`` among those of each in its own nearest;
    ``both_percentile`` is the share of these files, and this one, that are less outstanding in both: that have more
    others at once as much like their nearest and as far ahead of their next. All three are null where the other side has fewer than 20 such files. ``missing_notices`` are lines of
    the other file that name a holder whom no line of this file or of the license and notice files above it names, and
    whom each origin that is nearly as good names too.
    """

    path: str
    tokens: Count
    common: Share
    identical: bool
    origin: str
    containment: Share
    reverse: Share
    blind_containment: Share
    runner_up: str | None
    margin: Share
    percentile: Share | None
    nearest_percentile: Share | None
    both_percentile: Share | None
    missing_notices: tuple[str, ...]

    @property
    def is_short(self) -> bool:
        """Whether too few tokens are alike to be called distinctive."""
        return float(self.containment) * (1 - float(self.common)) * self.tokens < LEAST_ALIKE_TOKENS

    @property
    def is_distinctive(self) -> bool:
        """Whether at most one in twenty files of the kind is as outstanding, by likeness and margin together."""
        return not self.is_short and float(self.both_percentile or 0) >= DISTINCTIVE

    @property
    def reading(self) -> str:
        """What may be said of the rank, in words."""
        if self.both_percentile is None:
            return "no null: too few files"
        if self.is_short:
            return "too short to be distinctive"
        return "distinctive" if self.is_distinctive else "not distinctive"


@record
class DatedFile:
    """Containment of one file in the file ``origin`` of each release, in the order of ``Dating.releases``."""

    path: str
    origin: str
    containments: tuple[Share, ...]

    @property
    def peaks(self) -> tuple[int, ...]:
        """Places of the releases than which none holds more; none where several all hold the same, or none of it."""
        shares = [float(share) for share in self.containments]
        is_flat = len(shares) > 1 and len(set(shares)) == 1
        return tuple(place for place, share in enumerate(shares) if share == max(shares) > 0 and not is_flat)


@record
class Dating:
    """Which release of the reference holds most of each file. It dates code, not weights, and no act of copying."""

    releases: tuple[ScannedRepository, ...]
    files: tuple[DatedFile, ...]


@record
class OriginDetail:
    """What ``detail/origins.json`` holds: all that ``CodeOrigins`` lists a part of."""

    identical: tuple[IdenticalFile, ...]
    common_identical: tuple[IdenticalFile, ...]
    notices: tuple[HolderNotice, ...]
    origins: tuple[Origin, ...]
    dating: Dating | None


@record
class CommonCode:
    """What both sides may have from third repositories, and is left out of everything else.

    ``programs`` and ``reference_programs`` are those of which it leaves too little to be compared. ``identical`` are
    files with the bytes of one of the reference and of one of ``repositories``, at most 100; the detail file lists all.
    """

    repositories: tuple[ScannedRepository, ...]
    programs: Count
    reference_programs: Count
    identical_count: Count
    identical: tuple[IdenticalFile, ...]


@record
class HolderNotice:
    """A holder whom a license or notice file of the reference names, and where the repository names them.

    ``notice`` is the line that does, and ``alike`` counts the origins beside or under it that are distinctive, or where
    there is no null, not short. ``named`` are copyright lines of the repository, those of license and notice files
    first, ``mentioned`` are its license, notice, README and credits files that only hold the name; at most five each.
    """

    notice: Finding
    alike: Count
    named: tuple[Finding, ...]
    mentioned: tuple[str, ...]


@record
class CodeOrigins:
    """Programs of the repository that hold much of a program of the reference.

    ``findings`` are about the reference. ``common`` is null where nothing was left out. ``null_files`` is how many files of the reference the null distributions were made of. At most 100 ``identical``
    files, ``notices`` and ``origins`` are listed, of these the most telling; the detail file lists all.
    """

    method: OriginMethod
    reference: ScannedRepository
    findings: tuple[Finding, ...]
    common: CommonCode | None
    programs: Count
    reference_programs: Count
    null_files: Count
    identical_count: Count
    identical: tuple[IdenticalFile, ...]
    origin_count: Count
    missing_notice_count: Count
    notices: tuple[HolderNotice, ...]
    origins: tuple[Origin, ...]
    dating: Dating | None
    detail: str


@record
class RepositoryScan:
    """What one run of ``attest scan`` found.

    ``measured_at`` is the scanning machine's own clock, so a claim, not a trusted time. ``copied_from`` is what comments such as
    "Copied from" were held against, before the repository itself. ``notices`` is null where no history was searched,
    ``origins`` where there was no reference.
    """

    measured_at: Timestamp
    command: tuple[str, ...]
    tool: Tool
    environment: Environment
    assurance_level: Literal["self-attested"]
    repository: ScannedRepository
    copied_from: tuple[ScannedRepository, ...]
    licenses: LicenseSummary
    notices: NoticeHistory | None
    origins: CodeOrigins | None
    details: tuple[Detail, ...]
    does_not_show: tuple[str, ...]

    @property
    def trees(self) -> tuple[tuple[str, str], ...]:
        """Names and digests of what was read, as the statement's subjects have them."""
        read = [("repository", self.repository), *(("copied-from", one) for one in self.copied_from)]
        if self.origins:
            read.append(("reference", self.origins.reference))
            read += [("common", one) for one in (self.origins.common.repositories if self.origins.common else ())]
            read += [("release", one) for one in (self.origins.dating.releases if self.origins.dating else ())]
        return tuple((f"{label}:{one.name}", one.tree_digest) for label, one in read)


def repository_scan_statement(scan: RepositoryScan) -> Statement:
    """Statement over the files that were read, of each side by its tree digest."""
    return Statement.build(
        subjects=tuple(Subject(name=name, digest=DigestSet(sha256=digest)) for name, digest in scan.trees),
        predicate_type=REPOSITORY_SCAN_TYPE,
        predicate=dump(scan),
    )
