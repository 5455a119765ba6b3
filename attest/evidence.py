"""The evidence predicate: what was measured of one checkpoint, and the tables of its detail files.

The schema is ``schemas/evidence.v1.schema.json``; its page is ``schemas/evidence.v1.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from attest.document import Count, Limits, Timestamp, record
from attest.finding import Finding
from attest.license_summary import LicenseSummary
from attest.statement import Sha256

__all__ = [
    "CHUNKS_NAME",
    "EVIDENCE_TYPE",
    "MAX_LISTED_FILES",
    "TENSORS_NAME",
    "ActivationSummary",
    "Architecture",
    "CheckpointSummary",
    "Chunk",
    "ChunkList",
    "Detail",
    "Environment",
    "Evidence",
    "File",
    "FileChunks",
    "FingerprintSummary",
    "Moments",
    "Quantization",
    "RemoteSource",
    "Table",
    "TensorList",
    "TensorRow",
    "TensorSummary",
    "Tool",
    "detail_name",
]

EVIDENCE_TYPE = "https://attest/evidence/v1"
"""Identifier of the predicate; it names a meaning and is never fetched."""

CHUNKS_NAME = "detail/chunks.json"
TENSORS_NAME = "detail/tensors.json"

MAX_LISTED_FILES = 1000
"""Files that a statement lists one by one; beyond that it lists the weight files, and the tree digest binds all."""


def detail_name(fingerprint: str) -> str:
    """Name of the detail file that holds the arrays of a fingerprint."""
    return f"detail/{fingerprint.replace('/', '.')}.safetensors"


@record
class Table:
    """Numbers as they are signed and shown: one string a cell, no rounding left to do."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@record
class Detail:
    """A file beside the statement, bound by its digest."""

    name: str
    media_type: str
    size: Count
    sha256: Sha256


@record
class File:
    """One file of the checkpoint: POSIX path, size in bytes, SHA-256 of the whole.

    ``sha256`` was computed over every byte; ``basis`` is ``resumed`` where an earlier run, which was interrupted, gave
    results of the file or of a part of it. ``server_sha256`` is what the server names, a claim; null where it names none.
    """

    path: str
    size: Count
    sha256: Sha256
    basis: Literal["computed", "resumed"]
    server_sha256: Sha256 | None


@record
class RemoteSource:
    """Where a checkpoint was read from, if not from this machine.

    ``revision`` is what was asked for, ``commit`` what the server resolved it to; null where there is none.
    """

    uri: str
    revision: str | None
    commit: Annotated[str, Limits(pattern="^[0-9a-f]{40}$")] | None


@record
class CheckpointSummary:
    """The files that were read, every byte of them.

    ``files`` lists all files up to 1,000, beyond that the weight files only; ``file_count`` and ``bytes`` always
    count all. ``source`` is null for files of the measuring machine. ``ignored`` names what was left out (version control folders).
    """

    name: str
    source: RemoteSource | None
    format: str
    files: tuple[File, ...]
    file_count: Count
    bytes: Count
    tree_digest: Sha256
    ignored: tuple[str, ...]
    findings: tuple[Finding, ...]


@record
class TensorSummary:
    """Totals over all tensors; the table itself is ``detail/tensors.json``.

    ``unmapped`` names up to 100 tensors that have no role; ``non_finite`` counts NaN and infinities.
    """

    count: Count
    parameters: Count
    dtypes: Mapping[str, int]
    unmapped_count: Count
    unmapped: tuple[str, ...]
    non_finite: Count


@record
class Architecture:
    """Sizes read off the tensors' shapes and the configuration; null where neither tells.

    ``positions`` says how the network knows the order of tokens. Other ways than ``learned`` and ``rotary`` may
    single out residual dimensions (absolute sinusoids) or heads (ALiBi), and what is singled out cannot be exchanged.
    """

    family: str | None
    layers: Count
    d_model: int | None
    d_ff: int | None
    heads: int | None
    kv_heads: int | None
    d_head: int | None
    positions: Literal["learned", "rotary", "unknown"]


