"""The small files of a repository that lies on a server: on the Hugging Face Hub, or wherever a checkpoint can lie."""

from __future__ import annotations

from collections.abc import Iterator

from attest.checkpoint.byte_range import read_range
from attest.checkpoint.source import open_tree, shown
from attest.checkpoint.tree import Tree, TreeFile
from attest.errors import InputError
from attest.licenses.readable import HEAD, Skipped, is_binary, limit_of, source_of, weights_of
from attest.licenses.source import Source
from attest.licenses.weight_file import is_weight_file

__all__ = ["read_remote"]

MAX_FILES = 20_000
MAX_BYTES = 2 * 1024 * 1024 * 1024
_MAX_PATH = 512
_MEDIA = frozenset(
    {"png", "jpg", "jpeg", "gif", "webp", "ico", "pdf", "mp3", "mp4", "wav", "flac", "npy", "npz", "parquet", "arrow"}
    | {"bin", "pt", "pth", "ckpt", "h5", "onnx", "pb", "pkl", "so", "gz", "xz", "zip", "tar", "whl", "ttf", "woff2"}
)
"""Suffixes of files that are not asked for: they are binary, and each would cost a request."""


def read_remote(uri: str) -> Iterator[Source | Skipped]:
    """The text files of a repository on a server, and everything else that it lists, in order of path.

    Parameters
    ----------
    uri : str
        ``hf://org/name@revision``, or another URI that a checkpoint can have.

    Raises
    ------
    InputError
        The URI is none, or the files that would be read are too many or too large.
    CheckpointError, NetworkError
        The server does not answer as it must, or lists unsafe names.

    Notes
    -----
    Everything is read at the commit that the revision names at the start. Of weights the header is read alone.
    """
    tree = open_tree(uri)
    wanted = [file for file in tree.files if _reason(file) is None and not is_weight_file(file.path)]
    if len(wanted) > MAX_FILES or sum(file.size for file in wanted) > MAX_BYTES:
        raise InputError(
            "repository-too-large",
            f"lists {len(wanted)} small files of {sum(file.size for file in wanted)} bytes in all, "
            f"over {MAX_FILES} or {MAX_BYTES}",
            fix="download it and scan the folder",
            where=shown(uri),
        )
    for file in tree.files:
        yield _read(tree, file)


def _reason(file: TreeFile) -> Skipped | None:
    """Why a listed file is not asked for."""
    if len(file.path.encode()) > _MAX_PATH:
        return Skipped(path=None, reason="path-too-long")
    if file.path.rpartition(".")[2].casefold() in _MEDIA:
        return Skipped(path=file.path, reason="binary")
    if file.size > limit_of(file.path) and not is_weight_file(file.path):
        return Skipped(path=file.path, reason="too-large")
    return None


def _read(tree: Tree, file: TreeFile) -> Source | Skipped:
    skipped = _reason(file)
    if skipped:
        return skipped
    if not file.size:
        return source_of(file.path, b"")
    with tree.open(file.path) as stream:
        if is_weight_file(file.path):
            return weights_of(file.path, stream, file.size)
        data = bytes(read_range(stream, 0, file.size, file=file.path))
    return Skipped(path=file.path, reason="binary") if is_binary(data[:HEAD]) else source_of(file.path, data)
