"""OpenSSF Model Signing v1.0: the statement in a ``model.sig``, which other tools write and read.

Its one subject is the SHA-256 over the files' digests in the order in which they are listed. That digest binds no name and no size
(section 6.5.1), so two trees with other names have the same one: the list of resources is what is checked.

References
----------
OpenSSF Model Signing Specification v1.0, sections 5 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from attest.checkpoint.tree import check_path
from attest.document import JSON
from attest.errors import CheckpointError, DocumentError
from attest.statement import DigestSet, Statement, Subject

__all__ = ["MODEL_SIGNATURE_NAME", "OMS_TYPE", "ModelManifest", "SignedFile", "model_statement", "root_digest"]

OMS_TYPE = "https://model_signing/signature/v1.0"
MODEL_SIGNATURE_NAME = "model.sig"
_HEX = re.compile("[0-9a-f]*")
_SHARD = re.compile(r"(.+):(0|[1-9][0-9]{0,14}):([1-9][0-9]{0,14})", re.DOTALL)
_DIGITS: Mapping[str, int] = {"sha256": 64, "blake2b": 128}
"""Digests of the registry that Python computes, and their length in hexadecimal."""
_FAULTS = (KeyError, TypeError, AttributeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedFile:
    """Digests of a file's shards in their order, hexadecimal, and where each ends; one without an end is the whole."""

    digests: tuple[str, ...]
    ends: tuple[int, ...] | None

    @property
    def size(self) -> int | None:
        """Bytes; None where the signature does not say."""
        return self.ends[-1] if self.ends else None


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelManifest:
    """The predicate of a ``model.sig``.

    Parameters
    ----------
    files : mapping of str to SignedFile
        By POSIX path.
    algorithm : str
        Of their digests: ``sha256`` or ``blake2b``.
    root_digest : str
        What the statement's one subject must be: SHA-256 over the digests as they are listed.
    ignored : tuple of str
        Paths that the signer left out. Hostile input: what is under them is not signed.
    """

    files: Mapping[str, SignedFile]
    algorithm: str
    root_digest: str
    ignored: tuple[str, ...]

    @classmethod
    def read(cls, predicate: Mapping[str, Any], *, where: str) -> ModelManifest:
        """Manifest held by a predicate; unknown keys are ignored, as the specification asks.

        Raises
        ------
        DocumentError
            Not of the specification; an unsafe path, or one that is there twice; shards that are not the whole of a
            file; a digest that attest does not compute (BLAKE3).
        """
        try:
            serialization, resources = predicate["serialization"], predicate["resources"]
            method, kind = serialization["method"], serialization["hash_type"]
            ignored = tuple(serialization.get("ignore_paths") or ())
            listed = [(one["name"], one["algorithm"], one["digest"]) for one in resources]
        except _FAULTS as error:
            raise _malformed(f"lacks {error}", where) from error
        if not listed or not all(
            isinstance(text, str) for text in (method, kind, *ignored, *(part for one in listed for part in one))
        ):
            raise _malformed("lists no files, or something else than texts", where)
        if method not in {"files", "shards"} or kind not in _DIGITS:
            reason = f"lists {method!r} by {kind!r}; attest checks files and shards by 'sha256' or 'blake2b'"
            raise DocumentError("unsupported-manifest", reason, fix="verify it with model_signing", where=where)
        shard_size = serialization.get("shard_size") if method == "shards" else 1
        if not isinstance(shard_size, int | float) or shard_size < 1 or shard_size != int(shard_size):
            raise _malformed("lists shards of no size", where)
        shard_size = int(shard_size)  # model_signing writes every number as a float
        expected = kind if method == "files" else f"{kind}-sharded-{shard_size}"
        if any(algorithm != expected for _, algorithm, _ in listed):
            raise _malformed(f"holds a digest that is not by {expected!r}", where)
        digests = [(name, digest) for name, _, digest in listed]
        if any(len(digest) != _DIGITS[kind] or not _HEX.fullmatch(digest) for _, digest in digests):
            raise _malformed(f"holds a digest that is no {kind}", where)
        files = _whole_files(digests, where) if method == "files" else _sharded_files(digests, shard_size, where)
        _refuse_unsafe(files, where)
        return cls(files=files, algorithm=kind, root_digest=root_digest(dict(digests)), ignored=ignored)

    @property
    def size(self) -> int | None:
        """Bytes of all files; None where the signature does not say."""
        sizes = [file.size for file in self.files.values()]
        return None if None in sizes else sum(size or 0 for size in sizes)


