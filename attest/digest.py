"""Digests: SHA-256 over bytes, tensors and trees."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

__all__ = ["CHUNK_SIZE", "git_blob_id", "sha256", "tensor_digest", "tree_digest"]

CHUNK_SIZE = 64 * 1024 * 1024
"""Largest chunk in bytes: what a browser can hash in one call (WebCrypto cannot stream)."""


def sha256(data: bytes | bytearray | memoryview) -> str:
    """SHA-256 of bytes, as 64 lower-case hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def git_blob_id(data: bytes) -> str:
    """Name that git gives to a file's bytes in a repository of SHA-1 ids: to find them there, and to bind nothing."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def tensor_digest(dtype: str, shape: Sequence[int], chunks: Iterable[bytes]) -> str:
    r"""Digest of one tensor's values, equal in every container and sharding.

    Parameters
    ----------
    dtype : str
        Spelled as in safetensors, such as ``BF16``.
    shape : sequence of int
        Row-major.
    chunks : iterable of bytes
        Raw 32-byte SHA-256 digests of the tensor's little-endian row-major bytes, cut every
        ``CHUNK_SIZE`` bytes from the tensor's first byte.

    Returns
    -------
    str
        SHA-256 over ``"attest tensor v1\n" dtype "\n" shape "\n" chunks``, the shape in decimal,
        separated by commas.

    Notes
    -----
    The name is not part of it: a renamed copy has the same digest. Equal values in another dtype do not.
    """
    state = hashlib.sha256(f"attest tensor v1\n{dtype}\n{','.join(map(str, shape))}\n".encode())
    for chunk in chunks:
        state.update(chunk)
    return state.hexdigest()


def tree_digest(files: Iterable[tuple[str, int, str]]) -> str:
    r"""Digest that binds every file's path, size and SHA-256.

    Parameters
    ----------
    files : iterable of (path, size, sha256)
        POSIX paths relative to the checkpoint, sizes in bytes, hexadecimal digests, in any order.

    Returns
    -------
    str
        SHA-256 over ``"attest tree v1\n"`` and one line ``sha256 size path`` a file, sorted by the
        UTF-8 bytes of the path. A path holds no newline (the reader refuses those).
    """
    lines = sorted((path.encode(), size, digest) for path, size, digest in files)
    state = hashlib.sha256(b"attest tree v1\n")
    for path, size, digest in lines:
        state.update(f"{digest} {size} ".encode() + path + b"\n")
    return state.hexdigest()
