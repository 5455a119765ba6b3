"""What a comparison reads of each side: its fingerprints, from evidence or measured now, and the weights themselves."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from attest.architecture import FamilyFile, Model, place_tensors
from attest.checkpoint import open_checkpoint
from attest.checkpoint.source import Location
from attest.compare.fingerprints import Fingerprints, holds_evidence, read_fingerprints
from attest.errors import InputError
from attest.measure import Steps, measure

if TYPE_CHECKING:
    from attest.activation import Prompts

__all__ = ["read_side", "read_weights"]


def read_side(
    location: Location,
    *,
    deep: bool = False,
    prompts: Prompts | None = None,
    architecture: Path | None = None,
    threads: int | None = None,
    progress: Steps = lambda _done, _all: None,
    run_progress: Steps = lambda _done, _all: None,
) -> Fingerprints:
    """Fingerprints of one side: those of evidence as they are, those of a checkpoint measured now.

    Parameters
    ----------
    location : Path or str
        A checkpoint, here or at a URI, an evidence directory, or a bundle with its files beside it.
    deep, prompts, architecture, threads, progress, run_progress
        As ``attest.measure.measure`` takes them; evidence stays as it is.

    Raises
    ------
    AttestError
        The evidence cannot be read, or the checkpoint not be measured.
    """
    if isinstance(location, Path) and holds_evidence(location):
        return read_fingerprints(location)
    measured = measure(
        location,
        deep=deep,
        prompts=prompts,
        architecture=architecture,
        threads=threads,
        progress=progress,
        run_progress=run_progress,
    )
    return Fingerprints.of(measured.evidence, measured.tensors, measured.profiles, None, measured.details)


def read_weights(location: Location, families: FamilyFile | None = None) -> Model:
    """The checkpoint itself, which must be there, with its tensors in place by these families, too.

    Raises
    ------
    InputError
        Evidence is there instead (``no-weights``).
    CheckpointError
        The checkpoint cannot be opened.
    """
    if holds_evidence(location):
        raise InputError(
            "no-weights",
            "is evidence: it holds fingerprints, and --weights compares the weights",
            fix="give the checkpoint, or leave --weights out",
            where=str(location),
        )
    return place_tensors(open_checkpoint(location), given=families)
