"""How much of what was signed was looked at, in files and bytes."""

from __future__ import annotations

from dataclasses import dataclass

from attest.coverage import Coverage
from attest.document import Count, record
from attest.evidence import Evidence
from attest.oms import ModelManifest
from attest.verify.check import Check
from attest.verify.content import Content

__all__ = ["Compared", "Held"]


@record
class Compared:
    """Files and bytes that a statement names, and those that were read and are the same; null is unknown."""

    files_named: Count | None
    files_covered: Count
    bytes_named: Count | None
    bytes_covered: Count

    @classmethod
    def of(cls, content: Content, files: int = 0, size: int = 0) -> Compared:
        """So many files and bytes of what a statement is about."""
        predicate = content.predicate
        named, total = None, None
        if isinstance(predicate, Evidence):
            named, total = predicate.checkpoint.file_count, predicate.checkpoint.bytes
        elif isinstance(predicate, ModelManifest):
            named, total = len(predicate.files), predicate.size
        return cls(files_named=named, files_covered=files, bytes_named=total, bytes_covered=size)

    @classmethod
    def of_coverage(cls, coverage: Coverage) -> Compared:
        """What the comparison of a checkpoint found."""
        return cls(
            files_named=coverage.files_named,
            files_covered=coverage.files_covered,
            bytes_named=coverage.bytes_named,
            bytes_covered=coverage.bytes_covered,
        )

    @property
    def is_whole(self) -> bool:
        """Whether every file that is named was found to be the same."""
        return self.files_named == self.files_covered

    @property
    def text(self) -> str:
        """The counts in one line."""
        if self.files_named is None and not self.files_covered:
            return "no file of a checkpoint was read."
        files, size = (
            "an unknown number of" if one is None else f"{one:,}" for one in (self.files_named, self.bytes_named)
        )
        return f"{self.files_covered:,} of {files} files and {self.bytes_covered:,} of {size} bytes were read and are the same."


@dataclass(frozen=True, kw_only=True, slots=True)
class Held:
    """What was held against the statement: step 8, how much of it, and file by file where there are several."""

    check: Check
    compared: Compared
    coverage: Coverage | None = None
