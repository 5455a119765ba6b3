"""Licenses, notices and the origins of code as a report shows them: records in, rows and figures out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from attest.finding import Finding
from attest.license_summary import LicenseSummary, ScannedFile
from attest.report.figure import MAX_CHARTS, Figure
from attest.report.notice_timeline import notice_timeline
from attest.report.release_curve import release_curve
from attest.report.source import Source
from attest.repository_scan import CodeOrigins, Dating, NoticeHistory, Origin, RepositoryScan
from attest.terminal import visible

__all__ = ["LicenseView", "OriginView", "ScanView", "license_view", "scan_view"]

_VERSION = re.compile(r"(?<![A-Za-z0-9])\d+(?:\.\d+)+[A-Za-z0-9.]*")
_MAX_LABEL = 16


@dataclass(frozen=True, kw_only=True, slots=True)
class FileView:
    """A file that has a listed finding, and where on the page its digests stand."""

    ident: str
    file: ScannedFile


@dataclass(frozen=True, kw_only=True, slots=True)
class LicenseView:
    """One scan of licenses: its findings grouped by code, and its files by path; ``notices`` where history was searched."""

    source: Source
    name: str
    summary: LicenseSummary
    findings: tuple[tuple[str, tuple[Finding, ...]], ...]
    files: Mapping[str, FileView]
    notices: NoticeHistory | None
    timeline: tuple[Figure, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class OriginView:
    """Whose code is in a repository: the origins, those that are distinctive, and those whose notices are not there.

    ``unnamed`` is how many holders whom license and notice files of the other side name are not named in the repository.
    """

    origins: CodeOrigins
    distinctive: int
    lacking: tuple[Origin, ...]
    unnamed: int
    curves: tuple[Figure, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScanView:
    """One scan of a repository; ``origin`` is None where it was held against nothing."""

    source: Source
    scan: RepositoryScan
    origin: OriginView | None


def license_view(
    source: Source, name: str, summary: LicenseSummary, notices: NoticeHistory | None = None
) -> LicenseView:
    """Findings in groups, in the order that the scan gave."""
    groups: dict[str, list[Finding]] = {}
    for finding in summary.findings:
        groups.setdefault(finding.code, []).append(finding)
    return LicenseView(
        source=source,
        name=name,
        summary=summary,
        findings=tuple((code, tuple(found)) for code, found in groups.items()),
        files={
            file.path: FileView(ident=f"{source.label}-file-{number}", file=file)
            for number, file in enumerate(summary.files, start=1)
        },
        notices=notices,
        timeline=_timeline(source.label, notices),
    )


def _timeline(label: str, notices: NoticeHistory | None) -> tuple[Figure, ...]:
    title = f"{label}: lines that name holders, by month"
    svg = notice_timeline(ident=f"{label}-timeline", title=title, months=notices.months) if notices else None
    return () if svg is None else (Figure(caption="Lines that name a holder, by month", svg=svg),)


def scan_view(source: Source, scan: RepositoryScan) -> ScanView:
    """A scan with what follows from its numbers: which origins are distinctive, and which release holds most."""
    return ScanView(source=source, scan=scan, origin=_origin(source.label, scan.origins) if scan.origins else None)


def _origin(label: str, origins: CodeOrigins) -> OriginView:
    dating = origins.dating
    return OriginView(
        origins=origins,
        distinctive=sum(origin.is_distinctive for origin in origins.origins),
        lacking=tuple(origin for origin in origins.origins if origin.missing_notices),
        unnamed=sum(not one.named for one in origins.notices),
        curves=_curves(label, dating) if dating else (),
        rows=_rows(dating) if dating else (),
    )


def _curves(label: str, dating: Dating) -> tuple[Figure, ...]:
    """A chart of each of the first 24 files."""
    names = [_short(release.name) for release in dating.releases]
    figures = []
    for number, file in enumerate(dating.files[:MAX_CHARTS], start=1):
        svg = release_curve(
            ident=f"{label}-curve-{number}",
            title=f"{visible(file.path)}: share that each release holds",
            releases=names,
            shares=[float(share) for share in file.containments],
            texts=file.containments,
            peaks=file.peaks,
        )
        if svg is not None:
            figures.append(Figure(caption=file.path, svg=svg))
    return tuple(figures)


def _rows(dating: Dating) -> tuple[tuple[str, ...], ...]:
    """One row a release: its name and the share of each file that it holds; a short list leaves cells empty."""
    return tuple(
        (release.name, *(file.containments[place] if place < len(file.containments) else "—" for file in dating.files))
        for place, release in enumerate(dating.releases)
    )


def _short(name: str) -> str:
    """The version in a release's name where there is one, else the beginning of the name."""
    found = _VERSION.search(name)
    text = visible(found[0].removesuffix(".") if found else name)
    return text if len(text) <= _MAX_LABEL else f"{text[:_MAX_LABEL]}…"
