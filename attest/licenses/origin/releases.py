"""Which release of a package holds most of a file: containment release by release."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from attest.document import decimal, record
from attest.licenses.origin.corpus import Program, corpus_of
from attest.licenses.readable import Skipped
from attest.licenses.source import Source

__all__ = ["Release", "releases"]


@record
class Release:
    """Share of a file's grams that one file of one release holds; ``is_peak`` where no release holds more."""

    path: str
    origin: str
    release: str
    containment: str
    is_peak: bool


def releases(
    programs: Sequence[tuple[Program, str]], packages: Iterable[tuple[Path, Iterable[Source | Skipped]]]
) -> tuple[Release, ...]:
    """Containment of programs in a file of each of several releases.

    Parameters
    ----------
    programs : sequence of (Program, str)
        A program, and the path in the package that it is held against.
    packages : iterable of (Path, files)
        One release each; named by the last part of the path.

    Notes
    -----
    A peak dates the code, not the weights, and not the act of copying: who took the code may have taken it from
    another who had taken it from that release. A file that a release does not have counts as 0.
    """
    found: list[tuple[str, str, str, float]] = []
    for path, files in packages:
        corpus = corpus_of(
            file for file in files if isinstance(file, Source) and any(file.path == origin for _, origin in programs)
        )
        for program, origin in programs:
            shared = corpus.shared(program)
            held = [
                count for count, other in zip(shared.tolist(), corpus.programs, strict=True) if other.path == origin
            ]
            share = max(held, default=0) / max(len(program.fingerprint.named), 1)
            found.append((program.path, origin, path.name, share))
    peaks = {(path, origin): max(row[3] for row in found if row[:2] == (path, origin)) for path, origin, _, _ in found}
    return tuple(
        Release(
            path=path,
            origin=origin,
            release=name,
            containment=decimal(share, 4),
            is_peak=share == peaks[path, origin] > 0,
        )
        for path, origin, name, share in found
    )
