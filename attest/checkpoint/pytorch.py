"""PyTorch: zip archives of ``torch.save``, read without torch, and without loading a pickle.

The pickle in the archive says where tensors lie among the stored files. It is read as a program that is not run, see
``attest.checkpoint.pickled`` and ``docs/decisions/0011-pytorch.md``.

References
----------
PyTorch 2.13, torch/serialization.py and caffe2/serialize/inline_container.h.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import BinaryIO

from attest.checkpoint.archive import Archive, Entry, check_crc, read_archive
from attest.checkpoint.byte_range import read_range
from attest.checkpoint.format import Contents, ParsedRange
from attest.checkpoint.pickled import MAX_PICKLE, run_pickle
from attest.checkpoint.refused import refuse_file
from attest.checkpoint.torch_tensors import read_tensors
from attest.checkpoint.tree import Tree
from attest.errors import CheckpointError, UnsafeFormatError
from attest.finding import Finding

__all__ = ["read"]

_MAGIC = b"PK\3\4"
_PART = re.compile(r"(?P<folder>(?:.*/)?)(?P<stem>consolidated\.[0-9]{2})\.pth")


def read(tree: Tree, file: str) -> Contents:
    """Contents of one archive.

    Raises
    ------
    CheckpointError
        The archive or its pickle contradicts itself, or is not as torch.save writes it.
    UnsafeFormatError
        It is no such archive, or loading it would call what is not known to make only data.
    """
    with tree.open(file) as stream:
        if read_range(stream, 0, min(len(_MAGIC), tree.sizes[file]), file=file) != _MAGIC:
            refuse_file(tree, file)
        archive = read_archive(stream, file=file, size=tree.sizes[file])
        root = _find_root(archive.entries, file)
        pickle, *parsed = _read_entry(stream, archive, f"{root}/data.pkl", MAX_PICKLE, file)
        if f"{root}/byteorder" in archive.entries:
            order, of_order = _read_entry(stream, archive, f"{root}/byteorder", 16, file)
            parsed.append(of_order)
            if order != b"little":
                raise CheckpointError(
                    "big-endian",
                    f"says that the bytes of its values are in the order {order!r}",
                    fix="save it again on a little-endian machine",
                    where=file,
                )
    part = _part_of(file, tree.sizes)
    folder = f"{root}/data/"
    storages = {name.removeprefix(folder): one for name, one in archive.entries.items() if name.startswith(folder)}
    tensors, findings = read_tensors(run_pickle(pickle, file=file), storages, file=file, prefix=part)
    if part:
        text = "is a part of a model that was cut along its tensors; they were measured in parts"
        findings = (*findings, Finding(code="tensor-parts", path=file, line=None, text=text))
    return Contents(tensors=tensors, parsed=(*archive.parsed, *parsed), findings=findings)


def _read_entry(stream: BinaryIO, archive: Archive, name: str, most: int, file: str) -> tuple[bytes, ParsedRange]:
    entry = archive.entries[name]
    if not 0 < entry.end - entry.begin <= most:
        raise CheckpointError(
            "bad-archive", f"its {name!r} has {entry.end - entry.begin} bytes", fix="ask its author", where=file
        )
    data = bytes(read_range(stream, entry.begin, entry.end - entry.begin, file=file))
    check_crc(data, entry, file=file)
    return data, ParsedRange.of(file, entry.begin, data)


def _find_root(entries: Mapping[str, Entry], file: str) -> str:
    """The folder in the archive that holds everything, as torch.save names it after the file it writes."""
    roots = {name.partition("/")[0] for name in entries}
    root = min(roots, default="")
    if f"{root}/constants.pkl" in entries or any(name.startswith(f"{root}/code/") for name in entries):
        raise UnsafeFormatError(
            "unsafe-format",
            "is a TorchScript archive, which holds code; nothing of it was run",
            fix="load it in a sandbox and save its state_dict as safetensors, or ask its author to",
            where=file,
        )
    if any(one.compressed for one in entries.values()):
        raise CheckpointError(
            "bad-archive", "its zip archive holds compressed files", fix="unpack it and zip it without", where=file
        )
    if len(roots) != 1 or f"{root}/data.pkl" not in entries:
        raise CheckpointError(
            "not-pytorch", "is a zip archive, and not one that torch.save writes", fix="check what it is", where=file
        )
    return root


def _part_of(file: str, files: Collection[str]) -> str:
    """What the names of a part's tensors begin with; empty for a file that is not one of several parts."""
    part = _PART.fullmatch(file)
    parts = [one for one in map(_PART.fullmatch, files) if one and part and one["folder"] == part["folder"]]
    return part["stem"] if part and len(parts) > 1 else ""
