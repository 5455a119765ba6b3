"""A scan of a whole repository: every detector over every file, and what only the whole can tell."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from attest.digest import sha256
from attest.document import record
from attest.finding import Finding
from attest.licenses.kind import RANK
from attest.licenses.license_file import code_of_name
from attest.licenses.source import Detector, Source, cut
from attest.licenses.walk import Skipped, read_repository
from attest.statement import Sha256

__all__ = ["MAX_PER_CODE", "MAX_PER_FILE", "WHOLE", "Scan", "ScannedFile", "scan_repository"]

MAX_PER_FILE = 1000
"""Findings that one detector makes in one file."""

MAX_PER_CODE = 8000
"""Findings of one code in one scan; with the limits of paths and texts, those of all codes fit a detail file."""

WHOLE = "."
"""Path of a finding about the whole repository."""

_WORD = re.compile(r"[a-z0-9.+]+")
_FILLERS = frozenset({"the", "license", "licence", "version"})
_NO_LICENSE_NAMED = frozenset({"other", "unknown"})


@record
class ScannedFile:
    """A file that has a finding, by its bytes as they were read."""

    path: str
    sha256: Sha256


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
    """

    files_scanned: int
    files_skipped: Mapping[str, int]
    findings: tuple[Finding, ...]
    files: tuple[ScannedFile, ...]


def scan_repository(root: Path, detectors: Sequence[Detector]) -> Scan:
    """Run detectors over a repository; see ``attest.licenses.scan``."""
    scanned = 0
    skipped: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    findings: list[Finding] = []
    files: list[ScannedFile] = []
    for item in read_repository(root):
        if isinstance(item, Skipped):
            skipped[item.reason] += 1
            found = list(_not_read(item))
        else:
            scanned += 1
            found = [finding for detector in detectors for finding in _capped(detector, item)]
            if found:
                files.append(ScannedFile(path=item.path, sha256=sha256(item.raw)))
        counts.update(finding.code for finding in found)
        findings.extend(finding for finding in found if counts[finding.code] <= MAX_PER_CODE)
    findings += (*_no_license_file(counts), *_declared_licenses_differ(findings), *_cut_codes(counts))
    return Scan(
        files_scanned=scanned,
        files_skipped=dict(sorted(skipped.items())),
        findings=tuple(sorted(findings, key=_place)),
        files=tuple(sorted(files, key=lambda file: file.path)),
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


def _no_license_file(counts: Mapping[str, int]) -> Iterator[Finding]:
    if not counts["license-file"]:
        unread = counts["license-file-not-read"]
        but = f"; {unread} with such a name could not be read" if unread else ""
        text = f"no file with a usual license name was read{but}"
        yield Finding(code="no-license-file", path=WHOLE, line=None, text=text)


def _cut_codes(counts: Mapping[str, int]) -> Iterator[Finding]:
    for code, count in sorted(counts.items()):
        if count > MAX_PER_CODE:
            text = f"of {count} findings of {code}, about {MAX_PER_CODE} are listed, the first by path"
            yield Finding(code="findings-cut", path=WHOLE, line=None, text=text)


def _spelling(value: str) -> tuple[str, ...]:
    """Words of a declared license in a fixed order, so that ``MIT`` and ``MIT License`` count as the same."""
    words = (re.sub(r"^v(?=\d)", "", word) for word in _WORD.findall(value.casefold()))
    return tuple(sorted(word for word in words if word not in _FILLERS))


def _declared_licenses_differ(findings: Sequence[Finding]) -> Iterator[Finding]:
    """One finding that lists each declared value with a path, when they are not all the same."""
    named = [
        finding
        for finding in findings
        if finding.code == "declared-license" and finding.text.casefold() not in _NO_LICENSE_NAMED
    ]
    settled = {finding.path for finding in named}
    named += [
        finding for finding in findings if finding.code == "declared-license-name" and finding.path not in settled
    ]
    places: dict[tuple[str, ...], list[Finding]] = {}
    for finding in sorted(named, key=_place):
        places.setdefault(_spelling(finding.text), []).append(finding)
    if len(places) > 1:
        values = [_value(group) for group in places.values()]
        text = "; ".join(values)
        yield Finding(code="declared-licenses-differ", path=WHOLE, line=None, text=cut(f"{len(values)} values: {text}"))


def _value(group: Sequence[Finding]) -> str:
    more = f" and {len(group) - 1} more" if len(group) > 1 else ""
    return f"{group[0].text} ({group[0].path}{more})"
