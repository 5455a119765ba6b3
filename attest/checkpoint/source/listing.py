"""A server's list of files, held to the limits of a local folder."""

from __future__ import annotations

from collections.abc import Iterable

from attest.checkpoint.tree import TreeFile, check_path
from attest.errors import CheckpointError

__all__ = ["MAX_LISTED_FILES", "check_listing", "check_relative"]

MAX_LISTED_FILES = 100_000
"""Most files that are taken from a server's list."""

_MAX_SIZE = 2**53


def check_listing(files: Iterable[TreeFile], *, where: str) -> tuple[TreeFile, ...]:
    """Files in the order of their paths.

    Raises
    ------
    CheckpointError
        There is none, or too many; a path is unsafe or occurs twice; a size is none.
    """
    found: dict[str, TreeFile] = {}
    for file in files:
        check_relative(file.path, where=where)
        if type(file.size) is not int or not 0 <= file.size < _MAX_SIZE:
            raise _refuse("bad-listing", f"lists {file.path!r} with the size {str(file.size)[:40]}", where)
        if file.path in found:
            raise _refuse("bad-listing", f"lists {file.path!r} twice", where)
        found[file.path] = file
        if len(found) > MAX_LISTED_FILES:
            raise _refuse("too-many-files", f"lists more than {MAX_LISTED_FILES} files", where)
    if not found:
        raise _refuse("empty-checkpoint", "holds no file", where)
    return tuple(sorted(found.values(), key=lambda file: file.path.encode()))


def check_relative(path: object, *, where: str) -> str:
    """A path that stays below its root and can be signed and shown.

    Raises
    ------
    CheckpointError
    """
    if not isinstance(path, str) or {"", ".", ".."} & set(path.split("/")):
        raise CheckpointError(
            "unsafe-path", f"lists {str(path)[:200]!r}, which leads elsewhere", fix="ask its author", where=where
        )
    check_path(path)
    return path


def _refuse(code: str, message: str, where: str) -> CheckpointError:
    return CheckpointError(code, message, fix="check the address, or ask its author", where=where)