def _whole_files(listed: Sequence[tuple[str, str]], where: str) -> Mapping[str, SignedFile]:
    files = {name: SignedFile(digests=(digest,), ends=None) for name, digest in listed}
    if len(files) != len(listed):
        raise _malformed("lists a file twice", where)
    return files


def _sharded_files(listed: Sequence[tuple[str, str]], shard_size: int, where: str) -> Mapping[str, SignedFile]:
    """Files whose shards lie one behind the other from the first byte on, all but the last of the same size."""
    found: dict[str, dict[int, tuple[int, str]]] = {}
    for name, digest in listed:
        shard = _SHARD.fullmatch(name)
        if shard is None or int(shard[2]) in found.get(shard[1], {}):
            raise _malformed(f"{name[:200]!r} is no shard, or is there twice", where)
        found.setdefault(shard[1], {})[int(shard[2])] = (int(shard[3]), digest)
    files = {}
    for path, shards in found.items():
        begins = sorted(shards)
        ends = tuple(shards[begin][0] for begin in begins)
        sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
        if (
            begins != [0, *ends[:-1]]
            or any(size != shard_size for size in sizes[:-1])
            or not 0 < sizes[-1] <= shard_size
        ):
            raise _malformed(f"the shards of {path[:200]!r} leave a gap, overlap, or are of another size", where)
        files[path] = SignedFile(digests=tuple(shards[begin][1] for begin in begins), ends=ends)
    return files


def root_digest(files: Mapping[str, str]) -> str:
    """SHA-256 over the raw digests of files or shards, in the order in which they are listed; it binds no name."""
    return sha256(b"".join(bytes.fromhex(digest) for digest in files.values())).hexdigest()


def model_statement(name: str, files: Mapping[str, str]) -> Statement:
    """Statement about files that ``model_signing verify`` reads.

    Parameters
    ----------
    name : str
        What the checkpoint is called; nothing is checked with it.
    files : mapping of str to str
        SHA-256 by POSIX path: every file of the checkpoint.
    """
    files = {path: files[path] for path in sorted(files)}
    resources = [{"name": path, "algorithm": "sha256", "digest": digest} for path, digest in files.items()]
    serialization: dict[str, JSON] = {
        "method": "files",
        "hash_type": "sha256",
        "allow_symlinks": False,
        "ignore_paths": [MODEL_SIGNATURE_NAME],
    }
    return Statement.build(
        subjects=(Subject(name=name, digest=DigestSet(sha256=root_digest(files))),),
        predicate_type=OMS_TYPE,
        predicate={"serialization": serialization, "resources": resources},
    )


def _refuse_unsafe(paths: Iterable[str], where: str) -> None:
    """Refuse names that lead out, that a system reads in another way, or that two systems read as one."""
    for path in paths:
        try:
            check_path(path)
        except CheckpointError as error:
            raise DocumentError("unsafe-path", error.message, fix=error.fix, where=where) from error
        if path.startswith("/") or ":" in path.split("/")[0] or {"", ".", ".."} & set(path.split("/")):
            message = f"{path[:200]!r} leads out of the checkpoint"
            raise DocumentError("unsafe-path", message, fix="ask its author", where=where)


def _malformed(reason: str, where: str) -> DocumentError:
    return DocumentError("bad-manifest", reason, fix="ask its author for an intact copy", where=where)
