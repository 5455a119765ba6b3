"""A scan of a whole repository: every detector over every file, and what only the whole can tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from attest.digest import git_blob_id, sha256
from attest.finding import Finding
from attest.license_summary import ScannedFile
from attest.licenses.kind import RANK
from attest.licenses.license_file import code_of_name
from attest.licenses.license_text import IdentifiedFile, findings_of, identify_file
from attest.licenses.readable import Skipped
from attest.licenses.source import Detector, Source
from attest.licenses.whole import CONCLUSIONS, WHOLE, Gathered

__all__ = ["MAX_PER_CODE", "MAX_PER_FILE", "Scan", "scan_repository"]

MAX_PER_FILE = 1000
"""Findings that one detector makes in one file."""

MAX_IDENTIFIED = 1000
"""License, notice and policy files whose texts are listed in one scan."""

MAX_PER_CODE = 2800
"""Findings of one code in one scan; with the limits of paths and texts, those of all codes fit a detail file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """What the files of a repository say.

    Parameters
    ----------
    files_scanned : int
        Files whose whole text was read.
    files_skipped : mapping of str to int
        How many were not read, by reason, in order of reason.
    findings : tuple of Finding
        In order of path, line, kind and text.
    files : tuple of ScannedFile
        Those with findings, in order of path.
    identified : tuple of IdentifiedFile
        Those with the name of a license, notice or policy, in order of path; the first that were met, up to 1,000.
    """

    files_scanned: int
    files_skipped: Mapping[str, int]
    findings: tuple[Finding, ...]
    files: tuple[ScannedFile, ...]
    identified: tuple[IdentifiedFile, ...]


def scan_repository(
    items: Iterable[Source | Skipped], detectors: Sequence[Detector], more: Iterable[Finding] = ()
) -> Scan:
    """Run detectors over a repository; see ``attest.licenses.scan``. ``more`` is iterated when all files were read."""
    scanned = 0
    skipped: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    files: list[ScannedFile] = []
    identified: list[IdentifiedFile] = []
    digests: dict[str, str] = {}
    for item in items:
        if isinstance(item, Skipped):
            skipped[item.reason] += 1
            found = [*item.findings, *_not_read(item)]
        else:
            scanned += 1
            digests[item.path] = sha256(item.raw)
            found = [finding for detector in detectors for finding in _capped(detector, item)]
            file = identify_file(item)
            if file:
                found += findings_of(file)
                if code_of_name(file.path) and len(identified) < MAX_IDENTIFIED:
                    identified.append(file)
            if found:
                blob = git_blob_id(item.raw)
                files.append(ScannedFile(path=item.path, sha256=digests[item.path], blob=blob))
        counts.update(finding.code for finding in found)
        findings.extend(finding for finding in found if counts[finding.code] <= MAX_PER_CODE)
    for finding in more:
        counts[finding.code] += 1
        if counts[finding.code] <= MAX_PER_CODE:
            findings.append(finding)
    gathered = Gathered(findings=findings, identified=identified, digests=digests)
    concluded = [finding for conclude in CONCLUSIONS for finding in conclude(gathered)]
    findings += (*concluded, *_cut_codes(counts))
    return Scan(
        files_scanned=scanned,
        files_skipped=dict(sorted(skipped.items())),
        findings=tuple(sorted(findings, key=_place)),
        files=tuple(sorted(files, key=lambda file: file.path)),
        identified=tuple(sorted(identified, key=lambda file: file.path)),
    )


def _place(finding: Finding) -> tuple[str, int, int, str]:
    return (finding.path, finding.line or 0, RANK[finding.code], finding.text)


def _capped(detector: Detector, source: Source) -> Iterator[Finding]:
    """Findings of one detector in one file, and a note where there are too many."""
    found = list(islice(detector(source), MAX_PER_FILE + 1))
    yield from found[:MAX_PER_FILE]
    if len(found) > MAX_PER_FILE:
        yield source.finding(
            "findings-cut",
            None,
            f"only the first {MAX_PER_FILE} findings of {found[-1].code} in this file are listed",
        )


def _not_read(skipped: Skipped) -> Iterator[Finding]:
    if skipped.path is not None and skipped.reason != "version-control-folder" and code_of_name(skipped.path):
        yield Finding(code="license-file-not-read", path=skipped.path, line=None, text=skipped.reason)


def _cut_codes(counts: Mapping[str, int]) -> Iterator[Finding]:
    for code, count in sorted(counts.items()):
        if count > MAX_PER_CODE:
            text = f"of {count} findings of {code}, about {MAX_PER_CODE} are listed, the first by path"
            yield Finding(code="findings-cut", path=WHOLE, line=None, text=text)
