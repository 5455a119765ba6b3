"""A checkpoint: its files, and the tensors in those that hold weights."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.byte_range import read_range
from attest.checkpoint.cursor import refuse
from attest.checkpoint.format import Contents, Format, ParsedRange
from attest.checkpoint.formats import FORMATS
from attest.checkpoint.packed import Held, Packed, find_packed, open_packed
from attest.checkpoint.refused import describe_unread, refuse_unread
from attest.checkpoint.schemes import describe_schemes, find_codes
from attest.checkpoint.shards import Beside, choose_weights, compare_with_index, read_config, read_index
from attest.checkpoint.source import Location, open_tree
from attest.checkpoint.tensor import BITS, Tensor, item_type
from attest.checkpoint.tree import Tree
from attest.checkpoint.use import Use, find_turned
from attest.digest import sha256
from attest.errors import CheckpointError, DocumentError, UnsafeFormatError
from attest.finding import Finding

__all__ = ["MAX_FINDINGS", "Checkpoint", "Layout", "open_checkpoint"]

_AT_ONCE = 1 << 20
"""Values that are made of codes at once."""

_MAX_TEXT = 500
"""Characters of a finding."""

_TELLING = re.compile(
    r"general\.(?:license(?:\.name|\.link)?|quantized_by|source\.\w+|repo_url|organization|base_model\.(?:count|\d\.\w+))\Z"
    r"|tokenizer\.(?:ggml\.tokens|ggml\.merges|chat_template)\Z"
)
"""Keys of GGUF that tell of license and origin, and the digests of vocabulary and template: they are listed first."""

MAX_FINDINGS = 20
"""Findings of one code that are listed; the others are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Layout:
    """Where tensors lie in one file.

    Parameters
    ----------
    tensors : tuple of Tensor
        In order of ``begin``. Two share no bytes, or all, and then dtype and shape too.
    parsed : tuple of ParsedRange
        What was parsed when the checkpoint was opened, in order of ``begin``.
    """

    tensors: tuple[Tensor, ...]
    parsed: tuple[ParsedRange, ...]


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
    beside : mapping of str to tuple of Tensor
        Tensors that lie in files of other formats, by format and in order of name: they are digested.
    config : dict
        ``config.json``; where there is none what the weight files say in its place, or nothing. Written by the
        checkpoint's author: a claim.
    documents : mapping of str to str
        SHA-256 of the configuration and the index as they were parsed, by path: later reads must see the same.
    packed : mapping of str to Packed
        Weights that are kept as codes, by the name of the tensor that holds the codes.
    codes : frozenset of str
        Tensors of codes whose values are not known: neither numbers nor shapes need be those of weights.
    names : mapping of str to str
        What tensors are called in the usual notation, where the format has one of its own.
    turned : mapping of str to str
        By the name of a matrix of inputs by outputs, the name of the weight that it is when it is turned round.
    findings : tuple of Finding
        What a reader should know about the files.
    """

    name: str
    tree: Tree
    format: str
    layouts: Mapping[str, Layout]
    metadata: Mapping[str, Mapping[str, str]]
    tensors: tuple[Tensor, ...]
    beside: Mapping[str, tuple[Tensor, ...]]
    config: Mapping[str, Any]
    documents: Mapping[str, str]
    packed: Mapping[str, Packed]
    codes: frozenset[str]
    names: Mapping[str, str]
    turned: Mapping[str, str]
    findings: tuple[Finding, ...]

    @property
    def n_parameters(self) -> int:
        """Values of all tensors; of a packed weight those that it stands for, and not its scales."""
        beside = {tensor.name for one in self.packed.values() for tensor in one.companions.values()}
        stored = sum(one.size for one in self.tensors if one.name not in beside | self.packed.keys())
        return stored + sum(one.weight.size for one in self.packed.values())

    def read_bits(self, tensor: Tensor) -> NDArray[Any]:
        """Values of one tensor as an array of its shape, in the dtype of ``BITS``.

        Raises
        ------
        CheckpointError
            The dtype has no whole bytes, or the file changed.
        """
        return _read_bits(self.tree, tensor)

    def read_values(self, packed: Packed) -> NDArray[np.float32]:
        """Values of a packed weight, in the shape of ``packed.unpacked``.

        Raises
        ------
        CheckpointError
            The file changed.
        """
        values = np.empty(packed.unpacked.shape, np.float32)
        count = packed.stacked or 1
        for number, rows in enumerate(values.reshape(count, len(values) // count, -1)):
            self._read_matrix(packed.matrix(number), rows)
        return values

    def _read_matrix(self, packed: Packed, values: NDArray[np.float32]) -> None:
        codes = _read_items(self.tree, packed.tensor).reshape(math.prod(packed.tensor.shape[:-1]), -1)
        unpacker = open_packed(packed, self.read_bits)
        step = max(1, _AT_ONCE // (unpacker.made * values.shape[1])) * unpacker.stored
        done = 0
        for first in range(0, len(codes), step):
            made = unpacker.unpack(codes[first : first + step], done)
            values[done : done + len(made)] = made
            done += len(made)


def _read_bits(tree: Tree, tensor: Tensor) -> NDArray[Any]:
    if tensor.dtype not in BITS:
        raise CheckpointError(
            "unknown-dtype", f"values of dtype {tensor.dtype} are not read", fix="convert it", where=tensor.file
        )
    return _read_items(tree, tensor).reshape(tensor.shape)


def _read_items(tree: Tree, tensor: Tensor) -> NDArray[Any]:
    """A tensor's values, or its blocks of values, one after the other."""
    with tree.open(tensor.file) as stream:
        data = read_range(stream, tensor.begin, tensor.end - tensor.begin, file=tensor.file)
    return np.frombuffer(data, dtype=item_type(tensor.dtype))


