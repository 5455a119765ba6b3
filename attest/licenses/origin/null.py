"""What files of one repository give: the containment of the reference's own files in one another."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.document import decimal
from attest.licenses.origin.corpus import Corpus

__all__ = ["MIN_FILES", "Null", "first_word", "kinds_of", "null_of"]

MIN_FILES = 20
"""Files of one kind that a null distribution takes."""

_MAX_FILES = 400
_SEPARATOR = re.compile(r"[._-]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Null:
    """How alike files of one kind are to others of their repository.

    Parameters
    ----------
    files : int
    pairs : ndarray
        Containments of the files in one another, sorted.
    nearest, margins : ndarray of shape (files,)
        Of each file: containment in the file under another path that holds most of it, and how much less the next holds.
    surpassing : ndarray of shape (files,)
        How many of the files, itself included, are at least as much like their nearest and as far ahead as each.
    """

    files: int
    pairs: NDArray[np.float64]
    nearest: NDArray[np.float64]
    margins: NDArray[np.float64]
    surpassing: NDArray[np.int64]

    @classmethod
    def of(cls, pairs: NDArray[np.float64], nearest: NDArray[np.float64], margins: NDArray[np.float64]) -> Null:
        """Null of what was found for each file; how many surpass each is counted once."""
        least = (nearest[None] >= nearest[:, None]) & (margins[None] >= margins[:, None])
        return cls(
            files=len(nearest),
            pairs=pairs,
            nearest=nearest,
            margins=margins,
            surpassing=least.sum(axis=1, dtype=np.int64),
        )

    def percentile(self, containment: float) -> str | None:
        """Share of pairs with less containment, as a decimal, or None from fewer than ``MIN_FILES`` files."""
        return self._share(self.pairs < containment)

    def nearest_percentile(self, containment: float) -> str | None:
        """Share of files that hold less of their own nearest."""
        return self._share(self.nearest < containment)

    def both_percentile(self, containment: float, margin: float) -> str | None:
        """Share of these files, and of the one that is ranked, that are less outstanding than it.

        Notes
        -----
        The fewer others are at once as much like their nearest and as far ahead of their next, the more outstanding a
        file is. That count alone is no rank: in a library where the two go their own ways, a seventh of the files have
        fewer than one in twenty such others. So it is ranked among the counts of all, ties and the file itself
        included. One of files drawn alike reaches 0.95 at most once in twenty times, whatever was left out of all of
        them as common.

        References
        ----------
        Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World", 2005, section 2.2 (conformal predictors).
        """
        below = (containment >= self.nearest) & (margin >= self.margins)
        own = 1 + np.count_nonzero((self.nearest >= containment) & (self.margins >= margin))
        return self._share(np.append(self.surpassing + below > own, False))

    def _share(self, less: NDArray[np.bool_]) -> str | None:
        return None if self.files < MIN_FILES else decimal(float(less.mean()), 4)


def kinds_of(corpus: Corpus) -> frozenset[tuple[str, str]]:
    """First words of names, with the suffix, that 20 files of a corpus or more have in common, as ``modeling_``."""
    files = {(other.path, other.kind) for other in corpus.programs}
    counts = Counter((first_word(path), suffix) for path, suffix in files)
    return frozenset(kind for kind, count in counts.items() if count >= MIN_FILES)


def null_of(corpus: Corpus, suffix: str, word: str | None) -> Null:
    """Null distribution from at most 400 files with a suffix, and a first word or any, evenly taken by path.

    Notes
    -----
    The nearest of a file is looked for among all files of the corpus. Files with one path are versions
    of one file and count as one. Files of one library are not independent, and some are copies of one another: that
    makes this null a hard one, and a low rank in it does not clear a file.
    """
    paths = [other.path for other in corpus.programs]
    versions = {
        path: place
        for place, path in enumerate(paths)
        if corpus.programs[place].kind == suffix and word in (None, first_word(path))
    }
    kind = sorted(versions)
    chosen = np.array([versions[path] for path in kind[:: max(1, -(-len(kind) // _MAX_FILES))]], np.int64)
    _, groups = np.unique(paths, return_inverse=True)
    pairs, nearest, margins = [], [], []
    for place in chosen.tolist():
        grams = max(len(corpus.programs[place].fingerprint.named), 1)
        held = corpus.shared(corpus.programs[place]) / grams
        by_path = np.zeros(len(groups))
        np.maximum.at(by_path, groups, held)
        by_path[groups[place]] = 0
        second, first = np.partition(by_path, -2)[-2:] if len(by_path) > 1 else (0.0, 0.0)
        pairs.append(held[chosen[chosen != place]])
        nearest.append(first)
        margins.append(first - second)
    return Null.of(np.concatenate([*pairs, np.zeros(0)]), np.array(nearest), np.array(margins))


def first_word(path: str) -> str:
    """What a file's name begins with, up to the first underscore, hyphen or dot."""
    return _SEPARATOR.split(path.rpartition("/")[2].casefold(), maxsplit=1)[0]
