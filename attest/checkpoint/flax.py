"""Flax: a tree of arrays as one MessagePack document, ``flax_model.msgpack``.

The document is walked, not loaded: an array is an extension that holds a shape, a dtype and bytes, and these bytes
are the tensor.

References
----------
Flax, ``flax/serialization.py`` (``msgpack_serialize``, ``_MsgpackExtType``); MessagePack specification,
https://github.com/msgpack/msgpack/blob/master/spec.md.
"""

from __future__ import annotations

import math
from typing import BinaryIO, Final, NamedTuple

from attest.checkpoint.cursor import Cursor, refuse
from attest.checkpoint.format import Contents
from attest.checkpoint.tensor import DTYPE_BITS, Tensor, check_tensor_name
from attest.checkpoint.tree import Tree
from attest.finding import Finding

__all__ = ["read", "read_flax"]

_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
    "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2", "float8_e4m3fnuz": "F8_E4M3FNUZ",
    "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
"""Dtypes by their names in NumPy and ml_dtypes."""

_ARRAY: Final = 1
_SCALAR: Final = 3
_CHUNKED = "__msgpack_chunked_array__"
_MAX_DEPTH = 32
_MAX_ITEMS = 1_000_000
_MAX_DIMENSIONS = 32
_MAX_TEXT = 1024
_SIZE_LIMIT = 2**53

_FIXED = {0xC0: 0, 0xC2: 0, 0xC3: 0, 0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2,
          0xD2: 4, 0xD3: 8}  # fmt: skip
"""Bytes of a value after its head, for values without a length."""

_LENGTHS = {
    0xC4: ("bin", 1), 0xC5: ("bin", 2), 0xC6: ("bin", 4), 0xC7: ("ext", 1), 0xC8: ("ext", 2), 0xC9: ("ext", 4),
    0xD9: ("str", 1), 0xDA: ("str", 2), 0xDB: ("str", 4), 0xDC: ("array", 2), 0xDD: ("array", 4), 0xDE: ("map", 2),
    0xDF: ("map", 4),
}  # fmt: skip
"""Kind of a value, and bytes of its length, for values with one."""


class _Head(NamedTuple):
    """The beginning of a value; ``size`` counts bytes, or items of an array or map, or is a small integer itself."""

    kind: str
    size: int


