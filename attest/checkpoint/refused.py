"""Files that are hashed and not loaded: what their readers would run, and what to do instead."""

from __future__ import annotations

from typing import NoReturn

from attest.checkpoint.byte_range import read_up_to
from attest.checkpoint.tree import Tree
from attest.errors import UnknownFormatError, UnsafeFormatError

__all__ = ["describe_unread", "refuse_file", "refuse_unread"]

_LISTED = 1024 * 1024
"""Bytes from the beginning of a pickle in which globals are looked for."""

_MAX_NAMED = 5

_TORCH = (".bin", ".pt", ".pth", ".ckpt")
_KINDS = (
    ((".distcp", "/.metadata"), "is part of a distributed checkpoint of torch, whose .metadata is a pickle"),
    ((".pkl", ".pickle", ".joblib"), "is a pickle, which can run code when it is loaded"),
    ((".nemo",), "is a tar archive of pickles, which can run code when they are loaded"),
    ((".jit",), "is a TorchScript archive, which holds code"),
    ((".mar",), "is an archive for TorchServe, which holds code"),
    ((".keras", ".h5", ".hdf5"), "is a Keras model, which can hold layers that are code"),
)
_PICKLES = ("/.metadata", ".pkl", ".pickle", ".joblib", *_TORCH)
_UNREAD = (*_TORCH, *(suffix for suffixes, _ in _KINDS for suffix in suffixes))

_FIX = "load it in a sandbox and save its tensors as safetensors, or ask its author to"


def describe_unread(tree: Tree, file: str) -> str | None:
    """Why a file is not loaded, and the first functions and classes that it names; None where it is no such file."""
    name = "/" + file.lower()
    what = next((what for suffixes, what in _KINDS if name.endswith(suffixes)), None)
    if not name.endswith(_PICKLES):
        return what
    with tree.open(file) as stream:
        head = read_up_to(stream, _LISTED)
    if name.endswith(_TORCH):
        what = _describe_torch(head)
    from attest.checkpoint.pickled import list_globals  # noqa: PLC0415 - few checkpoints have a pickle

    names = list(dict.fromkeys(str(one) for one in list_globals(head)))
    more = f" and {len(names) - _MAX_NAMED} more" if len(names) > _MAX_NAMED else ""
    return f"{what}; it names {', '.join(names[:_MAX_NAMED])}{more}" if names else what


def _describe_torch(head: bytes) -> str:
    if head.startswith(b"PK\3\4"):
        return "is a zip archive whose loading can run code; it was not opened"
    if head[257:262] == b"ustar":
        return "is a tar archive of pickles, as torch wrote it before 0.1.10, which can run code when they are loaded"
    if head.startswith(b"\x80"):
        return "is a plain pickle, as torch wrote it before 1.6, which can run code when it is loaded"
    return "is not a zip archive as torch.save writes it, and its readers can run code"


def refuse_file(tree: Tree, file: str) -> NoReturn:
    """Refuse a file that was asked for and is not loaded.

    Raises
    ------
    UnsafeFormatError
    """
    what = describe_unread(tree, file) or "is in a format whose readers can run code"
    raise UnsafeFormatError("unsafe-format", f"{what}; nothing of it was run", fix=_FIX, where=file)


def refuse_unread(tree: Tree, *, where: str) -> NoReturn:
    """Refuse a checkpoint that holds no weights in a format that is read.

    Raises
    ------
    UnsafeFormatError
        It holds files whose readers can run code.
    UnknownFormatError
        It does not.
    """
    for file in tree.sizes:
        if f"/{file.lower()}".endswith(_UNREAD):
            refuse_file(tree, file)
    raise UnknownFormatError(
        "unknown-format",
        "holds no weights in a format that attest reads",
        fix="give safetensors files, or others of docs/formats",
        where=where,
    )
