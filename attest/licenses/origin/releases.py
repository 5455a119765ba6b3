"""How much of a file each release of a package holds: a curve whose peak dates the code."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attest.document import decimal
from attest.licenses.origin.corpus import Program, corpus_of
from attest.licenses.readable import Skipped
from attest.licenses.source import Source
from attest.repository_scan import DatedFile

__all__ = ["date_files"]


def date_files(
    programs: Sequence[tuple[Program, str]], releases: Iterable[Iterable[Source | Skipped]]
) -> tuple[DatedFile, ...]:
    """Containment of programs in a file of each of several releases.

    Parameters
    ----------
    programs : sequence of (Program, str)
        A program, and the path in the package that it is held against.
    releases : iterable of iterable
        The files of one release each.

    Notes
    -----
    A peak dates the code, not the weights, and not the act of copying: who took the code may have taken it from
    another who had taken it from that release. A file that a release does not have counts as 0.
    """
    wanted = {origin for _, origin in programs}
    held: list[list[float]] = [[] for _ in programs]
    for files in releases:
        corpus = corpus_of(file for file in files if isinstance(file, Source) and file.path in wanted)
        for shares, (program, origin) in zip(held, programs, strict=True):
            counts = zip(corpus.shared(program).tolist(), corpus.programs, strict=True)
            most = max((count for count, other in counts if other.path == origin), default=0)
            shares.append(most / max(len(program.fingerprint.named), 1))
    return tuple(
        DatedFile(path=program.path, origin=origin, containments=tuple(decimal(share, 4) for share in shares))
        for shares, (program, origin) in zip(held, programs, strict=True)
    )
