"""Files as torch.save writes them, well-formed and malformed, made without torch: pickles by their opcodes, and zips."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

STORAGES = {
    "F64": "DoubleStorage", "F32": "FloatStorage", "F16": "HalfStorage", "BF16": "BFloat16Storage", "I64": "LongStorage",
    "I32": "IntStorage", "I16": "ShortStorage", "I8": "CharStorage", "U8": "ByteStorage", "BOOL": "BoolStorage",
    "C64": "ComplexFloatStorage",
}  # fmt: skip
UNTYPED = {
    "U16": "uint16", "U32": "uint32", "U64": "uint64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
    "F8_E8M0": "float8_e8m0fnu", "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
}  # fmt: skip
"""Dtypes that torch keeps in storages of bytes, with their names in torch."""


@dataclass(frozen=True)
class Name:
    """A global in a pickle: ``Name("torch", "FloatStorage")``."""

    module: str
    name: str


@dataclass(frozen=True)
class Made:
    """The result of a call in a pickle, with what is set on it and the state that it gets."""

    function: Any
    arguments: Any = ()
    pairs: Mapping[Any, Any] = field(default_factory=dict)
    state: Any = None


@dataclass(frozen=True)
class Stored:
    """A persistent id in a pickle."""

    id: Any


@dataclass(frozen=True)
class Raw:
    """Opcodes in a pickle as they are."""

    code: bytes


def pickled(value: Any) -> bytes:
    """A pickle of protocol 2 of numbers, texts, containers, and of calls that are never made here."""
    return b"\x80\x02" + emit(value) + b"."


def emit(value: Any) -> bytes:  # noqa: C901, PLR0911, PLR0912 - one line a type
    """Opcodes that leave one value on the stack."""
    match value:
        case Raw(code):
            return code
        case None:
            return b"N"
        case bool():
            return b"\x88" if value else b"\x89"
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            text = value.encode("utf-8", "surrogatepass")
            return b"X" + struct.pack("<I", len(text)) + text
        case bytes():
            return b"B" + struct.pack("<I", len(value)) + value
        case tuple():
            return b"(" + b"".join(map(emit, value)) + b"t"
        case list():
            return b"](" + b"".join(map(emit, value)) + b"e"
        case dict():
            return b"}" + _pairs(value)
        case Name(module, name):
            return f"c{module}\n{name}\n".encode()
        case Stored(one):
            return emit(one) + b"Q"
        case Made(function, arguments, pairs, state):
            made = emit(function) + emit(arguments) + b"R"
            return made + (_pairs(pairs) if pairs else b"") + (b"" if state is None else emit(state) + b"b")
    raise TypeError(value)


def _pairs(pairs: Mapping[Any, Any]) -> bytes:
    return b"(" + b"".join(emit(key) + emit(item) for key, item in pairs.items()) + b"u"


def ordered(pairs: Mapping[Any, Any]) -> Made:
    """An OrderedDict, as a state_dict is one."""
    return Made(Name("collections", "OrderedDict"), (), pairs)


def storage(kind: str, key: str, count: int) -> Stored:
    """A storage; ``kind`` as ``FloatStorage``, or ``storage.UntypedStorage`` whose count is in bytes."""
    folder, _, name = kind.rpartition(".")
    return Stored(("storage", Name(".".join(filter(None, ("torch", folder))), name), key, "cpu", count))


def rebuilt(stored: Any, shape: Sequence[int], *, offset: Any = 0, stride: Any = None, dtype: str = "") -> Made:
    """A tensor of a storage, row-major unless strides are given; ``dtype`` for a storage of bytes."""
    strides = stride if stride is not None else tuple(int(np.prod(shape[at + 1 :])) for at in range(len(shape)))
    arguments = (stored, offset, tuple(shape), strides, False, ordered({}))
    if dtype:
        return Made(Name("torch._utils", "_rebuild_tensor_v3"), (*arguments, Name("torch", dtype)))
    return Made(Name("torch._utils", "_rebuild_tensor_v2"), arguments)


def parameter(tensor: Made) -> Made:
    """A tensor that is a parameter."""
    return Made(Name("torch._utils", "_rebuild_parameter"), (tensor, True, ordered({})))


def tensor_of(dtype: str, bits: NDArray[Any], key: str) -> Made:
    """A tensor whose values fill its own storage."""
    if dtype in UNTYPED:
        return rebuilt(storage("storage.UntypedStorage", key, bits.nbytes), bits.shape, dtype=UNTYPED[dtype])
    return rebuilt(storage(STORAGES[dtype], key, bits.size), bits.shape)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One file of a zip, and what its three descriptions say; None stands for the truth."""

    name: str
    data: bytes
    local_name: bytes | None = None
    local_size: int | None = None
    central_name: bytes | None = None
    central_size: int | None = None
    central_offset: int | None = None
    method: int = 0
    flags: int = 0x808
    descriptor_size: int | None = None
    crc: int | None = None
    local_crc: int = 0
    wide: bool = False
    """Sizes of 64 bits, as torch writes them from 4 GB on: in front only the size, behind and in the directory both."""


