"""Step 8: the files of a checkpoint, held against the statement."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from attest.attestation_result import AttestationResult
from attest.checkpoint.source import Location
from attest.comparison import Comparison
from attest.coverage import DigestedTree, cover, cover_digests, digest_tree
from attest.document import load, parse
from attest.errors import AttestError, CheckpointError
from attest.evidence import CHUNKS_NAME, ChunkList
from attest.evidence_directory import named_details, read_detail
from attest.hashing import Progress
from attest.oms import ModelManifest
from attest.protocol import Protocol
from attest.repository_scan import RepositoryScan
from attest.statement import Statement
from attest.terminal import amount
from attest.verify.check import Outcome, checked, skipped
from attest.verify.compared import Compared, Held
from attest.verify.content import UNREAD, Content

__all__ = ["check_checkpoint"]

_UNASKED = "No checkpoint file was looked at; give --checkpoint to compare them."
_PAIR_UNASKED = (
    "No checkpoint file was looked at; give --checkpoint to compare those of one side. attest reproduce --a A --b B makes the comparison"
    " again."
)
_IS_SCAN = "It is about a repository; attest reproduce --repo reads that again."
_UNASKED_OF: Mapping[type, str] = {RepositoryScan: _IS_SCAN, Comparison: _PAIR_UNASKED}
_IS_RESULT = "It is about a statement; verify that one with its checkpoint."
_NOT_LEFT_OUT = " Nothing was left out: only of what a model signature is about can it be."
_MAX_CHUNK_LIST = 64 * 1024 * 1024


def check_checkpoint(
    content: Content,
    directory: Path,
    checkpoint: Location | None,
    *,
    left_out: Sequence[str],
    progress: Progress,
) -> Held:
    """Step 8.

    Parameters
    ----------
    content : Content
        What steps 5 to 7 read.
    directory : Path
        Where the bundle lies.
    checkpoint : Path, str or None
    left_out : sequence of str
        What the reader leaves out of a checkpoint that a model signature is about.
    progress : callable
    """
    statement, predicate = content.statement, content.predicate
    if checkpoint is None or statement is None or predicate is None:
        reason = _UNASKED_OF.get(type(predicate), _UNASKED) if checkpoint is None else UNREAD
        return Held(check=skipped("checkpoint", reason), compared=Compared.of(content))
    if isinstance(predicate, AttestationResult | RepositoryScan):
        reason = _IS_SCAN if isinstance(predicate, RepositoryScan) else _IS_RESULT
        return Held(check=skipped("checkpoint", reason), compared=Compared.of(content))
    try:
        if isinstance(predicate, Comparison | Protocol):
            return _check_side(content, predicate, digest_tree(checkpoint, progress=progress))
        if isinstance(predicate, ModelManifest):
            return _check_model(predicate, checkpoint, left_out, progress)
        coverage = cover(predicate.checkpoint, checkpoint, _chunk_list(statement, directory), progress=progress)
    except CheckpointError as error:
        check = checked("checkpoint", "FAILED", "It is not the checkpoint that was measured.", [str(error)])
        return Held(check=check, compared=Compared.of(content))
    outcome: Outcome = "PASSED" if coverage.is_complete else "FAILED"
    message = coverage.sentence + (_NOT_LEFT_OUT if left_out else "")
    check = checked("checkpoint", outcome, message, coverage.problems)
    return Held(check=check, compared=Compared.of_coverage(coverage), coverage=coverage)


def _check_model(manifest: ModelManifest, checkpoint: Location, left_out: Sequence[str], progress: Progress) -> Held:
    """Step 8 for a model signature. What the signer ignored is not signed, so it counts as any other file."""
    coverage = cover_digests(manifest, checkpoint, left_out=left_out, progress=progress)
    ignoring = (
        f" The signer left out: {', '.join(manifest.ignored[:20])}." if manifest.ignored and coverage.extra else ""
    )
    aside = f" You left out {len(coverage.ignored)}." if coverage.ignored else ""
    outcome: Outcome = "PASSED" if coverage.is_complete else "FAILED"
    check = checked("checkpoint", outcome, f"{coverage.sentence}{ignoring}{aside}", coverage.problems)
    return Held(check=check, compared=Compared.of_coverage(coverage), coverage=coverage)


def _chunk_list(statement: Statement, directory: Path) -> ChunkList | None:
    """Chunk digests that the statement binds, if they are at hand and intact."""
    try:
        for detail in named_details(statement):
            if detail.name == CHUNKS_NAME:
                data = read_detail(directory, detail)
                return load(ChunkList, parse(data, where=CHUNKS_NAME, max_bytes=_MAX_CHUNK_LIST), where=CHUNKS_NAME)
    except AttestError:
        return None  # step 7 reports it
    return None


def _check_side(content: Content, predicate: Comparison | Protocol, found: DigestedTree) -> Held:
    """Step 8 for a predicate that names no files: the checkpoint is one of the two sides, or it is not."""
    named = [(name, side.tree_digest) for name, side in (("A", predicate.a), ("B", predicate.b)) if side]
    sides = [name for name, digest in named if digest == found.digest]
    if not sides:
        message = "It is neither of the two sides."
        check = checked("checkpoint", "FAILED", message, treeDigest=found.digest)
        return Held(check=check, compared=Compared.of(content))
    message = f"It is side {' and '.join(sides)}, all {amount(found.files, 'file')} and {found.bytes:,} bytes"
    others = [name for name, _ in named if name not in sides]
    message += f"; nothing was read of side {others[0]}." if others else "."
    compared = Compared.of(content, found.files, found.bytes)
    if not others:
        compared = replace(compared, files_named=found.files, bytes_named=found.bytes)
    return Held(check=checked("checkpoint", "PASSED", message, treeDigest=found.digest), compared=compared)
