"""Digests of many files at once, every byte of them read."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import BinaryIO, TypeAlias

from attest.checkpoint.tree import Tree, TreeFile
from attest.cores import usable_cores
from attest.errors import CheckpointError

__all__ = ["Progress", "digest_next", "hash_files"]

Progress: TypeAlias = Callable[[int, int], None]
"""Told the bytes read and the bytes to read."""
_Digests: TypeAlias = Callable[[str, BinaryIO, Callable[[int], None]], str]
_BLOCK = 1024 * 1024


def _whole(_path: str, stream: BinaryIO, advance: Callable[[int], None]) -> str:
    return digest_next(stream, sys.maxsize, advance)


def digest_next(stream: BinaryIO, size: int, advance: Callable[[int], None], algorithm: str = "sha256") -> str:
    """Digest of a stream's next bytes, at most ``size`` of them."""
    state = hashlib.new(algorithm)
    done = 0
    while done < size and (block := stream.read(min(size - done, _BLOCK))):
        state.update(block)
        done += len(block)
        advance(len(block))
    return state.hexdigest()


def hash_files(
    tree: Tree, files: Sequence[TreeFile], progress: Progress, digests: _Digests = _whole
) -> tuple[dict[str, str], dict[str, CheckpointError]]:
    """Digest of each file, and the errors of those that could not be read; one thread a file."""
    total, done, lock = sum(file.size for file in files), 0, Lock()

    def advance(size: int) -> None:
        nonlocal done
        with lock:
            done += size
            progress(done, total)

    def digest(file: TreeFile) -> str | CheckpointError:
        try:
            with tree.open(file.path) as stream:
                return digests(file.path, stream, advance)
        except CheckpointError as error:
            return error
        except OSError as error:
            reason = f"cannot be read ({error.strerror})"
            return CheckpointError("cannot-read", reason, fix="check the disk and the permissions", where=file.path)

    with ThreadPoolExecutor(max_workers=usable_cores()) as threads:
        found = dict(zip((file.path for file in files), threads.map(digest, files), strict=True))
    return (
        {path: value for path, value in found.items() if isinstance(value, str)},
        {path: value for path, value in found.items() if isinstance(value, CheckpointError)},
    )
