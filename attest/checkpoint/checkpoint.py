"""A checkpoint: its files, and the tensors in those that hold weights."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.format import Contents, Format
from attest.checkpoint.safetensors import SAFETENSORS
from attest.checkpoint.shards import Beside, choose_weights, compare_with_index, read_config, read_index
from attest.checkpoint.tensor import BITS, Tensor
from attest.checkpoint.tree import Tree, read_tree
from attest.errors import CheckpointError, UnknownFormatError, UnsafeFormatError
from attest.finding import Finding

__all__ = ["FORMATS", "MAX_FINDINGS", "Checkpoint", "Layout", "open_checkpoint"]

FORMATS: tuple[Format, ...] = (SAFETENSORS,)
"""All formats, the preferred first. A new one is a file beside these and a word here."""

MAX_FINDINGS = 20
"""Findings of one code that are listed; the others are counted."""

_CAN_RUN_CODE = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".joblib", ".mar", ".nemo", ".keras", ".h5")


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where tensors lie in one file.

    Parameters
    ----------
    tensors : tuple of Tensor
        In order of ``begin``. Two share no bytes, or all, and then dtype and shape too.
    parsed : mapping of int to tuple of bytes
        SHA-256 of the chunks that were parsed when the checkpoint was opened, by their offset.
    """

    tensors: tuple[Tensor, ...]
    parsed: Mapping[int, tuple[bytes, ...]]


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
        Id of a format.
    layouts : mapping of str to Layout
        The files that hold weights or were parsed for them, by path.
    metadata : mapping of str to mapping
        What each of these files claims about itself, by path.
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
    layouts: Mapping[str, Layout]
    metadata: Mapping[str, Mapping[str, str]]
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
        with self.tree.open(tensor.file) as stream:
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
    """Checkpoint in a folder or a single file.

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
    beside = Beside(tree)
    config = read_config(beside)
    kind, weights, index = _find_weights(beside, where=str(path))
    contents = {file: kind.read(tree, file) for file in weights}
    tensors = _collect(contents.values())
    layouts = _lay_out(tree, contents.values())
    findings = [
        *beside.findings,
        *compare_with_index(tensors, index),
        *_describe_contents(contents),
        *_judge_other_files(file for file in tree.sizes if file not in layouts),
    ]
    return Checkpoint(
        name=path.resolve().name,
        tree=tree,
        format=kind.id,
        layouts=layouts,
        metadata={file: found.metadata for file, found in contents.items()},
        tensors=tensors,
        config=config,
        documents=beside.digests,
        findings=_cut(findings),
    )


def _find_weights(beside: Beside, *, where: str) -> tuple[Format, list[str], Mapping[str, str] | None]:
    """The first format that has files here, these files, and their index."""
    for kind in FORMATS:
        index = read_index(beside, kind)
        weights = choose_weights(beside.tree, kind, index)
        if weights:
            return kind, weights, index
    unsafe = [file for file in beside.tree.sizes if file.lower().endswith(_CAN_RUN_CODE)]
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


def _collect(contents: Iterable[Contents]) -> tuple[Tensor, ...]:
    found: dict[str, Tensor] = {}
    for tensor in (tensor for one in contents for tensor in one.tensors):
        if tensor.name in found:
            raise CheckpointError(
                "duplicate-tensor",
                f"holds {tensor.name!r}, which {found[tensor.name].file} holds too",
                fix="keep one of them",
                where=tensor.file,
            )
        found[tensor.name] = tensor
    return tuple(found[name] for name in sorted(found))


def _lay_out(tree: Tree, contents: Iterable[Contents]) -> dict[str, Layout]:
    """Tensors and parsed ranges by file; no two tensors share a part of their bytes."""
    tensors: dict[str, list[Tensor]] = defaultdict(list)
    parsed: dict[str, dict[int, tuple[bytes, ...]]] = defaultdict(dict)
    for one in contents:
        for tensor in one.tensors:
            tensors[tensor.file].append(tensor)
        for piece in one.parsed:
            parsed[piece.file][piece.begin] = piece.chunks
    for file, held in tensors.items():
        held.sort(key=lambda tensor: (tensor.begin, tensor.end, tensor.name))
        _check_places(held, file=file, size=tree.sizes[file])
    return {file: Layout(tensors=tuple(tensors[file]), parsed=parsed[file]) for file in sorted({*tensors, *parsed})}


def _check_places(tensors: Sequence[Tensor], *, file: str, size: int) -> None:
    before: Tensor | None = None
    for tensor in tensors:
        if tensor.end > size:
            problem = ("truncated-file", f"{tensor.name!r} ends at byte {tensor.end}, the file has only {size}")
        elif before and tensor.begin < before.end and not _is_same(tensor, before):
            problem = ("overlapping-tensors", f"{tensor.name!r} begins at byte {tensor.begin}, inside of another")
        else:
            before = tensor
            continue
        raise CheckpointError(*problem, fix="download the file again, or ask its author", where=file)


def _is_same(one: Tensor, other: Tensor) -> bool:
    return (one.begin, one.end, one.dtype, one.shape) == (other.begin, other.end, other.dtype, other.shape)


def _describe_contents(contents: Mapping[str, Contents]) -> Iterator[Finding]:
    for file, found in contents.items():
        yield from found.findings
        for key, value in found.metadata.items():
            yield Finding(code="file-metadata", path=file, line=None, text=f"{key}: {value}"[:500])


def _judge_other_files(files: Iterator[str]) -> Iterator[Finding]:
    for file in files:
        if file.lower().endswith(_CAN_RUN_CODE):
            text = "its readers can run code; it was hashed and not opened"
            yield Finding(code="unsafe-file", path=file, line=None, text=text)
        elif file.lower().endswith((".safetensors", ".gguf", ".onnx")):
            text = "was hashed; its tensors were not measured beside the main weights"
            yield Finding(code="weights-not-measured", path=file, line=None, text=text)


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