@record
class FingerprintSummary:
    """One fingerprint: where its arrays lie, and a table of them a person can read."""

    id: str
    detail: str | None
    not_measured: str | None
    table: Table | None


@record
class ActivationSummary:
    """What the network did on a fixed prompt set, and how exactly another machine must agree.

    ``tolerance`` is relative: two runs agree when every value differs by at most that share of it. ``id``, ``table``
    and ``detail`` are of the profile of the residual stream; ``fingerprints`` are the others of the same run.
    """

    id: str
    prompt_set: str
    prompt_set_sha256: Sha256
    sequences: Count
    tokens: Count
    token_ids_sha256: Sha256
    dtype: str
    device: str
    threads: Count
    seed: Count
    versions: Mapping[str, str]
    tolerance: str
    table: Table
    detail: str
    fingerprints: tuple[FingerprintSummary, ...]


@record
class Environment:
    """Where it was measured: an allow-list without names of users, hosts or folders."""

    python: str
    system: str
    machine: str
    packages: Mapping[str, str]


@record
class Tool:
    """The program that measured. ``source_sha256`` digests its own Python files and tables (``.py``, ``.toml``)."""

    name: str
    version: str
    source_sha256: Sha256


@record
class Evidence:
    """What one run of ``attest measure`` measured.

    ``measured_at`` is the measuring machine's own clock, so a claim, not a trusted time.
    """

    measured_at: Timestamp
    command: tuple[str, ...]
    tool: Tool
    environment: Environment
    assurance_level: Literal["self-attested"]
    checkpoint: CheckpointSummary
    architecture: Architecture
    tensors: TensorSummary
    fingerprints: tuple[FingerprintSummary, ...]
    activations: ActivationSummary | None
    licenses: LicenseSummary | None
    details: tuple[Detail, ...]
    does_not_show: tuple[str, ...]


@record
class Chunk:
    """A run of a file's bytes. ``tensor`` names the tensor it belongs to, if any."""

    begin: Count
    size: Count
    sha256: Sha256
    tensor: str | None


@record
class FileChunks:
    """The chunks of one file, in order and without a gap."""

    path: str
    chunks: tuple[Chunk, ...]


@record
class ChunkList:
    """What ``detail/chunks.json`` holds: a damaged byte is named by file, chunk and tensor."""

    files: tuple[FileChunks, ...]


@record
class Moments:
    """Exact moments of one tensor's finite values, rounded once when they are written.

    ``minimum`` and ``maximum`` are null for a tensor without finite values. ``skewness``, ``excess_kurtosis``,
    ``quantiles`` (0.001, 0.01, 0.25, 0.5, 0.75, 0.99, 0.999) and ``distinct`` need a histogram of all values and are null for
    32-bit dtypes; skewness and kurtosis also for a constant tensor.
    """

    n: Count
    mean: str
    std: str
    skewness: str | None
    excess_kurtosis: str | None
    minimum: str | None
    maximum: str | None
    zeros: Count
    nans: Count
    infinities: Count
    quantiles: tuple[str, ...] | None
    distinct: int | None


@record
class Quantization:
    """How a quantized tensor is written: its codes and its scales, each counted as it is.

    ``codes`` counts the occurrences of every level, the least first; null for types whose codes are not counted.
    ``minima`` is null for types without.
    """

    codes: tuple[Count, ...] | None
    scales: Moments
    minima: Moments | None


@record
class TensorRow:
    """One tensor. ``moments`` is null for dtypes that are digested only, ``multiset`` where values were not counted.

    ``quantization`` is null for all dtypes but ggml's.
    """

    name: str
    file: str
    begin: Count
    end: Count
    dtype: str
    shape: tuple[int, ...]
    digest: Sha256
    role: str | None
    layer: int | None
    expert: int | None
    multiset: Sha256 | None
    moments: Moments | None
    quantization: Quantization | None


@record
class TensorList:
    """What ``detail/tensors.json`` holds, in order of name."""

    tensors: tuple[TensorRow, ...]
