"""ONNX: initializers and constants, in the file itself or in files beside it; nothing is built or run.

A model is a protocol buffer without a header, so it is walked field by field; where the values of an initializer lie
in one piece, that piece is the tensor. A field that must occur once and does not is refused: readers merge the two or
take the last.

References
----------
ONNX, https://github.com/onnx/onnx/blob/main/onnx/onnx.proto (ModelProto, GraphProto, TensorProto), and
docs/ExternalData.md.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import BinaryIO, Final

from attest.checkpoint.cursor import Cursor, refuse
from attest.checkpoint.format import Contents
from attest.checkpoint.protobuf import Field, Walk
from attest.checkpoint.tensor import DTYPE_BITS, Tensor, check_tensor_name
from attest.checkpoint.tree import Tree
from attest.checkpoint.use import MULTIPLIES, SCOPES, ZERO_POINT, Use, as_named, find_module
from attest.finding import Finding

__all__ = ["read", "read_onnx"]

_TYPES = {
    1: "F32", 2: "U8", 3: "I8", 4: "U16", 5: "I16", 6: "I32", 7: "I64", 9: "BOOL", 10: "F16", 11: "F64", 12: "U32",
    13: "U64", 14: "C64", 16: "BF16", 17: "F8_E4M3", 18: "F8_E4M3FNUZ", 19: "F8_E5M2", 20: "F8_E5M2FNUZ", 23: "F4",
    24: "F8_E8M0",
}  # fmt: skip
"""TensorProto.DataType; the others have bits that no statistic reads."""

_STRINGS: Final = 8
_CLAIMS = {2: "producer_name", 3: "producer_version", 4: "domain", 6: "doc_string"}
"""Fields of ModelProto that say what the model is."""

_ATTENTION = frozenset({"Attention", "GroupQueryAttention", "MultiHeadAttention"})
_HEADS = {
    "num_heads": "num_attention_heads",
    "kv_num_heads": "num_key_value_heads",
    "q_num_heads": "num_attention_heads",
}
"""What attributes of these nodes are called in ``config.json``."""

_PACKED = {4: ("F32", "C64"), 9: (), 10: ("F64", "ONNX_15")}
"""Fields of TensorProto that hold values in one little-endian piece, and the dtypes each is for; any where empty."""

_NOT_IN_ONE_PIECE = frozenset({5, 6, 7, 11})
"""Fields of TensorProto that hold values as strings or as integers of varying length."""

_INT32: Final = 5
"""Field of TensorProto that holds integers of up to 32 bits."""

_FUNCTION: Final = 25
"""Field of ModelProto with nodes that stand for one node of the graph."""

_PASSED_BY = frozenset({4, 7, 8, 9, 10, 11, 15, 22, 23})
"""Fields of AttributeProto that hold texts, lists, or sparse tensors."""

_MAX_DIMENSIONS = 32
_MAX_INPUTS = 8
_MAX_DEPTH = 16
_SIZE_LIMIT = 2**53
_LARGE = 65536
_GIVE_BOTH = "give the folder that holds both, or add it"
_SMALL_CONSTANT = 128
"""Bytes of a constant, with its shape, that is taken for a part of the graph: a shape, an axis, a single number."""


@dataclass(kw_only=True, slots=True)
class _Initializer:
    """What was seen of a TensorProto so far; ``values`` is the number of the field that holds them, and their place."""

    seen: set[int] = field(default_factory=set)
    shape: list[int] = field(default_factory=list)
    kind: int = 0
    name: str = ""
    values: tuple[int, int, int] | None = None
    external: dict[str, str] = field(default_factory=dict)
    is_external: bool = False
    elsewhere: bool = False
    integers: list[int] = field(default_factory=list)


class _Reader:
    """Collects initializers, claims and findings of one file."""

    def __init__(self, walk: Walk, sizes: Mapping[str, int]) -> None:
        self._walk = walk
        self._cursor = walk.cursor
        self._file = walk.cursor.file
        self._sizes = sizes
        self.tensors: list[Tensor] = []
        self.metadata: dict[str, str] = {}
        self.config: dict[str, int] = {}
        self.findings: list[Finding] = []
        self.uses: dict[str, Use] = {}
        self.zeros: dict[str, tuple[int, ...]] = {}

    def model(self) -> None:
        """Read a ModelProto."""
        graphs = 0
        for one in self._walk.fields(self._cursor.size):
            if one.number in _CLAIMS:
                self._claim(_CLAIMS[one.number], self._walk.text(one))
            elif one.number == 14 and one.wire == 2:
                self._claim(*self._walk.pair(one.value))
            elif one.number == 7 and one.wire == 2:
                graphs += 1
                if graphs > 1:
                    refuse("duplicate-field", "holds two graphs", self._file)
                self._graph(one.value)
            elif one.number == _FUNCTION and one.value > _LARGE:
                self._not_read(f"a function of {one.value} bytes was hashed; constants in it were not measured")
        if not graphs:
            refuse("not-onnx", "holds no graph", self._file)

    def _claim(self, key: str, value: str) -> None:
        if key in self.metadata:
            refuse("duplicate-key", f"says {key[:200]!r} of itself twice", self._file)
        self.metadata[key] = value

    def _graph(self, size: int, within: str = "", depth: int = 0) -> None:
        """Read a GraphProto; ``within`` stands before the names of one that a node holds."""
        if depth > _MAX_DEPTH:
            refuse("too-deep", f"holds graphs in graphs, deeper than {_MAX_DEPTH} levels", self._file)
        for one in self._walk.fields(size):
            if one.wire == 2 and one.number == 5:
                self._tensor(one.value, within)
            elif one.wire == 2 and one.number == 1:
                self._node(one.value, within, depth)
            elif one.number == 15:
                self._not_read("a sparse initializer was hashed; its values were not measured")

    def _node(self, size: int, within: str, depth: int) -> None:
        """Read a NodeProto, which is known by its first output; an output has one name in its graph, a node may have none."""
        output, scopes = "", ""
        inputs: list[str] = []
        words = {3: "", 4: ""}
        settings: dict[str, int] = {}
        for one in self._walk.fields(size):
            if one.number == 1 and len(inputs) < _MAX_INPUTS:
                inputs.append(self._walk.text(one))
            elif one.number == 2 and not output:
                output = self._walk.text(one)
            elif one.number in words:
                words[one.number] = self._walk.text(one)
            elif one.number == 5 and one.wire == 2:
                settings |= self._attribute(one.value, within + output, depth)
            elif one.number == 9 and one.wire == 2:
                key, value = self._walk.pair(one.value)
                scopes = value if key == SCOPES else scopes
        self._use(
            words[4], [one and within + one for one in inputs], settings, find_module(node=words[3], scopes=scopes)
        )

    def _use(self, operator: str, inputs: list[str], settings: dict[str, int], module: str) -> None:
        """Note the matrix that a node multiplies with, and how many heads its attention has; of several the first."""
        if operator in MULTIPLIES and len(inputs) > 1:
            beside = tuple(inputs[2:])
            self.uses.setdefault(inputs[1], Use(operator=operator, module=module, beside=beside, settings=settings))
        elif operator in _ATTENTION:
            for attribute in _HEADS.keys() & settings.keys():
                self.config.setdefault(_HEADS[attribute], settings[attribute])

    def _attribute(self, size: int, node: str, depth: int) -> dict[str, int]:
        """Read an AttributeProto: its tensor, its graph, or its integer; lists of numbers, texts or tensors are passed by."""
        end = self._cursor.position + size
        name = ""
        found = {}
        for one in self._walk.fields(size):
            if one.number == 1:
                name = self._walk.text(one)
            elif one.number == 3 and one.wire == 0:
                found = {name: one.value}
            elif one.wire == 2 and one.number == 5 and one.value > _SMALL_CONSTANT:
                self._tensor(one.value, "", constant=node if name == "value" else f"{node}/{name}")
            elif one.wire == 2 and one.number == 6:
                self._graph(one.value, f"{node}/{name}/", depth + 1)
            elif one.number in _PASSED_BY:
                break
        rest = end - self._cursor.position
        if rest > _LARGE:
            self._not_read(f"an attribute of {rest} bytes was hashed; constants in it were not measured")
        self._cursor.pass_by(rest)
        return found

    def _not_read(self, text: str) -> None:
        self.findings.append(Finding(code="tensor-not-read", path=self._file, line=None, text=text[:500]))

    def _tensor(self, size: int, within: str, constant: str | None = None) -> None:
        """Read a TensorProto; a constant goes by the name of its node, whatever its own is."""
        found = _Initializer()
        for one in self._walk.fields(size):
            self._part(found, one)
        found.name = within + found.name if constant is None else constant
        check_tensor_name(found.name, file=self._file)
        if len(found.shape) > _MAX_DIMENSIONS or math.prod(max(one, 1) for one in found.shape) >= _SIZE_LIMIT:
            refuse("bad-shape", f"the sizes of {found.name!r} are too many or too large", self._file)
        if found.is_external and (found.values or found.elsewhere):
            refuse("duplicate-field", f"{found.name!r} has values here and in another file", self._file)
        if found.elsewhere and found.values:
            refuse("duplicate-field", f"{found.name!r} has values in two fields", self._file)
        if found.elsewhere and found.integers and found.name.endswith(ZERO_POINT):
            self.zeros[found.name] = tuple(found.integers)
        elif found.kind == _STRINGS or found.elsewhere:
            self._not_read(f"{found.name}: its values do not lie in one piece; they were hashed and not measured")
        else:
            self._place(found)

    def _part(self, found: _Initializer, one: Field) -> None:
        """Take one field of a TensorProto."""
        if one.number in {2, 8, 14, *_PACKED}:
            if one.number in found.seen:
                refuse("duplicate-field", f"an initializer has the field {one.number} twice", self._file)
            found.seen.add(one.number)
        if one.number == 1:
            self._sizes_of_shape(found.shape, one)
        elif one.number == 2:
            found.kind = one.value
        elif one.number == 3:
            refuse("bad-shape", "an initializer is cut into segments", self._file)
        elif one.number == 8:
            found.name = self._walk.text(one)
        elif one.number == 14:
            found.is_external = one.value == 1
        elif one.number == 13 and one.wire == 2:
            key, value = self._walk.pair(one.value)
            if key in found.external:
                refuse("duplicate-key", f"an initializer has the key {key[:200]!r} twice", self._file)
            found.external[key] = value
        else:
            self._values(found, one)

    def _values(self, found: _Initializer, one: Field) -> None:
        """Take a field of values, or none."""
        if one.number in _PACKED and one.wire == 2:
            if found.values:
                refuse("duplicate-field", "an initializer has values in two fields", self._file)
            found.values = (one.number, self._cursor.position, one.value)
            self._cursor.skip(one.value)
        elif one.number in _NOT_IN_ONE_PIECE or one.number in _PACKED:
            if one.number == _INT32 and one.wire == 2 and one.value <= _LARGE and not found.elsewhere:
                found.integers = list(self._integers(one.value))
            found.elsewhere = True

    def _integers(self, size: int) -> Iterator[int]:
        end = self._cursor.position + size
        while self._cursor.position < end:
            value = self._walk.varint()
            yield value - (value >> 63 << 64)

    def _sizes_of_shape(self, shape: list[int], one: Field) -> None:
        end = self._cursor.position + (one.value if one.wire == 2 else 0)
        sizes = [one.value] if one.wire == 0 else []
        while self._cursor.position < end and len(shape) + len(sizes) <= _MAX_DIMENSIONS:
            sizes.append(self._walk.varint())
        shape.extend(sizes)
        if any(size >= _SIZE_LIMIT for size in shape):
            refuse("bad-shape", "a size of an initializer is negative or beyond 2**53", self._file)

    def _place(self, found: _Initializer) -> None:
        """Add the tensor where its values lie in one piece."""
        if not found.kind:
            refuse("unknown-dtype", f"{found.name!r} has no dtype", self._file)
        dtype = _TYPES.get(found.kind, f"ONNX_{found.kind}")
        if dtype not in DTYPE_BITS and found.kind >= 2**31:
            refuse("unknown-dtype", f"the dtype of {found.name!r} is negative or beyond 2**31", self._file)
        needed = (math.prod(found.shape) * DTYPE_BITS[dtype] + 7) // 8 if dtype in DTYPE_BITS else None
        number, begin, size = found.values or (0, self._cursor.position, 0)
        file = self._file
        if found.is_external:
            file, begin, size = self._external(found, needed)
        elif not found.values:
            self._cursor.skip(0)
        if number and _PACKED[number] and dtype not in _PACKED[number]:
            refuse("unknown-dtype", f"the values of {found.name!r} are in a field for another dtype", file)
        if needed is not None and size != needed:
            refuse("size-mismatch", f"{found.name!r} has {size} bytes where dtype and shape need {needed}", file)
        self.tensors.append(
            Tensor(name=found.name, dtype=dtype, shape=tuple(found.shape), file=file, begin=begin, end=begin + size)
        )

    def _external(self, found: _Initializer, needed: int | None) -> tuple[str, int, int]:
        """File, first byte and size of values that lie in another file of the checkpoint."""
        location = found.external.get("location", "")
        file = posixpath.normpath(posixpath.join(posixpath.dirname(self._file), location))
        if file not in self._sizes or file == self._file or ".." in location.split("/"):
            refuse("missing-shard", f"names the file {location[:200]!r}, which is not there", self._file, _GIVE_BOTH)
        numbers = [found.external.get(key, default) for key, default in (("offset", "0"), ("length", ""))]
        if not all(text.isascii() and (text.isdigit() or not text) and len(text) < 17 for text in numbers):
            refuse("bad-offsets", f"offset or length of {found.name!r} is no size", self._file)
        begin = int(numbers[0] or 0)
        rest = self._sizes[file] - begin
        size = int(numbers[1]) if numbers[1] else rest if needed is None else needed
        if begin < 0 or size > rest:
            refuse("truncated-file", f"{found.name!r} ends at byte {begin + size}, beyond the end", file)
        return file, begin, size


def read_onnx(stream: BinaryIO, *, file: str, size: int, sizes: Mapping[str, int]) -> Contents:
    """Initializers and constants of an open ONNX file.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    file : str
        Path for errors and for the tensors.
    size : int
        Bytes in the file.
    sizes : mapping of str to int
        Size in bytes of every file of the checkpoint; external data may lie in these alone.

    Raises
    ------
    CheckpointError
        The file is no ONNX model, is truncated, says something twice that it must say once, or lies about shapes,
        sizes or places.

    Notes
    -----
    Some exporters write every weight as a constant, some put the whole network into the branches of one node: so
    graphs inside of nodes are read too. A constant of at most ``_SMALL_CONSTANT`` bytes is a part of the graph, which is
    hashed, and so are zeros of quantized matrices that are written as integers of varying length. Not measured, with a
    finding: strings, sparse initializers, other values that are written so, and long lists in attributes. Names are kept as they are; exporters make up many of them, and then the graph
    may tell which module uses a matrix.
    """
    cursor = Cursor(stream, file=file, size=size)
    reader = _Reader(Walk(cursor), sizes)
    reader.model()
    return Contents(
        tensors=tuple(reader.tensors),
        metadata=reader.metadata,
        config=reader.config,
        uses=as_named(reader.uses, (tensor.name for tensor in reader.tensors)),
        zeros=reader.zeros,
        parsed=cursor.parsed(),
        findings=tuple(reader.findings),
    )


def read(tree: Tree, file: str) -> Contents:
    """Contents of one file; raises what ``read_onnx`` does."""
    with tree.open(file) as stream:
        return read_onnx(stream, file=file, size=tree.sizes[file], sizes=tree.sizes)
