"""Surveying a repository: its licenses, the history of its notices, and whose code is in it, as evidence."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from attest.checkpoint.source import Location
from attest.document import canonical, timestamp
from attest.errors import InputError
from attest.evidence_directory import describe_detail
from attest.finding import Finding
from attest.licenses.git import notice_changes
from attest.licenses.origin import METHOD, Common, Origins, common_of, compare_code, date_files
from attest.licenses.origin.corpus import program_of
from attest.licenses.place import Place, commit_of
from attest.licenses.repository import Scan
from attest.licenses.scan import local_folder, scan_files
from attest.licenses.source import Source
from attest.licenses.summary import summarize
from attest.program import environment, this_tool
from attest.repository_scan import (
    NOTICES_NAME,
    ORIGINS_NAME,
    CodeOrigins,
    CommonCode,
    Dating,
    NoticeChange,
    NoticeDetail,
    NoticeHistory,
    NoticeMonth,
    Origin,
    OriginDetail,
    RepositoryScan,
    ScannedRepository,
)

__all__ = ["DOES_NOT_SHOW", "Places", "Survey", "survey"]

MAX_RELEASES = 200
_MAX_LISTED = 100
_MAX_LINES = 5
_MAX_MONTHS = 1200
_DIGITS = re.compile(r"(\d+)")

DOES_NOT_SHOW = (
    "Which license applies, or whether anybody keeps to one: the scan knows only what it found and what it did not find.",
    "Who copied from whom: alike code may have been taken by either, or by both from a third.",
    "When code was taken: the times of commits are claims, and the release that holds most of a file dates the code alone.",
    "Anything about weights: reuse of code is not reuse of weights.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where what is surveyed lies.

    Parameters
    ----------
    repository : Path or str
        A folder, a git repository, a zip, wheel or tar archive, a URI, or an installed package.
    revision : str or None
        Branch, tag or commit of the git repository to be read instead of its folder.
    history : str or None
        The revision whose git history is searched for lines that name holders; None to search none.
    copied_from : tuple of Path or str
        Where code may lie that comments call "copied from", beside the repository itself.
    reference : Path or str or None
        Whose code to look for in it.
    reference_history : bool
        Whether to look in every version that the reference's git history holds.
    releases : tuple of Path
        Releases of the reference's package.
    common : tuple of Path or str
        What repository and reference may both have code from: it is left out of the comparison.
    """

    repository: Location
    revision: str | None = None
    history: str | None = None
    copied_from: tuple[Location, ...] = ()
    reference: Location | None = None
    reference_history: bool = False
    releases: tuple[Path, ...] = ()
    common: tuple[Location, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """Whose code is in a repository, before it is cut to what a statement lists."""

    reference: ScannedRepository
    findings: tuple[Finding, ...]
    common: tuple[ScannedRepository, ...]
    origins: Origins
    dating: Dating | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Survey:
    """What was found, before it is written or signed: the predicate, its detail files by name, and all they were made of."""

    evidence: RepositoryScan
    details: Mapping[str, bytes]
    scan: Scan
    compared: Compared | None


def survey(places: Places, *, command: tuple[str, ...] = (), now: datetime | None = None) -> Survey:
    """Read a repository and, where they are given, what its code is held against.

    Parameters
    ----------
    places : Places
    command : tuple of str
        The command line, recorded as it is.
    now : datetime, optional
        Time of the scan; this machine's clock by default.

    Raises
    ------
    InputError
        Something cannot be read, or changed between one pass and the next.
    """
    _check_releases(places.releases)
    details: dict[str, bytes] = {}
    notices, past = _history(places.repository, places.history, details) if places.history else (None, ())
    place = Place(places.repository, places.revision)
    named = [Place(one) for one in places.copied_from]
    scanned = scan_files(place.files(), [one.files for one in (*named, place)], past)
    licenses, details["detail/licenses.json"] = summarize(scanned)
    compared = _compare(places, places.reference, place) if places.reference else None
    evidence = RepositoryScan(
        measured_at=timestamp(now),
        command=command,
        tool=this_tool(),
        environment=environment("numpy"),
        assurance_level="self-attested",
        repository=place.described(),
        copied_from=tuple(one.described() for one in named),
        licenses=licenses,
        notices=notices,
        origins=_origins(compared, details) if compared else None,
        details=tuple(describe_detail(name, "application/json", data) for name, data in sorted(details.items())),
        does_not_show=DOES_NOT_SHOW,
    )
    return Survey(evidence=evidence, details=details, scan=scanned, compared=compared)


def _check_releases(releases: Sequence[Path]) -> None:
    if len(releases) > MAX_RELEASES:
        raise InputError(
            "too-many-releases",
            f"{len(releases)} releases; at most {MAX_RELEASES} are read",
            fix="give fewer; every tenth shows where the peak lies",
        )


def _history(
    repository: Location, revision: str, details: dict[str, bytes]
) -> tuple[NoticeHistory, tuple[Finding, ...]]:
    """When notices of a repository came and went, and findings on that."""
    path = local_folder(repository, "a history")
    changes, findings = notice_changes(path, revision)
    return _notices(path, revision, changes, details), findings


def _notices(path: Path, revision: str, changes: tuple[NoticeChange, ...], details: dict[str, bytes]) -> NoticeHistory:
    """What of the changes is listed: those that took lines out first, then the others, in order of time."""
    details[NOTICES_NAME] = canonical(NoticeDetail(changes=changes))
    added, removed = Counter[str](), Counter[str]()
    for change in changes:
        added[change.time[:7]] += len(change.added)
        removed[change.time[:7]] += len(change.removed)
    listed = sorted(sorted(changes, key=lambda change: not change.removed)[:_MAX_LISTED], key=lambda one: one.time)
    return NoticeHistory(
        commit=commit_of(path, revision),
        change_count=len(changes),
        months=tuple(
            NoticeMonth(month=month, added=added[month], removed=removed[month])
            for month in sorted(added.keys() | removed.keys())[-_MAX_MONTHS:]
        ),
        changes=tuple(
            replace(change, removed=change.removed[:_MAX_LINES], added=change.added[:_MAX_LINES]) for change in listed
        ),
        detail=NOTICES_NAME,
    )


def _compare(places: Places, reference: Location, place: Place) -> Compared:
    """Code of the reference in the repository, and release by release where releases are given."""
    held = Place(reference, whole_history=places.reference_history)
    thirds = [Place(one) for one in places.common]
    common = common_of(third.files() for third in thirds)
    found = compare_code(place.files(), held.files(), common)
    return Compared(
        reference=held.described(),
        findings=held.findings if places.reference_history else (),
        common=tuple(third.described() for third in thirds),
        origins=found,
        dating=_date(places.releases, found, place, common) if places.releases else None,
    )


def _date(releases: Sequence[Path], found: Origins, place: Place, common: Common) -> Dating:
    """Every origin, release by release, in the order of the numbers in their names."""
    best = {origin.path: origin.origin for origin in found.origins}
    sources = (file for file in place.files() if isinstance(file, Source))
    made = (program_of(file) for file in sources if file.path in best)
    programs = [(rest, best[rest.path]) for program in made if program and (rest := program.without(common))]
    held = [Place(path) for path in sorted(releases, key=_in_order)]
    files = date_files(programs, [release.files() for release in held])
    return Dating(releases=tuple(release.described() for release in held), files=files)


def _in_order(path: Path) -> list[tuple[int, str]]:
    """Names by their numbers: 4.9 before 4.44."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in _DIGITS.split(path.resolve().name)]


def _origins(compared: Compared, details: dict[str, bytes]) -> CodeOrigins:
    found, dating = compared.origins, compared.dating
    details[ORIGINS_NAME] = canonical(
        OriginDetail(
            identical=found.identical_files,
            common_identical=found.common_files,
            notices=found.notices,
            origins=found.origins,
            dating=dating,
        )
    )
    listed = sorted(sorted(found.origins, key=_telling)[:_MAX_LISTED], key=lambda origin: origin.path)
    paths = {origin.path for origin in listed}
    return CodeOrigins(
        method=METHOD,
        reference=compared.reference,
        findings=compared.findings,
        common=_common(compared) if compared.common else None,
        programs=found.programs,
        reference_programs=found.reference_programs,
        null_files=found.null_files,
        identical_count=len(found.identical_files),
        identical=found.identical_files[:_MAX_LISTED],
        origin_count=len(found.origins),
        missing_notice_count=sum(bool(origin.missing_notices) for origin in found.origins),
        notices=found.notices[:_MAX_LISTED],
        origins=tuple(replace(origin, missing_notices=origin.missing_notices[:_MAX_LINES]) for origin in listed),
        dating=dating and replace(dating, files=tuple(file for file in dating.files if file.path in paths)),
        detail=ORIGINS_NAME,
    )


def _common(compared: Compared) -> CommonCode:
    found = compared.origins
    return CommonCode(
        repositories=compared.common,
        programs=found.common_programs,
        reference_programs=found.common_reference_programs,
        identical_count=len(found.common_files),
        identical=found.common_files[:_MAX_LISTED],
    )


def _telling(origin: Origin) -> tuple[float, bool, float, str]:
    """Rank with the margin first, then missing notices, then containment."""
    rank = float(origin.both_percentile or 0)
    return (-rank, not origin.missing_notices, -float(origin.containment), origin.path)
