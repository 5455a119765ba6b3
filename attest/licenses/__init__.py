"""Licenses: what the files of a repository say about licenses, copyrights and where code comes from.

A scan finds and quotes; it identifies no license text, judges nothing and gives no legal advice. A detector is one
file here and one line in ``DETECTORS``; a kind of finding is one line in ``kind.py`` and a section in
``docs/findings.md``.
"""

from __future__ import annotations

from pathlib import Path

from attest.licenses import (
    checksum_list,
    copyright_line,
    generated_file,
    json_declaration,
    license_file,
    model_card,
    package_metadata,
    provenance_comment,
    pyproject,
    spdx_tag,
)
from attest.licenses.kind import KINDS, Kind
from attest.licenses.repository import Scan, scan_repository
from attest.licenses.source import Detector
from attest.licenses.summary import LICENSES_NAME, LicenseDetail, summarize
from attest.licenses.whole import WHOLE

__all__ = ["DETECTORS", "KINDS", "LICENSES_NAME", "WHOLE", "Kind", "LicenseDetail", "Scan", "scan", "summarize"]

DETECTORS: tuple[Detector, ...] = (
    license_file.detect,
    model_card.detect,
    json_declaration.detect,
    pyproject.detect,
    package_metadata.detect,
    copyright_line.detect,
    provenance_comment.detect,
    spdx_tag.detect,
    generated_file.detect,
    checksum_list.detect,
)


def scan(root: Path) -> Scan:
    """What the files under a folder say about licenses, copyrights and where code comes from.

    Parameters
    ----------
    root : Path
        A folder.

    Raises
    ------
    InputError
        The folder does not exist, cannot be opened, or holds too many files.

    Notes
    -----
    Reads text files up to 1 MiB (license files up to 4 MiB) and follows no link. Bytes that are not UTF-8 stand as
    U+FFFD in the quoted text, control characters too.

    It does not show which license applies, whether a license is kept, or that nothing else is in the repository:
    not found means only that these patterns found nothing in the files that were read.
    """
    return scan_repository(root, DETECTORS)
