"""What the evidence says of a checkpoint that was read: rows, chunks, sizes and tables, from what the sweep collected."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.architecture import Model
from attest.checkpoint import Checkpoint
from attest.checkpoint.agreement import describe_agreement
from attest.checkpoint.arrays import pack_arrays
from attest.digest import tree_digest
from attest.document import canonical
from attest.evidence import (
    CHUNKS_NAME,
    MAX_LISTED_FILES,
    TENSORS_NAME,
    Architecture,
    CheckpointSummary,
    Chunk,
    ChunkList,
    File,
    FileChunks,
    FingerprintSummary,
    RemoteSource,
    TensorList,
    TensorRow,
    TensorSummary,
    detail_name,
)
from attest.finding import Finding
from attest.fingerprint import MOMENTS_ID, Profile, describe, describe_not_finite, describe_quantization
from attest.provenance import Provenance, check_claims
from attest.sweep import ExactSums, Scales, Sweep

__all__ = [
    "list_tensors",
    "make_details",
    "summarize_architecture",
    "summarize_checkpoint",
    "summarize_fingerprints",
    "summarize_tensors",
]

_MAX_UNMAPPED = 100


def list_tensors(model: Model, read: Sweep) -> TensorList:
    """One row a tensor, in the order of the files: its place, what it is for, digests and exact moments."""
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


def make_details(read: Sweep, tensors: TensorList, profiles: Mapping[str, Profile]) -> dict[str, bytes]:
    """Contents of the detail files that every measurement has, by name."""
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
            arrays = {key: _with_one_nan(array) for key, array in profile.arrays.items()}
            details[detail_name(name)] = pack_arrays(arrays, {"fingerprint": name})
    return details


def _with_one_nan(array: NDArray[Any]) -> NDArray[Any]:
    """The array with one quiet NaN for all: which of several a sum gives, the compiler decides."""
    return np.where(np.isnan(array), array.dtype.type(np.nan), array) if array.dtype.kind == "f" else array


def summarize_checkpoint(
    checkpoint: Checkpoint,
    read: Sweep,
    provenance: Provenance,
    *,
    name: str | None,
    findings: tuple[Finding, ...],
) -> CheckpointSummary:
    """The files with their digests, and everything that was found in them or beside them.

    Parameters
    ----------
    checkpoint : Checkpoint
    read : Sweep
    provenance : Provenance
    name : str or None
        What the checkpoint is called; by its own name where None.
    findings : tuple of Finding
        What naming the tensors and running the network found.
    """
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


def summarize_tensors(model: Model, tensors: TensorList) -> TensorSummary:
    """Totals over all tensors, and the first that have no role."""
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


def summarize_fingerprints(profiles: Mapping[str, Profile]) -> tuple[FingerprintSummary, ...]:
    """One summary a fingerprint, the exact moments first: where its values lie, or why there are none."""
    moments = FingerprintSummary(id=MOMENTS_ID, detail=TENSORS_NAME, not_measured=None, table=None)
    return (
        moments,
        *(
            FingerprintSummary(
                id=name,
                detail=detail_name(name) if profile.arrays else None,
                not_measured=profile.not_measured,
                table=profile.table,
            )
            for name, profile in profiles.items()
        ),
    )