def open_checkpoint(location: Location) -> Checkpoint:
    """Checkpoint in a folder or a single file, here or at a URI.

    Parameters
    ----------
    location : Path or str
        A path, or a URI of a scheme in ``attest.checkpoint.source.SOURCES``.

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
    tree = open_tree(location)
    documents = Beside(tree)
    config = read_config(documents)
    main, beside, unread = _read_formats(documents, where=tree.origin.uri if tree.origin else str(location))
    readings = (main, *beside)
    layouts = {file: layout for one in readings for file, layout in one.layouts.items()}
    others = [file for file in tree.sizes if file not in {*layouts, *(finding.path for finding in unread)}]
    packed = _find_packed(tree, config, main)
    findings = [
        *documents.findings,
        *(finding for one in readings for finding in one.findings),
        *describe_schemes(documents, config, main.tensors, packed),
        *unread,
        *_judge_other_files(tree, others),
    ]
    return Checkpoint(
        name=tree.name,
        tree=tree,
        format=main.format,
        layouts=layouts,
        metadata={file: found.metadata for one in readings for file, found in one.contents.items()},
        tensors=main.tensors,
        beside={one.format: one.tensors for one in beside},
        config=config or next((one.config for one in main.contents.values() if one.config), {}),
        documents=documents.digests,
        packed=packed,
        codes=frozenset(find_codes(main.tensors, packed)),
        names={name: other for one in main.contents.values() for name, other in one.names.items()},
        turned=find_turned(main.tensors, main.uses),
        findings=_cut(findings),
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reading:
    """What one format's files hold."""

    format: str
    contents: Mapping[str, Contents]
    tensors: tuple[Tensor, ...]
    layouts: Mapping[str, Layout]
    findings: tuple[Finding, ...]

    @property
    def uses(self) -> dict[str, Use]:
        return {name: use for one in self.contents.values() for name, use in one.uses.items()}

    @property
    def zeros(self) -> dict[str, tuple[int, ...]]:
        return {name: zeros for one in self.contents.values() for name, zeros in one.zeros.items()}


def _find_packed(tree: Tree, config: Mapping[str, Any], main: _Reading) -> dict[str, Packed]:
    claims, modules = config.get("quantization_config"), config.get("quantization", config.get("quantization_config"))
    held = Held(
        format=main.format,
        tensors={tensor.name: tensor for tensor in main.tensors},
        claims=claims if isinstance(claims, dict) else {},
        modules=modules if isinstance(modules, dict) else {},
        uses=main.uses,
        zeros=main.zeros,
        read=partial(_read_bits, tree),
    )
    return find_packed(held)


def _read_formats(documents: Beside, *, where: str) -> tuple[_Reading, list[_Reading], list[Finding]]:
    """What is measured, what lies beside it in other formats, and what of that could not be read."""
    formats = iter(FORMATS)
    main = next((found for kind in formats if (found := _read_format(documents, kind, set()))), None)
    if main is None:
        refuse_unread(documents.tree, where=where)
    beside: list[_Reading] = []
    unread: list[Finding] = []
    for kind in formats:
        taken = {file for one in (main, *beside) for file in one.layouts}
        try:
            found = _read_format(documents, kind, taken)
        except UnsafeFormatError as error:
            unread.append(Finding(code="unsafe-file", path=error.where, line=None, text=error.message[:500]))
        except (CheckpointError, DocumentError) as error:
            text = f"{kind.id}: {error.message}"[:500]
            unread.append(Finding(code="format-not-read", path=error.where or ".", line=None, text=text))
        else:
            beside += [found] if found else []
    return main, beside, unread


