"""Programs of one repository beside those of another: the best origin of each, and how much that says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.document import Count, decimal, record
from attest.licenses.origin.common import NOTHING, Common
from attest.licenses.origin.corpus import Corpus, Program, corpus_of, program_of
from attest.licenses.origin.holders import HolderSearch, Notice, notices_of, without_kept
from attest.licenses.origin.null import MIN_FILES, Null, first_word, kinds_of, null_of
from attest.licenses.origin.tokens import GRAM, MIN_TOKENS, WINDOW
from attest.licenses.readable import Skipped
from attest.licenses.source import Source
from attest.licenses.whole.holders import names_in
from attest.repository_scan import HolderNotice, IdenticalFile, Origin, OriginMethod

__all__ = ["METHOD", "MIN_CONTAINMENT", "Origins", "compare_code"]

MIN_CONTAINMENT = 0.3
"""Share of a file's grams that a file of the other side must hold to be listed."""

METHOD = OriginMethod(
    id="code-grams/v3",
    gram_tokens=GRAM,
    window=WINDOW,
    least_tokens=MIN_TOKENS,
    least_containment=decimal(MIN_CONTAINMENT),
    least_null_files=MIN_FILES,
)
"""Tokens, grams, origins and nulls of this package; numbers that change are a new id."""
Kind: TypeAlias = tuple[str, str | None]
"""Suffix of files, and the first word of their names where enough have it."""

_NEARLY = 0.9
"""Origins that hold this share of what the best holds could be the origin as well."""


@record
class Origins:
    """Result of one comparison: counts, files with the same bytes, and the best origin of each alike program.

    ``common_...`` counts and lists what is left out elsewhere, since third repositories hold it, too.
    """

    files: Count
    programs: Count
    reference_programs: Count
    common_programs: Count
    common_reference_programs: Count
    null_files: Count
    identical_files: tuple[IdenticalFile, ...]
    common_files: tuple[IdenticalFile, ...]
    notices: tuple[HolderNotice, ...]
    origins: tuple[Origin, ...]


def compare_code(
    files: Iterable[Source | Skipped], reference: Iterable[Source | Skipped], common: Common = NOTHING
) -> Origins:
    """Programs of one side that hold much of a program of the other.

    Parameters
    ----------
    files, reference : iterable
        The side whose files are looked up, and where: in a repository, a package, or a whole history.
    common : Common
        What both may have from third repositories: left out of both sides before anything is computed.

    Notes
    -----
    Files with the same bytes are listed first, programs or not. Programs of fewer than 80 tokens are not compared.

    That a file is alike does not show that it was copied from this side, in this direction, or by whom: both may come
    from a third that is not known here. Libraries of models share much code, so containment says little without its percentile and margin.
    Nothing here says anything about weights.
    """
    search = _Search(corpus_of(reference, common), common)
    for file in files:
        if isinstance(file, Source):
            search.see(file)
    return search.found()


class _Search:
    """Files that are looked up in a corpus, one after the other; the null of each kind is made once."""

    def __init__(self, corpus: Corpus, common: Common) -> None:
        self._corpus = corpus
        self._common = common
        self._kinds = kinds_of(corpus)
        self._nulls: dict[Kind, Null] = {}
        self._holders = HolderSearch(corpus.notices)
        self._twins: dict[bool, list[IdenticalFile]] = {False: [], True: []}
        self._origins: list[Origin] = []
        self._kept: list[Notice] = []
        self._files = self._programs = self._common_programs = 0

    def see(self, file: Source) -> None:
        """Look up one file."""
        self._files += 1
        self._holders.see(file)
        self._kept += notices_of(file)
        digest = sha256(file.raw)
        if digest in self._corpus.others and file.raw.strip():
            twin = IdenticalFile(path=file.path, origin=self._corpus.others[digest])
            self._twins[digest in self._common.digests].append(twin)
        program = program_of(file)
        rest = program and program.without(self._common)
        self._common_programs += program is not None and rest is None
        if rest:
            self._programs += 1
            self._origins += _origins(rest, self._corpus, self._kinds, self._nulls)

    def found(self) -> Origins:
        """What came of it, in order of path."""
        return Origins(
            files=self._files,
            programs=self._programs,
            reference_programs=len(self._corpus.programs),
            common_programs=self._common_programs,
            common_reference_programs=self._corpus.common_programs,
            null_files=sum(null.files for null in self._nulls.values()),
            identical_files=tuple(sorted(self._twins[False], key=lambda file: file.path)),
            common_files=tuple(sorted(self._twins[True], key=lambda file: file.path)),
            notices=self._holders.found(self._origins),
            origins=tuple(
                without_kept(origin, self._kept) for origin in sorted(self._origins, key=lambda origin: origin.path)
            ),
        )


