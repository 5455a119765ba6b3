"""Which members of a library a suspect is related to, if to any: a list to be looked at, and no verdict."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from attest.compare.digits import signed_digits
from attest.compare.fingerprints import Fingerprints
from attest.compare.resampling import normal_pvalue
from attest.compare.tensors.multiset_identity import multiset_identity
from attest.compare.tensors.tensor_identity import tensor_identity
from attest.comparison import Side
from attest.cores import usable_cores
from attest.document import Count, record
from attest.library.folder import Library
from attest.library.screen import WANTED, Screen, Standardized
from attest.reading import holm

__all__ = ["Answer", "Candidate", "Screened", "query"]

_THREADS = min(8, usable_cores())


@record
class Screened:
    """One exact test on the suspect and a member.

    ``pvalue`` is the two-sided normal tail of ``z``, never below 1e-6; ``adjusted`` the same after Holm's correction over
    all members and tests of the query.
    """

    id: str
    z: float
    n: Count
    pvalue: float
    adjusted: float


@record
class Candidate:
    """A member, and what was found: telling tensors with the same bytes and with the same values, and z of exact tests."""

    member: Side
    lineages: tuple[str, ...]
    same_tensors: Count
    same_values: Count
    tests: tuple[Screened, ...]

    @property
    def order(self) -> tuple[float, ...]:
        """Those with the same tensors first, then by the least adjusted p, then by the largest z."""
        least = min((one.adjusted for one in self.tests), default=1.0)
        return (-self.same_tensors, -self.same_values, least, -max((abs(one.z) for one in self.tests), default=0.0))


@record
class Answer:
    """The first candidates in order, out of ``members`` that were looked at with ``tests`` tests in all."""

    suspect: Side
    members: Count
    tests: Count
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Found:
    member: Side
    lineages: tuple[str, ...]
    same: tuple[int, int]
    tests: tuple[Standardized, ...]


def query(
    library: Library, suspect: Fingerprints, *, top: int = 10, threads: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Answer:  # fmt: skip
    """Hold a suspect against every member.

    Parameters
    ----------
    library : Library
    suspect : Fingerprints
    top : int
        Candidates to give.
    threads : int, optional
        No number depends on it.
    advance : callable, optional
        Is told how many members were looked at.

    Notes
    -----
    Looked at: tensor digests, multisets, neuron-alignment, anchored-alignment, norm-gain-correspondence. A permutation of
    the hidden neurons together with a rotation of the residual stream hides a suspect from all of them; so an empty list
    shows nothing. The suspect itself, where it is a member, is passed over.
    """
    screen = Screen(suspect)
    known = frozenset(text.encode() for row in suspect.tensors for text in (row.digest, row.multiset) if text)
    digests = [digest for digest in library.digests() if digest != suspect.side.tree_digest]
    found = []
    with ThreadPoolExecutor(threads or _THREADS) as pool:
        for one in _in_order(pool, partial(_look, library, suspect, screen, known), digests):
            found.append(one)
            if advance is not None:
                advance(len(found))
    levels = iter(holm([normal_pvalue(test.z) for one in found for test in one.tests]))
    candidates = [_candidate(one, levels) for one in found]
    return Answer(
        suspect=suspect.side,
        members=len(found),
        tests=sum(len(one.tests) for one in found),
        candidates=tuple(sorted(candidates, key=lambda one: one.order)[:top]),
    )


def _in_order(pool: ThreadPoolExecutor, look: Callable[[str], _Found], digests: Sequence[str]) -> Iterator[_Found]:
    """Results in the order of the digests, with few members in memory at once."""
    waiting: deque[Future[_Found]] = deque()
    for digest in digests:
        waiting.append(pool.submit(look, digest))
        if len(waiting) > 2 * _THREADS:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _look(library: Library, suspect: Fingerprints, screen: Screen, known: frozenset[bytes], digest: str) -> _Found:
    member, fingerprints = library.fingerprints(digest, WANTED, known)
    same = tuple(
        sum(one.n for one in test(suspect, fingerprints).tests) for test in (tensor_identity, multiset_identity)
    )
    return _Found(
        member=member.side,
        lineages=member.lineages,
        same=(same[0], same[1]),
        tests=tuple(screen.against(fingerprints)),
    )


def _candidate(one: _Found, levels: Iterator[float]) -> Candidate:
    return Candidate(
        member=one.member,
        lineages=one.lineages,
        same_tensors=one.same[0],
        same_values=one.same[1],
        tests=tuple(
            Screened(
                id=test.test,
                z=signed_digits(test.z),
                n=test.n,
                pvalue=normal_pvalue(test.z),
                adjusted=signed_digits(next(levels)),
            )
            for test in one.tests
        ),
    )
