"""What unrelated files give: the containment of the reference's own files in one another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from attest.document import decimal
from attest.licenses.origin.corpus import Corpus

__all__ = ["MIN_FILES", "Null", "null_of"]

MIN_FILES = 20
"""Files of one kind that a null distribution takes."""

_MAX_FILES = 400


@dataclass(frozen=True, kw_only=True, slots=True)
class Null:
    """Containments of files of one kind in one another: of all pairs, and of each file in its nearest; sorted."""

    files: int
    pairs: NDArray[np.float64]
    nearest: NDArray[np.float64]

    def percentile(self, containment: float) -> str | None:
        """Share of pairs with less containment, as a decimal, or None from fewer than ``MIN_FILES`` files."""
        return self._rank(self.pairs, containment)

    def nearest_percentile(self, containment: float) -> str | None:
        """Share of files that hold less of their own nearest."""
        return self._rank(self.nearest, containment)

    def _rank(self, values: NDArray[np.float64], containment: float) -> str | None:
        if self.files < MIN_FILES:
            return None
        return decimal(float(np.searchsorted(values, containment, side="left") / len(values)), 4)


def null_of(corpus: Corpus, kind: str) -> Null:
    """Null distribution from at most 400 files of a suffix, evenly taken by path, one version a path.

    Notes
    -----
    Files with one path are versions of one file and count as one. Files of one library are not independent: that makes
    this null a hard one, and a low rank in it does not clear a file.
    """
    versions = {
        corpus.programs[place].path: place
        for place in range(len(corpus.programs))
        if corpus.programs[place].kind == kind
    }
    paths = sorted(versions)
    step = max(1, -(-len(paths) // _MAX_FILES))
    chosen = np.array([versions[path] for path in paths[::step]], np.int64)
    rows = []
    for place in chosen.tolist():
        program = corpus.programs[place]
        row = corpus.shared(program)[chosen] / max(len(program.fingerprint.named), 1)
        rows.append(row[chosen != place])
    pairs = np.array(rows) if len(rows) > 1 else np.zeros((0, 1))
    return Null(
        files=len(rows), pairs=np.sort(pairs.ravel()), nearest=np.sort(pairs.max(axis=1)) if len(pairs) else np.zeros(0)
    )
