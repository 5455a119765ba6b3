"""What every export is made of: files with what was found in them, and what is declared of the whole."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from attest.evidence import Tool
from attest.license_summary import ScannedFile, ScopedLicenses
from attest.licenses.expression import expression_of
from attest.licenses.repository import Scan
from attest.licenses.source import MAX_TEXT
from attest.repository_scan import HolderNotice, Origin

__all__ = ["Content", "FileContent", "as_json"]

_OF_OTHERS = " (for "
"""Stands in what REUSE.toml says of other files: found there, not in them."""

_COMMENT_MARKS = re.compile(r"^[^\w©(]+")


@dataclass(frozen=True, kw_only=True, slots=True)
class FileContent:
    """A file that has a finding.

    Parameters
    ----------
    file : ScannedFile
        Path and digests.
    licenses : tuple of str
        Expressions of license texts, notices and tags that were found in it, sorted.
    copyrights : tuple of str
        Lines that name holders, without the comment marks before them, in the order of the file.
    """

    file: ScannedFile
    licenses: tuple[str, ...]
    copyrights: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Content:
    """One scan, as formats are made of it.

    Parameters
    ----------
    name, tree_digest : str
        Of the repository.
    scan : Scan
    scopes : tuple of ScopedLicenses
        Licenses by what they are found for, of scopes for which a known one is.
    origins : tuple of Origin
        Whose code is in it; empty where it was held against nothing.
    notices : tuple of HolderNotice
        Holders whom papers of that other side name.
    tool : Tool
    created : str
        RFC 3339 in UTC; only formats that demand a time have it.
    """

    name: str
    tree_digest: str
    scan: Scan
    scopes: tuple[ScopedLicenses, ...]
    origins: tuple[Origin, ...]
    notices: tuple[HolderNotice, ...]
    tool: Tool
    created: str

    def files(self) -> Iterator[FileContent]:
        """Files with findings, in order of path."""
        licenses: dict[str, set[str]] = defaultdict(set)
        copyrights: dict[str, dict[str, None]] = defaultdict(dict)
        for finding in self.scan.findings:
            if _OF_OTHERS in finding.text:
                continue
            if finding.code in ("license-notice", "spdx-license"):
                found = expression_of(finding.text) if len(finding.text) < MAX_TEXT else None
                licenses[finding.path].update([found] if found else [])
            elif finding.code in ("copyright", "spdx-copyright"):
                copyrights[finding.path][_COMMENT_MARKS.sub("", finding.text)] = None
        for file in self.scan.identified:
            licenses[file.path].update(
                text.expression for text in file.texts if text.kind == "text" and not text.change_count
            )
        for scanned in self.scan.files:
            yield FileContent(
                file=scanned,
                licenses=tuple(sorted(licenses[scanned.path])),
                copyrights=tuple(copyrights[scanned.path]),
            )

    def declared(self) -> tuple[str, ...]:
        """Licenses that fields declare, as they are written, sorted."""
        return tuple(sorted({finding.text for finding in self.scan.findings if finding.code == "declared-license"}))


def as_json(value: Any) -> str:
    """JSON text in ASCII."""
    return json.dumps(value, indent=2, ensure_ascii=True)
