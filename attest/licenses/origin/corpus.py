"""The programs of a repository, ready to be looked up by their grams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.finding import Finding
from attest.licenses.origin.common import NOTHING, Common
from attest.licenses.origin.holders import Notice, notices_of
from attest.licenses.origin.tokens import MIN_TOKENS, Fingerprint, fingerprint, is_code
from attest.licenses.readable import Skipped
from attest.licenses.source import Source
from attest.licenses.whole.holders import holder_lines

__all__ = ["Corpus", "Program", "corpus_of", "program_of"]

_HEAD_LINES = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Program:
    """One program: path, digest of its bytes, fingerprint, and the lines that name holders, by holder.

    ``inner`` are holders who are named after its first hundred lines only, where a notice may be of a part.
    """

    path: str
    sha256: str
    fingerprint: Fingerprint
    holders: dict[str, str]
    inner: frozenset[str]

    @property
    def kind(self) -> str:
        """Programs are compared with those of the same suffix."""
        return self.path.rpartition(".")[2].lower()

    def without(self, common: Common) -> Program | None:
        """The program without what third repositories hold, or None where that leaves too little."""
        rest = common.rest(self.fingerprint)
        return None if rest is None else replace(self, fingerprint=rest)


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """Programs, and which of them hold each gram.

    Parameters
    ----------
    programs : tuple of Program
        Long enough to be compared.
    common_programs : int
        Those that are not among them, since third repositories hold nearly all of them.
    others : mapping of str to str
        A path for the digest of each file, programs and others.
    notices : tuple of Notice
        Lines of license and notice files that name a holder.
    named, blind : (grams, programs)
        Sorted grams of all, and the place of the program that each is of.
    """

    programs: tuple[Program, ...]
    common_programs: int
    others: dict[str, str]
    notices: tuple[Notice, ...]
    named: tuple[NDArray[np.uint64], NDArray[np.int64]]
    blind: tuple[NDArray[np.uint64], NDArray[np.int64]]

    def shared(self, program: Program, *, blind: bool = False) -> NDArray[np.int64]:
        """How many grams of a program each of the corpus holds."""
        values, places = self.blind if blind else self.named
        grams = program.fingerprint.blind if blind else program.fingerprint.named
        first = np.searchsorted(values, grams, side="left")
        counts = np.searchsorted(values, grams, side="right") - first
        steps = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
        return np.bincount(places[np.repeat(first, counts) + steps], minlength=len(self.programs))


def program_of(source: Source) -> Program | None:
    """A file as a program, or None where it is none or too short."""
    if not is_code(source.path):
        return None
    made = fingerprint(source.path, source.text)
    if made.tokens < MIN_TOKENS:
        return None
    lines: dict[str, Finding] = {}
    for key, finding in sorted(holder_lines(source), key=lambda pair: pair[1].line or 0):
        lines.setdefault(key, finding)
    return Program(
        path=source.path,
        sha256=sha256(source.raw),
        fingerprint=made,
        holders={key: finding.text for key, finding in lines.items()},
        inner=frozenset(key for key, finding in lines.items() if (finding.line or 0) > _HEAD_LINES),
    )


def corpus_of(files: Iterable[Source | Skipped], common: Common = NOTHING) -> Corpus:
    """Corpus of the files of a repository, of a release, or of a whole history, without what is common."""
    programs: list[Program] = []
    common_programs = 0
    others: dict[str, str] = {}
    notices: list[Notice] = []
    for file in files:
        if isinstance(file, Skipped):
            continue
        others.setdefault(sha256(file.raw), file.path)
        notices += notices_of(file)
        program = program_of(file)
        rest = program and program.without(common)
        common_programs += program is not None and rest is None
        programs += [rest] if rest else []
    return Corpus(
        programs=tuple(programs),
        common_programs=common_programs,
        others=others,
        notices=tuple(notices),
        named=_inverted([program.fingerprint.named for program in programs]),
        blind=_inverted([program.fingerprint.blind for program in programs]),
    )


def _inverted(grams: list[NDArray[np.uint64]]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    if not grams:
        return np.zeros(0, np.uint64), np.zeros(0, np.int64)
    values = np.concatenate(grams)
    places = np.repeat(np.arange(len(grams)), [len(each) for each in grams])
    order = np.argsort(values, kind="stable")
    return values[order], places[order]
