"""Where a checkpoint says that it comes from: what tools leave beside the weights, and what its author writes.

All of it is claimed by whoever made the folder. It is quoted and never followed; a SHA-256 among it is held against
the computed one.

References
----------
huggingface_hub, "Download files to a local folder": ``.cache/huggingface/download/<file>.metadata`` holds commit, etag
and time, a line each. "Understand caching": ``models--<org>--<name>/snapshots/<commit>``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from attest.checkpoint import Checkpoint
from attest.checkpoint.byte_range import read_up_to
from attest.checkpoint.tree import DigestClaim, LocalTree, Tree, blobs_beside
from attest.finding import Finding
from attest.licenses import json_declaration, model_card
from attest.licenses.source import Source
from attest.terminal import amount

__all__ = ["PLACE_FINDINGS", "Provenance", "check_claims", "find_provenance"]

PLACE_FINDINGS = frozenset({"hub-cache", "digest-differs"})
"""Codes that tell of the place where the files lie, not of the files: another copy of them may have others."""

_DOWNLOADS = ".cache/huggingface/download/"
_METADATA = ".metadata"
_MAX_METADATA = 1024
_MAX_DOWNLOADS = 1000
_MAX_DOCUMENT = 1024 * 1024
_MAX_FINDINGS = 20
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_DECLARATIONS = {
    "README.md": model_card.detect,
    "config.json": json_declaration.detect,
    "adapter_config.json": json_declaration.detect,
}
_OF_ORIGIN = frozenset({"declared-base-model", "config-name-or-path"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Provenance:
    """Claims about origin: as findings, and those that name a file's SHA-256."""

    findings: tuple[Finding, ...]
    claims: tuple[DigestClaim, ...]


def find_provenance(checkpoint: Checkpoint) -> Provenance:
    """What the files of a checkpoint, and the folder that they lie in, say of its origin.

    Raises
    ------
    CheckpointError, NetworkError
        A file cannot be read.
    """
    tree = checkpoint.tree
    commits: Counter[str] = Counter()
    noted = []
    for file, commit, etag in _downloads(tree):
        commits[commit] += 1
        if _SHA256.fullmatch(etag):
            noted.append(DigestClaim(path=file, sha256=etag, by="the note of its download"))
    downloads = (
        Finding(
            code="hub-download",
            path=".",
            line=None,
            text=f"{amount(count, 'file')} with notes of a download at {commit}",
        )
        for commit, count in commits.most_common(_MAX_FINDINGS)
    )
    return Provenance(
        findings=(*_cache(tree), *downloads, *_declarations(tree)), claims=(*tree.claims, *_blobs(tree), *noted)
    )


def check_claims(claims: tuple[DigestClaim, ...], digests: Mapping[str, str]) -> tuple[Finding, ...]:
    """Findings where a named SHA-256 is not the computed one.

    Parameters
    ----------
    claims : tuple of DigestClaim
    digests : mapping of str to str
        Computed SHA-256 by path.
    """
    differing = [claim for claim in claims if digests.get(claim.path, claim.sha256) != claim.sha256]
    findings = [
        Finding(
            code="digest-differs",
            path=claim.path,
            line=None,
            text=f"{claim.by} names SHA-256 {claim.sha256}, the bytes have {digests[claim.path]}",
        )
        for claim in differing[:_MAX_FINDINGS]
    ]
    if len(differing) > _MAX_FINDINGS:
        text = f"{len(differing) - _MAX_FINDINGS} more of digest-differs"
        findings.append(Finding(code="findings-cut", path=".", line=None, text=text))
    return tuple(findings)


def _cache(tree: Tree) -> Iterator[Finding]:
    if isinstance(tree, LocalTree) and blobs_beside(tree.root) is not None:
        repository = tree.root.parent.parent.name.removeprefix("models--").replace("--", "/", 1)
        text = f"lies in a cache of the Hub as {repository} at commit {tree.root.name}"
        yield Finding(code="hub-cache", path=".", line=None, text=text)


def _blobs(tree: Tree) -> Iterator[DigestClaim]:
    """The names of blobs: SHA-256 for large files, object ids of Git for others."""
    if isinstance(tree, LocalTree) and (blobs := blobs_beside(tree.root)) is not None:
        for path in tree.sizes:
            target = (tree.root / path).resolve()
            if target.parent == blobs and _SHA256.fullmatch(target.name):
                yield DigestClaim(path=path, sha256=target.name, by="its blob in the Hub's cache")


def _downloads(tree: Tree) -> Iterator[tuple[str, str, str]]:
    """File, commit and etag of each note that huggingface_hub left of a download."""
    notes = [path for path in tree.sizes if path.startswith(_DOWNLOADS) and path.endswith(_METADATA)]
    for path in notes[:_MAX_DOWNLOADS]:
        file = path.removeprefix(_DOWNLOADS).removesuffix(_METADATA)
        lines = _read_start(tree, path, _MAX_METADATA).decode("ascii", "replace").split("\n")
        if file in tree.sizes and len(lines) > 1 and _COMMIT.fullmatch(lines[0]):
            yield file, lines[0], lines[1].strip('"')


def _declarations(tree: Tree) -> Iterator[Finding]:
    """Base models and former names, as the scan of a repository finds them."""
    for path, detect in _DECLARATIONS.items():
        if tree.sizes.get(path, _MAX_DOCUMENT) < _MAX_DOCUMENT:
            found = detect(Source.of(path, _read_start(tree, path, _MAX_DOCUMENT)))
            yield from (finding for finding in found if finding.code in _OF_ORIGIN)


def _read_start(tree: Tree, path: str, size: int) -> bytes:
    """The first bytes of a file."""
    with tree.open(path) as stream:
        return read_up_to(stream, size)