def _read_format(documents: Beside, kind: Format, taken: set[str]) -> _Reading | None:
    """What the files of one format hold; None where there are none, or another format has taken them."""
    tree = documents.tree
    index = read_index(documents, kind)
    weights = choose_weights(tree, kind, index)
    if not weights or not taken.isdisjoint(weights):
        return None
    contents = {file: kind.read(tree, file) for file in weights}
    tensors = _collect(contents.values())
    layouts = _lay_out(tree, contents.values())
    if not taken.isdisjoint(layouts):
        raise CheckpointError(
            "shared-file", "refers to a file of another format", fix="ask its author", where=weights[0]
        )
    findings = (*compare_with_index(tensors, index), *_describe_contents(contents))
    return _Reading(format=kind.id, contents=contents, tensors=tensors, layouts=layouts, findings=findings)


def _collect(contents: Iterable[Contents]) -> tuple[Tensor, ...]:
    found: dict[str, Tensor] = {}
    for tensor in (tensor for one in contents for tensor in one.tensors):
        if tensor.name in found:
            raise CheckpointError(
                "duplicate-tensor",
                f"holds {tensor.name!r}, which {found[tensor.name].file} holds too",
                fix="give one of the two by its own path or URI, or keep one of them",
                where=tensor.file,
            )
        found[tensor.name] = tensor
    return tuple(found[name] for name in sorted(found))


def _lay_out(tree: Tree, contents: Iterable[Contents]) -> dict[str, Layout]:
    """Tensors and parsed ranges by file; no two share a part of their bytes."""
    tensors: dict[str, list[Tensor]] = defaultdict(list)
    parsed: dict[str, list[ParsedRange]] = defaultdict(list)
    for one in contents:
        for tensor in one.tensors:
            tensors[tensor.file].append(tensor)
        for piece in one.parsed:
            parsed[piece.file].append(piece)
    layouts = {}
    for file in sorted({*tensors, *parsed}):
        held = sorted(tensors[file], key=lambda tensor: (tensor.begin, tensor.end, tensor.name))
        read = sorted(parsed[file], key=lambda piece: piece.begin)
        _check_places((*held, *read), file=file, size=tree.sizes[file])
        layouts[file] = Layout(tensors=tuple(held), parsed=tuple(read))
    return layouts


def _check_places(places: Iterable[Tensor | ParsedRange], *, file: str, size: int) -> None:
    before: Tensor | ParsedRange | None = None
    for one in sorted(places, key=lambda one: (one.begin, one.end)):
        name = repr(one.name) if isinstance(one, Tensor) else "its description"
        if one.end > size:
            refuse("truncated-file", f"{name} ends at byte {one.end}, the file has only {size}", file)
        if before and one.begin < before.end and not _is_same(one, before):
            refuse("overlapping-tensors", f"{name} begins at byte {one.begin}, inside of another", file)
        before = one


def _is_same(one: Tensor | ParsedRange, other: Tensor | ParsedRange) -> bool:
    if isinstance(one, ParsedRange) or isinstance(other, ParsedRange):
        return False
    return (one.begin, one.end, one.dtype, one.shape) == (other.begin, other.end, other.dtype, other.shape)


def _describe_contents(contents: Mapping[str, Contents]) -> Iterator[Finding]:
    for file, found in contents.items():
        yield from found.findings
        for key, value in sorted(found.metadata.items(), key=lambda item: _TELLING.match(item[0]) is None):
            yield Finding(code="file-metadata", path=file, line=None, text=_quote(key, value))


def _quote(key: str, value: str) -> str:
    """A key and its value; of a long one the beginning, its length and its digest."""
    text = f"{key}: {value}"
    if len(text) <= _MAX_TEXT:
        return text
    cut = f" [cut: {len(value)} characters, sha256 {sha256(value.encode(errors='backslashreplace'))}]"
    return text[: _MAX_TEXT - len(cut)] + cut


def _judge_other_files(tree: Tree, files: Iterable[str]) -> Iterator[Finding]:
    for file in files:
        text = describe_unread(tree, file)
        if text is not None:
            yield Finding(code="unsafe-file", path=file, line=None, text=text[:500])
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
