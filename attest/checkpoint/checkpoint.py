"""A checkpoint: its files, and the tensors in those that hold weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.safetensors import Header, Tensor, read_header
from attest.checkpoint.tree import Tree, open_file, read_tree
from attest.digest import sha256
from attest.document import parse
from attest.errors import CheckpointError, DocumentError, UnknownFormatError, UnsafeFormatError
from attest.finding import Finding

__all__ = ["BITS", "MAX_FINDINGS", "Checkpoint", "open_checkpoint"]

MAX_FINDINGS = 20
"""Findings of one code that are listed; the others are counted."""

_CONFIG = "config.json"
_ONE_FILE = "model.safetensors"
_CONFIG_BYTES = 4 * 1024 * 1024
_INDEX_BYTES = 32 * 1024 * 1024
_INDEX_SUFFIX = ".safetensors.index.json"
_CAN_RUN_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".mar", ".nemo", ".keras", ".h5")

BITS: Mapping[str, str] = {
    "BOOL": "u1", "U8": "u1", "I8": "i1", "I16": "<i2", "U16": "<u2", "F16": "<f2", "BF16": "<u2", "I32": "<i4",
    "U32": "<u4", "F32": "<f4", "C64": "<c8", "I64": "<i8", "U64": "<u8", "F64": "<f8", "F8_E4M3": "u1",
    "F8_E5M2": "u1", "F8_E8M0": "u1", "F8_E4M3FNUZ": "u1", "F8_E5M2FNUZ": "u1",
}  # fmt: skip
"""NumPy dtype that holds a value's bits; BF16 and the 8-bit floats have none of their own and come as codes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """Files and tensors of one checkpoint; nothing but headers and the configuration has been read.

    Parameters
    ----------
    name : str
        The folder's or file's own name.
    tree : Tree
        All files.
    format : str
        ``safetensors``.
    headers : mapping of str to Header
        The weight files' headers, by path.
    tensors : tuple of Tensor
        All tensors, in order of name.
    config : dict
        ``config.json``, empty where there is none. Written by the checkpoint's author: a claim.
    documents : mapping of str to str
        SHA-256 of the configuration and the index as they were parsed, by path: later reads must see the same.
    findings : tuple of Finding
        What a reader should know about the files.
    """

    name: str
    tree: Tree
    format: str
    headers: Mapping[str, Header]
    tensors: tuple[Tensor, ...]
    config: Mapping[str, Any]
    documents: Mapping[str, str]
    findings: tuple[Finding, ...]

    def read_bits(self, tensor: Tensor) -> NDArray[Any]:
        """Values of one tensor as an array of its shape, in the dtype of ``BITS``.

        Raises
        ------
        CheckpointError
            The dtype has no whole bytes, or the file changed.
        """
        if tensor.dtype not in BITS:
            raise CheckpointError(
                "unknown-dtype", f"values of dtype {tensor.dtype} are not read", fix="convert it", where=tensor.file
            )
        with open_file(self.tree.root, tensor.file) as stream:
            stream.seek(tensor.begin)
            data = bytearray(tensor.end - tensor.begin)
            view, done = memoryview(data), 0
            while done < len(data):
                count = stream.readinto(view[done:])  # type: ignore[attr-defined]
                if not count:
                    raise CheckpointError(
                        "truncated-file", "ended while it was read", fix="download it again", where=tensor.file
                    )
                done += count
        return np.frombuffer(data, dtype=BITS[tensor.dtype]).reshape(tensor.shape)


def open_checkpoint(path: Path) -> Checkpoint:
    """Checkpoint in a folder or a single safetensors file.

    Raises
    ------
    CheckpointError
        A file or header cannot be trusted to mean one thing; a shard that the index names is missing; a tensor
        occurs twice.
    UnsafeFormatError
        All weights are in files whose readers can run code; none was opened.
    UnknownFormatError
        There are no weights that are known.
    """
    tree = read_tree(path)
    sizes = {file.path: file.size for file in tree.files}
    findings: list[Finding] = []
    documents: dict[str, str] = {}
    config = _read_config(tree, sizes, documents, findings)
    index = _read_index(tree, sizes, documents)
    weights = _choose_weights(sizes, index, where=str(path))
    headers = {}
    for file in weights:
        with open_file(tree.root, file) as stream:
            headers[file] = read_header(stream, file=file, size=sizes[file])
    tensors = _collect(headers)
    findings += _compare_with_index(tensors, index)
    findings += [
        Finding(code="file-metadata", path=file, line=None, text=f"{key}: {value}"[:500])
        for file, header in headers.items()
        for key, value in header.metadata.items()
    ]
    findings += [
        Finding(code=code, path=file, line=None, text=text)
        for file in sizes
        if file not in headers
        for code, text in _judge_other_file(file)
    ]
    return Checkpoint(
        name=path.resolve().name,
        tree=tree,
        format="safetensors",
        headers=headers,
        tensors=tensors,
        config=config,
        documents=documents,
        findings=_cut(findings),
    )


def _cut(findings: list[Finding]) -> tuple[Finding, ...]:
    """The first findings of every code, and one that counts the others: a statement holds them all."""
    kept: list[Finding] = []
    counts = Counter[str]()
    for finding in findings:
        counts[finding.code] += 1
        if counts[finding.code] <= MAX_FINDINGS:
            kept.append(finding)
    for code, count in counts.items():
        if count > MAX_FINDINGS:
            text = f"{count - MAX_FINDINGS} more of {code}"
            kept.append(Finding(code="findings-cut", path=".", line=None, text=text))
    return tuple(kept)


def _judge_other_file(file: str) -> list[tuple[str, str]]:
    if file.lower().endswith(_CAN_RUN_CODE):
        return [("unsafe-file", "its readers can run code; it was hashed and not opened")]
    if file.lower().endswith((".safetensors", ".gguf", ".onnx")):
        return [("weights-not-measured", "was hashed; its tensors were not measured beside the main weights")]
    return []


def _read_document(tree: Tree, file: str, max_bytes: int, documents: dict[str, str]) -> Any:
    """Value of a JSON file of the checkpoint, whose digest is noted in ``documents``."""
    with open_file(tree.root, file) as stream:
        data = stream.read(max_bytes + 1)
    documents[file] = sha256(data)
    return parse(data, where=file, max_bytes=max_bytes)


def _read_config(
    tree: Tree, sizes: Mapping[str, int], documents: dict[str, str], findings: list[Finding]
) -> Mapping[str, Any]:
    if _CONFIG not in sizes:
        return {}
    problem = "not a JSON object"
    try:
        value = _read_document(tree, _CONFIG, _CONFIG_BYTES, documents)
    except DocumentError as error:
        del documents[_CONFIG]
        value, problem = None, error.message[:500]
    if isinstance(value, dict):
        return value
    findings.append(Finding(code="config-unreadable", path=_CONFIG, line=None, text=problem))
    return {}


def _read_index(tree: Tree, sizes: Mapping[str, int], documents: dict[str, str]) -> Mapping[str, str] | None:
    """Tensor name to file, from the index beside the shards; None where no index counts.

    Beside a ``model.safetensors`` none does, since what loads checkpoints takes that file.
    """
    indexes = [file for file in sizes if file.endswith(_INDEX_SUFFIX) and "/" not in file]
    if not indexes or _ONE_FILE in sizes:
        return None
    file = f"model{_INDEX_SUFFIX}" if f"model{_INDEX_SUFFIX}" in indexes else indexes[0]
    value = _read_document(tree, file, _INDEX_BYTES, documents)
    weight_map = value.get("weight_map") if isinstance(value, dict) else None
    if (
        not isinstance(weight_map, dict)
        or not weight_map
        or not all(isinstance(shard, str) for shard in weight_map.values())
    ):
        raise CheckpointError("bad-index", "holds no weight_map of file names", fix="ask its author", where=file)
    for shard in sorted(set(weight_map.values())):
        if shard not in sizes:
            raise CheckpointError(
                "missing-shard", f"names the shard {shard!r}, which is not there", fix="download it", where=file
            )
    return weight_map


def _choose_weights(sizes: Mapping[str, int], index: Mapping[str, str] | None, *, where: str) -> list[str]:
    """Weight files, by this order: ``model.safetensors``, those of the index, those in the folder, those below."""
    every = [file for file in sizes if PurePosixPath(file).suffix == ".safetensors"]
    top = [file for file in every if "/" not in file]
    if _ONE_FILE in sizes:
        return [_ONE_FILE]
    if index is not None:
        return sorted(set(index.values()))
    if top or every:
        return top or every
    unsafe = [file for file in sizes if file.lower().endswith(_CAN_RUN_CODE)]
    if unsafe:
        raise UnsafeFormatError(
            "unsafe-format",
            "its readers can run code; it was not opened",
            fix="convert it to safetensors in a sandbox, or ask its author to",
            where=unsafe[0],
        )
    raise UnknownFormatError(
        "unknown-format", "holds no weights in a format that attest reads", fix="give safetensors files", where=where
    )


def _collect(headers: Mapping[str, Header]) -> tuple[Tensor, ...]:
    found: dict[str, Tensor] = {}
    for header in headers.values():
        for tensor in header.tensors:
            if tensor.name in found:
                raise CheckpointError(
                    "duplicate-tensor",
                    f"holds {tensor.name!r}, which {found[tensor.name].file} holds too",
                    fix="keep one of them",
                    where=tensor.file,
                )
            found[tensor.name] = tensor
    return tuple(found[name] for name in sorted(found))


def _compare_with_index(tensors: tuple[Tensor, ...], index: Mapping[str, str] | None) -> list[Finding]:
    if index is None:
        return []
    held = {tensor.name: tensor.file for tensor in tensors}
    for name, file in index.items():
        if held.get(name) != file:
            raise CheckpointError(
                "missing-tensor", f"does not hold {name!r}, which the index promises", fix="download it", where=file
            )
    return [
        Finding(code="not-in-index", path=file, line=None, text=name[:500])
        for name, file in held.items()
        if name not in index
    ]