class _Walk:
    """Walks the values of one document, never more than ``_MAX_ITEMS``."""

    def __init__(self, cursor: Cursor) -> None:
        self._cursor = cursor
        self._file = cursor.file
        self._items = 0
        self.tensors: dict[str, Tensor] = {}
        self.findings: list[Finding] = []

    def value(self, path: tuple[str, ...]) -> None:
        """Read the value that begins here, and keep the arrays in it."""
        head = self._head()
        if len(path) > _MAX_DEPTH:
            refuse("too-deep", f"nested deeper than {_MAX_DEPTH} levels", self._file)
        if head.kind == "map":
            self._map(head.size, path)
        elif head.kind == "array":
            for index in range(head.size):
                self.value((*path, str(index)))
        elif head.kind == "ext":
            self._extension(head.size, path)
        elif head.kind != "integer":
            self._cursor.pass_by(head.size)

    def _head(self) -> _Head:
        self._items += 1
        if self._items > _MAX_ITEMS:
            refuse("header-too-long", f"holds more than {_MAX_ITEMS} values", self._file)
        byte = self._cursor.integer(1)
        if byte < 0x80 or byte >= 0xE0:
            return _Head("integer", byte if byte < 0x80 else byte - 0x100)
        if byte < 0xC0:
            kind, bits = ("map", 0x0F) if byte < 0x90 else ("array", 0x0F) if byte < 0xA0 else ("str", 0x1F)
            return self._within(_Head(kind, byte & bits))
        if byte in _FIXED:
            return _Head("fixed", _FIXED[byte])
        if 0xD4 <= byte <= 0xD8:
            return self._within(_Head("ext", 1 << (byte - 0xD4)))
        if byte not in _LENGTHS:
            refuse("not-msgpack", f"byte {self._cursor.position - 1} begins no value", self._file)
        kind, size = _LENGTHS[byte]
        return self._within(_Head(kind, int.from_bytes(self._cursor.read(size), "big")))

    def _within(self, head: _Head) -> _Head:
        needed = head.size * 2 if head.kind == "map" else head.size
        if needed > self._cursor.left():
            refuse("truncated-file", f"promises {needed} bytes and has {self._cursor.left()} left", self._file)
        return head

    def _map(self, count: int, path: tuple[str, ...]) -> None:
        keys = set[str]()
        for _ in range(count):
            key = self._text()
            if key in keys:
                refuse("duplicate-key", f"the key {key[:200]!r} occurs twice in one map", self._file)
            keys.add(key)
            self.value((*path, key))
        if _CHUNKED in keys:
            text = f"{'/'.join(path)}: an array in pieces; each was measured by itself"
            self.findings.append(Finding(code="array-in-pieces", path=self._file, line=None, text=text[:500]))

    def _text(self) -> str:
        head = self._head()
        if head.kind not in {"str", "bin"} or head.size > _MAX_TEXT:
            refuse("not-msgpack", f"a name is no string of at most {_MAX_TEXT} bytes", self._file)
        return self._cursor.read(head.size).decode(errors="replace")

    def _extension(self, size: int, path: tuple[str, ...]) -> None:
        kind = self._cursor.integer(1)
        end = self._cursor.position + size
        if kind in {_ARRAY, _SCALAR}:
            self._array("/".join(path), end)
        else:
            self._cursor.pass_by(size)
        if self._cursor.position != end:
            refuse("not-msgpack", f"an array at byte {end - size} does not fill its place", self._file)

    def _array(self, name: str, end: int) -> None:
        """Add the array whose shape, dtype and bytes begin here."""
        check_tensor_name(name, file=self._file)
        if self._head() != ("array", 3):
            refuse("not-msgpack", f"{name!r} does not hold a shape, a dtype and bytes", self._file)
        shape = self._shape(name)
        dtype = _DTYPES.get(self._text(), "")
        if not dtype:
            refuse("unknown-dtype", f"the dtype of {name!r} is not known", self._file, "update attest")
        head = self._head()
        needed = math.prod(shape) * DTYPE_BITS[dtype] // 8
        if head != ("bin", needed) or self._cursor.position + needed > end:
            refuse("size-mismatch", f"{name!r} has {head.size} bytes where dtype and shape need {needed}", self._file)
        if name in self.tensors:
            refuse("duplicate-tensor", f"holds {name!r} twice", self._file)
        begin = self._cursor.position
        self._cursor.skip(needed)
        self.tensors[name] = Tensor(
            name=name, dtype=dtype, shape=shape, file=self._file, begin=begin, end=self._cursor.position
        )

    def _shape(self, name: str) -> tuple[int, ...]:
        head = self._head()
        if head.kind != "array" or head.size > _MAX_DIMENSIONS:
            refuse("bad-shape", f"the shape of {name!r} is no list of at most {_MAX_DIMENSIONS} sizes", self._file)
        shape = tuple(self._size() for _ in range(head.size))
        if any(one < 0 for one in shape) or math.prod(one or 1 for one in shape) >= _SIZE_LIMIT:
            refuse("bad-shape", f"the sizes of {name!r} are no sizes or multiply to more than 2**53", self._file)
        return shape

    def _size(self) -> int:
        """A non-negative integer; -1 for anything else."""
        byte = self._cursor.integer(1)
        if byte < 0x80:
            return byte
        if 0xCC <= byte <= 0xCF:
            size = int.from_bytes(self._cursor.read(_FIXED[byte]), "big")
            return size if size < _SIZE_LIMIT else -1
        return -1


def read_flax(stream: BinaryIO, *, file: str, size: int) -> Contents:
    """Arrays of an open MessagePack document.

    Parameters
    ----------
    stream : binary file
        At its beginning.
    file : str
        Path for errors and for the tensors.
    size : int
        Bytes in the file.

    Raises
    ------
    CheckpointError
        The file is no MessagePack document of maps with text keys, is truncated, has a key twice, is too deep, or
        lies about dtypes, shapes or sizes.

    Notes
    -----
    A tensor is named by the keys that lead to it, with ``/`` between them. Flax cuts an array of more than a
    gigabyte into flat pieces, ``<name>/chunks/<number>``; each is a tensor here.
    """
    cursor = Cursor(stream, file=file, size=size)
    walk = _Walk(cursor)
    walk.value(())
    if cursor.left():
        refuse("trailing-bytes", f"{cursor.left()} bytes follow the document", file)
    return Contents(tensors=tuple(walk.tensors.values()), parsed=cursor.parsed(), findings=tuple(walk.findings))


def read(tree: Tree, file: str) -> Contents:
    """Contents of one file; raises what ``read_flax`` does."""
    with tree.open(file) as stream:
        return read_flax(stream, file=file, size=tree.sizes[file])
