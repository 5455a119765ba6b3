"""What the walk over a repository gathered, for what looks at all of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from attest.finding import Finding
from attest.licenses.license_text import IdentifiedFile

__all__ = ["WHOLE", "Gathered"]

WHOLE = "."
"""Path of a finding about the whole repository."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Findings of all files, identified files, and the SHA-256 of each file that was read."""

    findings: Sequence[Finding]
    identified: Sequence[IdentifiedFile]
    digests: Mapping[str, str]

    def of(self, *codes: str) -> list[Finding]:
        """Findings of some codes, in order of path and line."""
        found = [finding for finding in self.findings if finding.code in codes]
        return sorted(found, key=lambda finding: (finding.path, finding.line or 0, finding.text))