def zipped(parts: Sequence[Part], *, before: bytes = b"", comment: bytes = b"", end64: bool = True) -> bytes:
    """A zip as torch writes it: stored files whose bytes begin at multiples of 64, sizes behind them, a 64-bit end."""
    body, directory = bytearray(before), bytearray()
    for part in parts:
        header, size, name = len(body), len(part.data), part.name.encode()
        crc = zlib.crc32(part.data) if part.crc is None else part.crc
        local = name if part.local_name is None else part.local_name
        wide_local = struct.pack("<2H2Q", 1, 16, size, 0) if part.wide else b""
        padding = -(header + 30 + len(local) + len(wide_local) + 4) % 64
        extra = wide_local + b"FB" + struct.pack("<H", padding) + b"Z" * padding
        stated = part.local_size or (0 if part.flags & 8 else size)
        local_crc = part.local_crc or (0 if part.flags & 8 else crc)
        body += struct.pack("<4s5H3I2H", b"PK\3\4", 0, part.flags, part.method, 0, 0, local_crc, stated, stated,
                            len(local), len(extra)) + local + extra + part.data  # fmt: skip
        if part.flags & 8:
            behind = size if part.descriptor_size is None else part.descriptor_size
            body += struct.pack("<4sI2Q" if part.wide else "<4s3I", b"PK\7\x08", crc, behind, behind)
        name = name if part.central_name is None else part.central_name
        size = size if part.central_size is None else part.central_size
        header = header if part.central_offset is None else part.central_offset
        extra = struct.pack("<2H3Q", 1, 24, size, size, header) if part.wide else b""
        size, header = (0xFFFFFFFF, 0xFFFFFFFF) if part.wide else (size, header)
        directory += struct.pack("<4s6H3I5H2I", b"PK\1\2", 0, 0, part.flags, part.method, 0, 0, crc, size, size,
                                 len(name), len(extra), 0, 0, 0, 0, header) + name + extra  # fmt: skip
    count, begin, end = len(parts), len(body), len(body) + len(directory)
    wide = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 0, 45, 0, 0, count, count, end - begin, begin)
    wide += struct.pack("<4sIQI", b"PK\6\7", 0, end, 1)
    short = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, end - begin, begin, len(comment))
    return bytes(body + directory) + (wide if end64 else b"") + short + comment


def archive(value: Any, storages: Mapping[str, bytes], *, root: str = "archive", **others: bytes) -> bytes:
    """A file of torch.save: the pickle of a value, storages by key, and other files by name."""
    files = {"data.pkl": value if isinstance(value, bytes) else pickled(value), "byteorder": b"little"}
    files |= {f"data/{key}": data for key, data in storages.items()} | {"version": b"3\n"} | others
    return zipped([Part(name=f"{root}/{name}", data=data) for name, data in files.items()])


def write_torch(path: Path, tensors: Mapping[str, tuple[str, NDArray[Any]]]) -> None:
    """Write tensors, given by dtype and bits, as a state_dict."""
    storages = {str(key): bits.tobytes() for key, (_, bits) in enumerate(tensors.values())}
    made = {name: tensor_of(dtype, bits, str(key)) for key, (name, (dtype, bits)) in enumerate(tensors.items())}
    path.write_bytes(archive(ordered(made), storages, root=path.stem))
