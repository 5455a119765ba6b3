"""Which files are read, however they are reached: a folder, a git repository, an archive."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import BinaryIO, Literal, TypeAlias

from attest.finding import Finding
from attest.licenses.encoding import utf16_of
from attest.licenses.license_file import code_of_name
from attest.licenses.source import Source
from attest.licenses.weight_file import declared_in_weights, is_weight_file

__all__ = ["HEAD", "Reason", "Skipped", "is_binary", "is_pointer", "limit_of", "source_of", "weights_of"]

HEAD = 8192
"""Bytes in which a NUL makes a file binary."""

_MAX_FILE = 1024 * 1024
_MAX_LICENSE_FILE = 4 * 1024 * 1024
_POINTER = b"version https://git-lfs.github.com/spec/"

Reason: TypeAlias = Literal[
    "binary",
    "lfs-pointer",
    "link",
    "path-too-long",
    "special-file",
    "submodule",
    "too-large",
    "unprintable-name",
    "unreadable",
    "unsafe-name",
    "version-control-folder",
    "weights",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Skipped:
    """A file, link or folder that was not read as a text.

    ``path`` is None where it cannot be printed, or is not known. ``findings`` are what the header of a weight file says,
    or that a history is incomplete.
    """

    path: str | None
    reason: Reason
    findings: tuple[Finding, ...] = ()


def limit_of(path: str) -> int:
    """Bytes up to which a file is read: 4 MiB where it has the name of a license, else 1 MiB."""
    return _MAX_LICENSE_FILE if code_of_name(path) else _MAX_FILE


def is_binary(head: bytes) -> bool:
    """Whether the first bytes of a file hold a NUL, UTF-16 aside."""
    return b"\0" in head[:HEAD] and utf16_of(head) is None


def is_pointer(head: bytes) -> bool:
    """Whether a file stands for one that git-lfs keeps elsewhere."""
    return head.startswith(_POINTER)


def weights_of(path: str, stream: BinaryIO, size: int) -> Skipped:
    """An open weight file, of which the header alone is read."""
    return Skipped(path=path, reason="weights", findings=declared_in_weights(path, stream, size))


def source_of(path: str, data: bytes) -> Source | Skipped:
    """A file that was read whole, or why it counts as not read."""
    if is_pointer(data):
        return Skipped(path=path, reason="lfs-pointer")
    if is_weight_file(path):
        return weights_of(path, BytesIO(data), len(data))
    if is_binary(data):
        return Skipped(path=path, reason="binary")
    return Source.of(path, data)
