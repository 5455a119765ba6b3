"""Measuring one checkpoint: one read, all fingerprints, and the statement that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from attest.architecture import Model, place_tensors, read_family_file
from attest.checkpoint import Checkpoint, Tensor, open_checkpoint
from attest.checkpoint.source import Location
from attest.document import dump, timestamp
from attest.errors import InputError
from attest.evidence import EVIDENCE_TYPE, ActivationSummary, Evidence, TensorList
from attest.evidence_directory import describe_detail
from attest.evidence_summary import (
    list_tensors,
    make_details,
    summarize_architecture,
    summarize_checkpoint,
    summarize_fingerprints,
    summarize_tensors,
)
from attest.finding import Finding
from attest.fingerprint import (
    DEEP_FINGERPRINTS,
    FINGERPRINTS,
    Fingerprint,
    collect_exact,
    collect_scales,
    make_accumulators,
)
from attest.journal import Journal, binding
from attest.license_summary import LicenseSummary
from attest.program import environment, this_tool
from attest.provenance import find_provenance
from attest.statement import DigestSet, Statement, Subject
from attest.sweep import Accumulator, Sweep, sweep
from attest.terminal import visible

if TYPE_CHECKING:
    from attest.activation import Options, Prompts

__all__ = ["DOES_NOT_SHOW", "Measurement", "measure"]

Steps: TypeAlias = Callable[[int, int], None]
_MAX_NAME = 200
_JSON = "application/json"
_ARRAYS = "application/vnd.safetensors"

DOES_NOT_SHOW = (
    "Who made the checkpoint, or when: the signer vouches for the measurement, not for the weights' origin.",
    "How the network was trained, or on what.",
    "Whether a license permits what was done; the scan says what the files say.",
    "That the files are safe to load, or that the model works.",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """What was measured, before it is written or signed.

    Parameters
    ----------
    evidence : Evidence
        The predicate.
    details : mapping of str to bytes
        Detail files by name.
    profiles : mapping of str to mapping
        Arrays of every fingerprint by id.
    tensors : TensorList
    resumed : frozenset of str
    read_again : mapping of str to int
        What of the files an earlier run had measured, as ``attest.sweep.Sweep`` has it.
    """

    evidence: Evidence
    details: Mapping[str, bytes]
    profiles: Mapping[str, Mapping[str, NDArray[Any]]]
    tensors: TensorList
    resumed: frozenset[str]
    read_again: Mapping[str, int]

    def statement(self) -> Statement:
        """Statement over every file, and over the tree as a whole under the name ``.``."""
        checkpoint = self.evidence.checkpoint
        files = tuple(Subject(name=file.path, digest=DigestSet(sha256=file.sha256)) for file in checkpoint.files)
        tree = Subject(name=".", digest=DigestSet(sha256=checkpoint.tree_digest))
        return Statement.build(subjects=(*files, tree), predicate_type=EVIDENCE_TYPE, predicate=dump(self.evidence))


def measure(  # noqa: PLR0913 - each is a choice of its own, given by name
    location: Location,
    *,
    base: Location | None = None,
    name: str | None = None,
    repository: Path | None = None,
    prompts: Prompts | None = None,
    run_options: Options | None = None,
    architecture: Path | None = None,
    threads: int | None = None,
    resume: Path | None = None,
    deep: bool = False,
    command: tuple[str, ...] = (),
    now: datetime | None = None,
    progress: Steps = lambda _done, _all: None,
    run_progress: Steps = lambda _done, _all: None,
) -> Measurement:
    """Measure a checkpoint.

    Parameters
    ----------
    location : Path or str
        A folder, a file, or a URI.
    base : Path or str, optional
        What the checkpoint, an adapter, is merged into; the merged weights are measured.
    name : str, optional
        What the evidence calls the checkpoint; the folder's or file's own name by default. A claim.
    repository : Path, optional
        A folder to scan for licenses and notices.
    prompts : Prompts, optional
        Runs the model on them (needs the extra ``torch``).
    run_options : Options, optional
        How it is run; ``attest.activation.DEFAULT_OPTIONS`` by default.
    architecture : Path, optional
        A file of families that name tensors, beside those of attest.
    threads : int, optional
        All cores by default. No measured number depends on it.
    resume : Path, optional
        A folder to keep results in, of files as far as they were read and of a run of the model as far as it got, and
        to take them from after an interruption.
    deep : bool
        Whether to make the fingerprints that cost more, too: ``DEEP_FINGERPRINTS``.
    command : tuple of str
        The command line, recorded as it is.
    now : datetime, optional
        Time of the measurement; this machine's clock by default.
    progress, run_progress : callable
        Told the bytes read, or the steps that the model took, and how many there are.

    Raises
    ------
    AttestError
        The checkpoint, the repository, the prompt set or the file of families cannot be used.
    """
    _check_name(name)
    _check_stored(base, prompts)
    families = read_family_file(architecture) if architecture else None
    checkpoint = open_checkpoint(location) if base is None else _merge(location, base)
    model = place_tensors(checkpoint, given=families)
    details: dict[str, bytes] = {}
    licenses = _scan(repository, details)
    provenance = find_provenance(checkpoint)
    fingerprints = (*FINGERPRINTS, *(make(model) for make in DEEP_FINGERPRINTS if deep))
    ids = [one.id for one in fingerprints]
    journal = Journal(resume, binding(model, this_tool(), environment("numba", "numpy"), ids)) if resume else None
    activations, run_findings = _run(location, prompts, run_options, run_progress, details, journal)
    read = _sweep(model, fingerprints, threads, progress, journal)
    profiles = {one.id: one.profile(model, read.tensors) for one in fingerprints}
    tensors = list_tensors(model, read)
    details |= make_details(read, tensors, profiles)
    checkpoint.tree.check_unchanged()
    evidence = Evidence(
        measured_at=timestamp(now),
        command=command,
        tool=this_tool(),
        environment=environment("numba", "numpy"),
        assurance_level="self-attested",
        checkpoint=summarize_checkpoint(
            checkpoint, read, provenance, name=name, findings=(*model.findings, *run_findings)
        ),
        architecture=summarize_architecture(model),
        tensors=summarize_tensors(model, tensors),
        fingerprints=summarize_fingerprints(profiles),
        activations=activations,
        licenses=licenses,
        details=tuple(
            describe_detail(name, _JSON if name.endswith(".json") else _ARRAYS, data)
            for name, data in sorted(details.items())
        ),
        does_not_show=DOES_NOT_SHOW,
    )
    return Measurement(
        evidence=evidence,
        details=details,
        profiles={name: profile.arrays for name, profile in profiles.items()},
        tensors=tensors,
        resumed=read.resumed,
        read_again=read.read_again,
    )


def _merge(adapter: Location, base: Location) -> Checkpoint:
    from attest.checkpoint.merged import merge_adapter  # noqa: PLC0415 - imported only where it is asked for

    return merge_adapter(adapter, base)


def _check_stored(base: Location | None, prompts: Prompts | None) -> None:
    if prompts is not None and base is not None:
        raise InputError("merged-not-run", "a merge is not stored, so it cannot be run", fix="leave --activations out")


def _check_name(name: str | None) -> None:
    if name is not None and not (0 < len(name) <= _MAX_NAME and visible(name) == name):
        raise InputError(
            "unsafe-name",
            f"the name {name[:_MAX_NAME]!r} is empty, longer than {_MAX_NAME} characters, or not printable",
            fix="give a short printable name",
        )


def _sweep(
    model: Model,
    fingerprints: Sequence[Fingerprint],
    threads: int | None,
    progress: Steps,
    journal: Journal | None,
) -> Sweep:
    placed = {one.tensor.name: one for one in model.tensors}
    total = sum(file.size for file in model.checkpoint.tree.files)
    done = 0

    def accumulators(tensor: Tensor) -> dict[str, Accumulator]:
        makers = {**collect_exact(tensor), **collect_scales(tensor)}
        for fingerprint in fingerprints:
            makers |= fingerprint.collect(model, placed[tensor.name])
        return make_accumulators(makers, model.checkpoint.read_bits)

    def advance(size: int) -> None:
        nonlocal done
        done += size
        progress(done, total)

    ahead = {path: digest for one in fingerprints for path, digest in one.documents.items()}
    checkpoint = replace(model.checkpoint, documents={**model.checkpoint.documents, **ahead})
    return sweep(checkpoint, accumulators, threads=threads, progress=advance, kept=journal)


def _scan(repository: Path | None, details: dict[str, bytes]) -> LicenseSummary | None:
    if repository is None:
        return None
    from attest.licenses.scan import scan  # noqa: PLC0415 - imported only where it is asked for
    from attest.licenses.summary import summarize  # noqa: PLC0415 - imported only where it is asked for

    summary, data = summarize(scan(repository))
    details[summary.detail] = data
    return summary


def _run(
    location: Location,
    prompts: Prompts | None,
    options: Options | None,
    progress: Steps,
    details: dict[str, bytes],
    journal: Journal | None,
) -> tuple[ActivationSummary | None, tuple[Finding, ...]]:
    if prompts is None:
        return None, ()
    from attest.activation import DEFAULT_OPTIONS, measure_activations  # noqa: PLC0415 - imported only to run a model

    snapshot = journal.place("run") if journal else None
    activations = measure_activations(
        location, prompts, options=options or DEFAULT_OPTIONS, progress=progress, snapshot=snapshot
    )
    details |= activations.details
    return activations.summary, activations.findings