def _origins(
    program: Program, corpus: Corpus, kinds: frozenset[tuple[str, str]], nulls: dict[Kind, Null]
) -> Iterator[Origin]:
    """The best origin of a program where it has one; the null of its kind is made once."""
    shared = corpus.shared(program)
    if len(shared) and shared.max() >= MIN_CONTAINMENT * max(len(program.fingerprint.named), 1):
        word = first_word(program.path)
        kind = (program.kind, word if (word, program.kind) in kinds else None)
        if kind not in nulls:
            nulls[kind] = null_of(corpus, *kind)
        yield _origin(program, corpus, nulls[kind], shared)


def _origin(program: Program, corpus: Corpus, null: Null, shared: NDArray[np.int64]) -> Origin:
    containment = shared / max(len(program.fingerprint.named), 1)
    best = _best(program, corpus, containment)
    found = corpus.programs[best]
    others = [place for place, other in enumerate(corpus.programs) if other.path != found.path]
    second = max(others, key=lambda place: (containment[place], -place), default=None)
    blind = corpus.shared(program, blind=True)[best] / max(len(program.fingerprint.blind), 1)
    runner_up = second if second is not None and containment[second] > 0 else None
    margin = float(containment[best] - (containment[runner_up] if runner_up is not None else 0))
    return Origin(
        path=program.path,
        tokens=program.fingerprint.tokens,
        common=decimal(program.fingerprint.common, 4),
        identical=program.sha256 == found.sha256,
        origin=found.path,
        containment=decimal(float(containment[best]), 4),
        reverse=decimal(float(shared[best] / max(len(found.fingerprint.named), 1)), 4),
        blind_containment=decimal(float(blind), 4),
        runner_up=None if runner_up is None else corpus.programs[runner_up].path,
        margin=decimal(margin, 4),
        percentile=null.percentile(float(containment[best])),
        nearest_percentile=null.nearest_percentile(float(containment[best])),
        both_percentile=null.both_percentile(float(containment[best]), margin),
        missing_notices=_missing(program, found, corpus, containment),
    )


def _missing(program: Program, found: Program, corpus: Corpus, containment: NDArray[np.float64]) -> tuple[str, ...]:
    """Notices of the best origin that the file lacks, and that every other origin that is nearly as good has too.

    So have all versions of the best origin that are as good: else the notice may be younger than what was taken.
    Those that stand far down, and may be of a part, count where the file holds half of the origin or more.
    """
    grams, held = found.fingerprint.named, program.fingerprint.named
    has_half = 2 * len(np.intersect1d(grams, held)) >= len(grams)
    near: dict[str, int] = {}
    for place in np.flatnonzero(containment >= _NEARLY * containment.max()).tolist():
        path = corpus.programs[place].path
        if path != found.path and (path not in near or containment[place] > containment[near[path]]):
            near[path] = place
    versions = [place for place in np.flatnonzero(containment == containment.max()).tolist()
                if corpus.programs[place].path == found.path]  # fmt: skip
    shared = [corpus.programs[place].holders.keys() for place in (*near.values(), *versions)]
    named = names_in(program.holders.values())
    return tuple(
        line
        for key, line in sorted(found.holders.items())
        if (has_half or key not in found.inner)
        and key not in program.holders
        and f" {key} " not in named
        and all(key in holders for holders in shared)
    )


def _best(program: Program, corpus: Corpus, containment: NDArray[np.float64]) -> int:
    """The program that holds most; of equal ones that with the same bytes, the least lacking notice, the first path."""
    top = np.flatnonzero(containment == containment.max()).tolist()

    def order(place: int) -> tuple[bool, int, int, str]:
        other = corpus.programs[place]
        size = abs(len(other.fingerprint.named) - len(program.fingerprint.named))
        return (other.sha256 != program.sha256, size, -len(other.holders), other.path)

    return int(min(top, key=order))
