"""Arrays kept in a file of the user's own, behind a digest that finds what was cut or damaged. Nothing in it is executed."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from attest.atomic import write_atomically
from attest.checkpoint.arrays import pack_arrays, unpack_arrays
from attest.checkpoint.byte_range import read_up_to
from attest.checkpoint.tree import open_file
from attest.errors import AttestError

__all__ = ["read_sealed", "write_sealed"]

_DIGEST = 32


def write_sealed(path: Path, arrays: Mapping[str, NDArray[Any]], *, max_bytes: int) -> None:
    """Write arrays, whole or not at all; nothing where the file would be larger than that."""
    data = pack_arrays(arrays, {})
    if _DIGEST + len(data) <= max_bytes:
        write_atomically(path, sha256(data).digest() + data, force=True, mode=0o600)


def read_sealed(path: Path, *, max_bytes: int) -> dict[str, NDArray[Any]] | None:
    """The arrays of a file; None where there is none, or it is damaged or larger than that."""
    try:
        with open_file(path.parent, path.name) as stream:
            data = read_up_to(stream, max_bytes + 1)
        if sha256(memoryview(data)[_DIGEST:]).digest() != data[:_DIGEST]:
            return None
        return unpack_arrays(data[_DIGEST:], where=path.name)
    except AttestError:
        return None
