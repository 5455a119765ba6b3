"""What of a scan is signed: a summary in the statement, and the detail file that holds all of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from attest.digest import sha256
from attest.document import canonical, record
from attest.finding import Finding
from attest.license_summary import LicenseEngine, LicenseSummary, ScannedFile
from attest.licenses.detect import index
from attest.licenses.kind import RANK
from attest.licenses.license_text import IdentifiedFile
from attest.licenses.obligations import obligations, untold
from attest.licenses.repository import Scan
from attest.licenses.scopes import scopes
from attest.resource import resource

__all__ = ["LICENSES_NAME", "MAX_SUMMARY", "LicenseDetail", "summarize"]

LICENSES_NAME = "detail/licenses.json"
ENGINE_ID = "license-words/v1"
"""Normalization, alignment and verdicts of ``attest.licenses.detect``; changed verdicts are a new id."""

MAX_SUMMARY = 200
"""Findings that the statement itself lists."""


@record
class LicenseDetail:
    """What ``detail/licenses.json`` holds: every finding, the digest of every file that has one, and license texts.

    A finding about the whole repository has the path ``.``; a file that was not read has no digest.
    """

    files_scanned: int
    files_skipped: Mapping[str, int]
    findings: tuple[Finding, ...]
    files: tuple[ScannedFile, ...]
    engine: LicenseEngine
    identified: tuple[IdentifiedFile, ...]


def summarize(scan: Scan) -> tuple[LicenseSummary, bytes]:
    """Summary of a scan for the statement, and the bytes of its detail file."""
    findings = _most_telling(scan.findings)
    paths = {finding.path for finding in findings}
    summary = LicenseSummary(
        files_scanned=scan.files_scanned,
        files_skipped=sum(scan.files_skipped.values()),
        finding_count=len(scan.findings),
        findings=findings,
        files=tuple(file for file in scan.files if file.path in paths),
        obligations=obligations(scan),
        untold=untold(scan),
        scopes=scopes(scan),
        engine=_engine(),
        detail=LICENSES_NAME,
    )
    detail = LicenseDetail(
        files_scanned=scan.files_scanned,
        files_skipped=scan.files_skipped,
        findings=scan.findings,
        files=scan.files,
        engine=summary.engine,
        identified=scan.identified,
    )
    return summary, canonical(detail)


def _engine() -> LicenseEngine:
    return LicenseEngine(
        id=ENGINE_ID,
        index_sha256=index().sha256,
        index_source=index().source,
        sketches_sha256=sha256(resource("licenses/detect/sketches.json").read_bytes()),
    )


def _most_telling(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """At most ``MAX_SUMMARY`` findings, the most telling kinds first.

    Within a kind a text that was not seen before comes first, and the kinds take turns until the summary is full: no
    flood of one kind, and no line repeated in a thousand files, hides the others.
    """
    seen: Counter[tuple[str, str]] = Counter()
    repeats = []
    for finding in findings:
        repeats.append(seen[finding.code, finding.text])
        seen[finding.code, finding.text] += 1
    turns: Counter[str] = Counter()
    queue = []
    for position in sorted(range(len(findings)), key=lambda position: (repeats[position], position)):
        code = findings[position].code
        queue.append((turns[code], RANK[code], position))
        turns[code] += 1
    taken = sorted((rank, turn, position) for turn, rank, position in sorted(queue)[:MAX_SUMMARY])
    return tuple(findings[position] for _, _, position in taken)
