"""Measuring one checkpoint: one read, all fingerprints, and the statement that says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from numpy.typing import NDArray

from attest.architecture import Model, place_tensors, read_family_file
from attest.checkpoint import Checkpoint, Tensor, open_checkpoint
from attest.checkpoint.agreement import describe_agreement
from attest.checkpoint.arrays import pack_arrays
from attest.checkpoint.source import Location
from attest.digest import tree_digest
from attest.document import canonical, dump, timestamp
from attest.errors import InputError
from attest.evidence import (
    CHUNKS_NAME,
    EVIDENCE_TYPE,
    TENSORS_NAME,
    ActivationSummary,
    Architecture,
    CheckpointSummary,
    Chunk,
    ChunkList,
    Evidence,
    File,
    FileChunks,
    FingerprintSummary,
    RemoteSource,
    TensorList,
    TensorRow,
    TensorSummary,
)
from attest.evidence_directory import describe_detail
from attest.finding import Finding
from attest.fingerprint import (
    DEEP_FINGERPRINTS,
    FINGERPRINTS,
    MOMENTS_ID,
    Fingerprint,
    Profile,
    collect_exact,
    collect_scales,
    describe,
    describe_not_finite,
    describe_quantization,
    make_accumulators,
)
from attest.journal import Journal, binding
from attest.license_summary import LicenseSummary
from attest.program import environment, this_tool
from attest.provenance import Provenance, check_claims, find_provenance
from attest.statement import DigestSet, Statement, Subject
from attest.sweep import Accumulator, ExactSums, Scales, Sweep, sweep
from attest.terminal import visible

if TYPE_CHECKING:
    from attest.activation import Options, Prompts

__all__ = ["DOES_NOT_SHOW", "MAX_LISTED_FILES", "Measurement", "measure", "summarize_architecture"]

MAX_LISTED_FILES = 1000
"""Files that a statement lists one by one; beyond that it lists the weight files, and the tree digest binds all."""

Steps: TypeAlias = Callable[[int, int], None]
_MAX_UNMAPPED = 100
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
    tensors = _tensor_list(model, read)
    details |= _details(read, tensors, profiles)
    checkpoint.tree.check_unchanged()
    evidence = Evidence(
        measured_at=timestamp(now),
        command=command,
        tool=this_tool(),
        environment=environment("numba", "numpy"),
        assurance_level="self-attested",
        checkpoint=_summarize_checkpoint(
            checkpoint, read, provenance, name=name, findings=(*model.findings, *run_findings)
        ),
        architecture=summarize_architecture(model),
        tensors=_summarize_tensors(model, tensors),
        fingerprints=_summarize_fingerprints(profiles),
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


def _tensor_list(model: Model, read: Sweep) -> TensorList:
    rows = []
    for placed in model.tensors:
        tensor, result = placed.tensor, read.tensors[placed.tensor.name]
        sums, scales = result.collected.get("exact"), result.collected.get("scales")
        rows.append(
            TensorRow(
                name=tensor.name,
                file=tensor.file,
                begin=tensor.begin,
                end=tensor.end,
                dtype=tensor.dtype,
                shape=tensor.shape,
                digest=result.digest,
                role=placed.role,
                layer=placed.layer,
                expert=placed.expert,
                multiset=sums.multiset if isinstance(sums, ExactSums) else None,
                moments=describe(sums) if isinstance(sums, ExactSums) else None,
                quantization=describe_quantization(scales, sums) if isinstance(scales, Scales) else None,
            )
        )
    return TensorList(tensors=tuple(rows))


def _details(read: Sweep, tensors: TensorList, profiles: Mapping[str, Profile]) -> dict[str, bytes]:
    """Contents of the detail files that every measurement has."""
    chunks = ChunkList(
        files=tuple(
            FileChunks(
                path=file.path,
                chunks=tuple(
                    Chunk(begin=chunk.begin, size=chunk.size, sha256=chunk.digest.hex(), tensor=chunk.tensor)
                    for chunk in file.chunks
                ),
            )
            for file in read.files
        )
    )
    details = {CHUNKS_NAME: canonical(chunks), TENSORS_NAME: canonical(tensors)}
    for name, profile in profiles.items():
        if profile.arrays:
            details[_detail_name(name)] = pack_arrays(profile.arrays, {"fingerprint": name})
    return details


def _detail_name(fingerprint: str) -> str:
    return f"detail/{fingerprint.replace('/', '.')}.safetensors"


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


def _summarize_checkpoint(
    checkpoint: Checkpoint,
    read: Sweep,
    provenance: Provenance,
    *,
    name: str | None,
    findings: tuple[Finding, ...],
) -> CheckpointSummary:
    files, origin = read.files, checkpoint.tree.origin
    asserted = {claim.path: claim.sha256 for claim in checkpoint.tree.claims}
    if len(files) > MAX_LISTED_FILES:
        files = tuple(file for file in files if file.path in checkpoint.layouts)[:MAX_LISTED_FILES]
    return CheckpointSummary(
        name=name or checkpoint.name,
        source=RemoteSource(uri=origin.uri, revision=origin.revision, commit=origin.commit) if origin else None,
        format=checkpoint.format,
        files=tuple(
            File(
                path=file.path,
                size=file.size,
                sha256=file.sha256,
                basis="resumed" if file.path in read.resumed else "computed",
                server_sha256=asserted.get(file.path),
            )
            for file in files
        ),
        file_count=len(read.files),
        bytes=sum(file.size for file in read.files),
        tree_digest=tree_digest((file.path, file.size, file.sha256) for file in read.files),
        ignored=checkpoint.tree.ignored,
        findings=(
            *checkpoint.findings,
            *provenance.findings,
            *check_claims(provenance.claims, {file.path: file.sha256 for file in read.files}),
            *checkpoint.tree.describe(),
            *describe_not_finite(checkpoint.packed.values(), read.tensors),
            *describe_agreement(checkpoint, {name: one.digest for name, one in read.tensors.items()}, read.beside),
            *findings,
        ),
    )


def summarize_architecture(model: Model) -> Architecture:
    """What the evidence says of a model's sizes."""
    return Architecture(
        family=model.family.id if model.family else None,
        layers=model.n_layers,
        d_model=model.d_model,
        d_ff=model.d_ff,
        heads=model.n_heads,
        kv_heads=model.n_kv_heads,
        d_head=model.d_head,
        positions=model.positions,
    )


def _summarize_tensors(model: Model, tensors: TensorList) -> TensorSummary:
    unmapped = [one.tensor.name for one in model.tensors if one.role is None]
    moments = [row.moments for row in tensors.tensors if row.moments]
    return TensorSummary(
        count=len(model.tensors),
        parameters=model.checkpoint.n_parameters,
        dtypes=dict(sorted(Counter(one.tensor.dtype for one in model.tensors).items())),
        unmapped_count=len(unmapped),
        unmapped=tuple(unmapped[:_MAX_UNMAPPED]),
        non_finite=sum(one.nans + one.infinities for one in moments),
    )


def _summarize_fingerprints(profiles: Mapping[str, Profile]) -> tuple[FingerprintSummary, ...]:
    moments = FingerprintSummary(id=MOMENTS_ID, detail=TENSORS_NAME, not_measured=None, table=None)
    return (
        moments,
        *(
            FingerprintSummary(
                id=name,
                detail=_detail_name(name) if profile.arrays else None,
                not_measured=profile.not_measured,
                table=profile.table,
            )
            for name, profile in profiles.items()
        ),
    )
