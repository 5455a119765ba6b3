"""What third repositories hold: code and files that two sides may both have from there, left out before they are compared."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from attest.digest import sha256
from attest.licenses.origin.tokens import MIN_TOKENS, Fingerprint, all_grams, is_code
from attest.licenses.readable import Skipped
from attest.licenses.source import Source

__all__ = ["NOTHING", "Common", "common_of"]

_MERGED_AT = 1 << 22
"""Grams that are gathered before those that occur twice are dropped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Common:
    """All grams and all digests of third repositories.

    Parameters
    ----------
    named, blind : ndarray of uint64
        Sorted and distinct. Not winnowed, so that a gram that a third holds is known wherever it stands.
    digests : frozenset of str
        SHA-256 of every file, programs and others; empty files are none.
    """

    named: NDArray[np.uint64]
    blind: NDArray[np.uint64]
    digests: frozenset[str]

    def rest(self, program: Fingerprint) -> Fingerprint | None:
        """What is a program's own, or None where that is too little to be compared.

        Notes
        -----
        Too little is what is left of fewer than 80 tokens, if tokens are left out in the share that grams are: a file of
        which a third holds nearly all neither has an origin nor stands in a null, where it would make others look rare.
        """
        if not len(self.named) or not len(program.named):
            return program
        named, blind = _without(program.named, self.named), _without(program.blind, self.blind)
        left = len(named) / len(program.named)
        return (
            replace(program, named=named, blind=blind, common=1 - left) if left * program.tokens >= MIN_TOKENS else None
        )


def common_of(repositories: Iterable[Iterable[Source | Skipped]]) -> Common:
    """What repositories hold together: of every program, however short, all runs of twelve tokens."""
    named, blind = _Distinct(), _Distinct()
    digests = set()
    for file in (file for files in repositories for file in files if isinstance(file, Source)):
        if file.raw.strip():
            digests.add(sha256(file.raw))
        if is_code(file.path):
            grams = all_grams(file.path, file.text)
            named.add(grams[0])
            blind.add(grams[1])
    return Common(named=named.values(), blind=blind.values(), digests=frozenset(digests))


class _Distinct:
    """Distinct values of many arrays; what is held at a time is bounded by them and 32 MiB."""

    def __init__(self) -> None:
        self._parts: list[NDArray[np.uint64]] = []
        self._new = 0

    def add(self, part: NDArray[np.uint64]) -> None:
        self._parts.append(part)
        self._new += len(part)
        if self._new > _MERGED_AT:
            self._parts, self._new = [self.values()], 0

    def values(self) -> NDArray[np.uint64]:
        return np.unique(np.concatenate([*self._parts, np.zeros(0, np.uint64)]))


def _without(grams: NDArray[np.uint64], taken: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Grams that are not among sorted ones."""
    places = np.minimum(np.searchsorted(taken, grams), len(taken) - 1)
    own: NDArray[np.bool_] = taken[places] != grams
    return grams[own]


NOTHING = common_of(())
"""No third repository is known."""
