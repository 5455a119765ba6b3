"""Holders whom license and notice files of the other side name over code that is alike here, and whether they are named here."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from attest.finding import Finding
from attest.licenses.license_file import code_of_name
from attest.licenses.source import Source
from attest.licenses.whole.holders import holder_key, holder_lines, names_in, statement_of
from attest.repository_scan import HolderNotice, Origin

__all__ = ["HolderSearch", "Notice", "notices_of", "without_kept"]

_MAX_NOTICES = 200
_MAX_LISTED = 5
_BETWEEN_WORDS = re.compile(r"[^\w]+")
_PAPERS = re.compile(r"(?:readme|authors|credits|acknowledge?ments?|attributions?|thanks)(?:[._-].*)?", re.IGNORECASE)
"""Names of files in which others are thanked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A copyright line of a license or notice file, and the key of the holder whom it names; empty where it names none."""

    path: str
    line: int
    text: str
    key: str

    @property
    def folder(self) -> str:
        """What it is a notice of: its folder; of a wheel's own papers the whole wheel."""
        folder = self.path.rpartition("/")[0]
        papers = next((part for part in folder.split("/") if part.endswith(".dist-info")), None)
        if papers is not None:
            folder = folder.partition(papers)[0].rstrip("/")
        return folder.rpartition("/")[0] if folder.rpartition("/")[2].upper() == "LICENSES" else folder


def notices_of(source: Source) -> Iterator[Notice]:
    """Lines of a license or notice file that name a holder.

    Of a license file that names none an empty one, so that it is known that files beside it are under that.
    """
    code = code_of_name(source.path)
    if code not in ("license-file", "notice-file"):
        return
    told = 0
    for key, finding in islice(holder_lines(source), _MAX_NOTICES):
        if finding.line is not None:
            told += 1
            yield Notice(path=source.path, line=finding.line, text=finding.text, key=key)
    if code == "license-file" and not told:
        yield Notice(path=source.path, line=1, text="", key="")


def without_kept(origin: Origin, notices: Sequence[Notice]) -> Origin:
    """An origin without the missing notices of holders whom a license or notice file over the file names here."""
    if not origin.missing_notices:
        return origin
    above = f"{origin.path.rpartition('/')[0]}/"
    named = names_in(one.text for one in notices if not one.folder or above.startswith(f"{one.folder}/"))
    missing = tuple(
        line for line in origin.missing_notices if f" {holder_key(statement_of(line).holder)} " not in named
    )
    return replace(origin, missing_notices=missing)


class HolderSearch:
    """Looks in the files of one side for the holders whom the other side's license and notice files name."""

    def __init__(self, notices: Sequence[Notice]) -> None:
        first: dict[tuple[str, str], Notice] = {}
        for one in notices:
            if one.key:
                first.setdefault((one.folder, one.key), one)
        self._folders = {one.folder for one in notices}
        self._notices = list(first.values())[:_MAX_NOTICES]
        self._named: dict[str, list[Finding]] = {one.key: [] for one in self._notices}
        self._mentioned: dict[str, list[str]] = {one.key: [] for one in self._notices}
        self._longest = {key: max(key.split(), key=len).encode() for key in self._named}

    def see(self, source: Source) -> None:
        """Look in one file."""
        sought = [key for key, word in self._longest.items() if word in source.lowered]
        if not sought:
            return
        lines = [(names_in([finding.text]), finding) for _, finding in holder_lines(source)]
        words = f" {_BETWEEN_WORDS.sub(' ', source.text.casefold())} " if _is_paper(source.path) else ""
        for key in sought:
            named = [finding for names, finding in lines if f" {key} " in names]
            self._named[key] += named
            if not named and f" {key} " in words:
                self._mentioned[key].append(source.path)

    def found(self, origins: Sequence[Origin]) -> tuple[HolderNotice, ...]:
        """Each notice over the origin of a file that is alike, the first by path and line before the others."""
        nearest = [_nearest(origin.origin, self._folders) for origin in origins if _tells(origin)]
        return tuple(
            HolderNotice(
                notice=Finding(code="copyright", path=one.path, line=one.line, text=one.text),
                alike=nearest.count(one.folder),
                named=tuple(sorted(self._named[one.key], key=_in_order)[:_MAX_LISTED]),
                mentioned=tuple(sorted(self._mentioned[one.key])[:_MAX_LISTED]),
            )
            for one in sorted(self._notices, key=lambda one: (one.path, one.line))
            if one.folder in nearest
        )


def _tells(origin: Origin) -> bool:
    """Whether so much is alike that its notices are of interest: where there is a null, what stands out in it."""
    return origin.is_distinctive or (origin.both_percentile is None and not origin.is_short)


def _nearest(path: str, folders: set[str]) -> str | None:
    """The innermost folder with a license or notice file that a file lies in."""
    parts = path.split("/")[:-1]
    return next((folder for end in range(len(parts), -1, -1) if (folder := "/".join(parts[:end])) in folders), None)


def _is_paper(path: str) -> bool:
    return code_of_name(path) is not None or _PAPERS.fullmatch(path.rpartition("/")[2]) is not None


def _in_order(finding: Finding) -> tuple[bool, str, int]:
    """License and notice files first."""
    return code_of_name(finding.path) is None, finding.path, finding.line or 0
