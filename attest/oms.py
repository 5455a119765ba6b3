"""OpenSSF Model Signing v1.0: the statement in a ``model.sig``, which other tools write and read.

Its one subject is the SHA-256 over the files' digests in order of their names. That digest binds no name and no size
(section 6.5.1), so two trees with other names have the same one: the list of resources is what is checked.

References
----------
OpenSSF Model Signing Specification v1.0, sections 5 and 6.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from attest.checkpoint.tree import check_path
from attest.document import JSON
from attest.errors import CheckpointError, DocumentError
from attest.statement import DigestSet, Statement, Subject

__all__ = ["MODEL_SIGNATURE_NAME", "OMS_TYPE", "ModelManifest", "model_statement", "root_digest"]

OMS_TYPE = "https://model_signing/signature/v1.0"
MODEL_SIGNATURE_NAME = "model.sig"
_HEX = re.compile("[0-9a-f]{64}")
_FAULTS = (KeyError, TypeError, AttributeError)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelManifest:
    """The predicate of a ``model.sig``.

    Parameters
    ----------
    files : mapping of str to str
        SHA-256 by POSIX path.
    ignored : tuple of str
        Paths that the signer left out. Hostile input: what is under them is not signed.
    """

    files: Mapping[str, str]
    ignored: tuple[str, ...]

    @classmethod
    def read(cls, predicate: Mapping[str, Any], *, where: str) -> ModelManifest:
        """Manifest held by a predicate; unknown keys are ignored, as the specification asks.

        Raises
        ------
        DocumentError
            Not of the specification; an unsafe path, or one that is there twice; a method or digest that attest
            does not check (shards, BLAKE2b, BLAKE3).
        """
        try:
            serialization, resources = predicate["serialization"], predicate["resources"]
            method, kind = serialization["method"], serialization["hash_type"]
            ignored = tuple(serialization.get("ignore_paths") or ())
            listed = [(one["name"], one["algorithm"], one["digest"]) for one in resources]
        except _FAULTS as error:
            raise _malformed(f"lacks {error}", where) from error
        if not listed or not all(
            isinstance(text, str) for text in (*ignored, *(part for one in listed for part in one))
        ):
            raise _malformed("lists no files, or something else than texts", where)
        if (method, kind) != ("files", "sha256") or any(algorithm != "sha256" for _, algorithm, _ in listed):
            raise DocumentError(
                "unsupported-manifest",
                f"lists {method!r} by {kind!r}; attest checks files by 'sha256'",
                fix="verify it with model_signing",
                where=where,
            )
        files = {name: digest for name, _, digest in listed}
        if len(files) != len(listed):
            raise _malformed("lists a file twice", where)
        if any(not _HEX.fullmatch(digest) for digest in files.values()):
            raise _malformed("holds a digest that is no SHA-256", where)
        _refuse_unsafe(files, where)
        return cls(files=files, ignored=ignored)

    @property
    def root_digest(self) -> str:
        """What the statement's one subject must be."""
        return root_digest(self.files)


def root_digest(files: Mapping[str, str]) -> str:
    """SHA-256 over the raw digests of the files, in order of their names; it binds no name."""
    return sha256(b"".join(bytes.fromhex(files[name]) for name in sorted(files))).hexdigest()


def model_statement(name: str, files: Mapping[str, str]) -> Statement:
    """Statement about files that ``model_signing verify`` reads.

    Parameters
    ----------
    name : str
        What the checkpoint is called; nothing is checked with it.
    files : mapping of str to str
        SHA-256 by POSIX path: every file of the checkpoint.
    """
    resources = [{"name": path, "algorithm": "sha256", "digest": files[path]} for path in sorted(files)]
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
