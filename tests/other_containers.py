"""Small files of GGUF, ONNX, CTranslate2 and Flax, well-formed or not, written without their libraries."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GGUF_TYPES = {"F32": 0, "F16": 1, "MXFP4": 39, "Q4_0": 2, "Q4_1": 3, "Q5_0": 6, "Q5_1": 7, "Q8_0": 8, "Q4_K": 12, "I8": 24,
              "I16": 25, "I32": 26, "I64": 27, "F64": 28, "BF16": 30}  # fmt: skip
ONNX_TYPES = {"F32": 1, "U8": 2, "I8": 3, "U16": 4, "I16": 5, "I32": 6, "I64": 7, "BOOL": 9, "F16": 10, "F64": 11,
              "U32": 12, "U64": 13, "C64": 14, "BF16": 16, "F8_E4M3": 17, "F8_E4M3FNUZ": 18, "F8_E5M2": 19,
              "F8_E5M2FNUZ": 20, "F4": 23, "F8_E8M0": 24}  # fmt: skip
CTRANSLATE2_TYPES = {"F32": 0, "I8": 1, "I16": 2, "I32": 3, "F16": 4, "BF16": 5}
FLAX_TYPES = {"BOOL": "bool", "U8": "uint8", "I8": "int8", "U16": "uint16", "I16": "int16", "U32": "uint32",
              "I32": "int32", "U64": "uint64", "I64": "int64", "F16": "float16", "BF16": "bfloat16", "F32": "float32",
              "F64": "float64", "C64": "complex64", "F8_E4M3": "float8_e4m3fn", "F8_E5M2": "float8_e5m2",
              "F8_E4M3FNUZ": "float8_e4m3fnuz", "F8_E5M2FNUZ": "float8_e5m2fnuz",
              "F8_E8M0": "float8_e8m0fnu"}  # fmt: skip


class Raw(NamedTuple):
    """A tensor as it goes into a file: ``kind`` is the format's own number or name of the dtype."""

    kind: Any
    shape: tuple[int, ...]
    data: bytes


def raw_tensors(tensors: Mapping[str, tuple[str, NDArray[Any]]], kinds: Mapping[str, Any]) -> dict[str, Raw]:
    """Tensors of the contract test in a format's own dtypes."""
    return {name: Raw(kinds[dtype], bits.shape, bits.tobytes()) for name, (dtype, bits) in tensors.items()}


# GGUF


def gguf_string(text: str | bytes) -> bytes:
    data = text.encode() if isinstance(text, str) else text
    return struct.pack("<Q", len(data)) + data


def gguf_pair(key: str | bytes, kind: int, value: bytes) -> bytes:
    return gguf_string(key) + struct.pack("<I", kind) + value


def gguf_text(key: str, text: str | bytes) -> bytes:
    return gguf_pair(key, 8, gguf_string(text))


def gguf_entry(name: str | bytes, shape: Iterable[int], kind: int, offset: int) -> bytes:
    """One tensor of the header; the shape as in the file, fastest dimension first."""
    sizes = list(shape)
    return gguf_string(name) + struct.pack(f"<I{len(sizes)}QIQ", len(sizes), *sizes, kind, offset)


def gguf_header(pairs: Iterable[bytes] = (), entries: Iterable[bytes] = (), *, version: int = 3) -> bytes:
    pairs, entries = list(pairs), list(entries)
    return b"GGUF" + struct.pack("<IQQ", version, len(entries), len(pairs)) + b"".join(pairs) + b"".join(entries)


def padded(data: bytes, alignment: int = 32) -> bytes:
    return data + bytes(-len(data) % alignment)


def gguf_file(
    tensors: Mapping[str, Raw], pairs: Iterable[bytes] = (), *, alignment: int = 32, version: int = 3
) -> bytes:
    """A well-formed file."""
    entries, data = [], b""
    for name, (kind, shape, values) in tensors.items():
        entries.append(gguf_entry(name, shape[::-1], kind, len(data)))
        data += padded(values, alignment)
    return padded(gguf_header(pairs, entries, version=version), alignment) + data


# ONNX


def varint(value: int) -> bytes:
    out = bytearray()
    value &= 2**64 - 1
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | bytes | str) -> bytes:
    """One field of a protocol buffer: an integer, or bytes with their length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def onnx_tensor(name: str, kind: int, shape: Iterable[int], *more: bytes) -> bytes:
    """A TensorProto with these further fields."""
    sizes = b"".join(field(1, size) for size in shape)
    return sizes + field(2, kind) + b"".join(more) + field(8, name)


def onnx_model(*initializers: bytes, graph: bytes = b"", model: bytes = b"") -> bytes:
    held = b"".join(field(5, one) for one in initializers)
    return field(1, 9) + field(2, "attest") + field(7, field(2, "graph") + held + graph) + model


def onnx_external(location: str, offset: int | str, length: int | str) -> bytes:
    pairs = {"location": location, "offset": offset, "length": length}
    return b"".join(field(13, field(1, key) + field(2, str(value))) for key, value in pairs.items()) + field(14, 1)


def onnx_file(tensors: Mapping[str, Raw]) -> bytes:
    """A well-formed file with all values inside."""
    return onnx_model(
        *(onnx_tensor(name, kind, shape, field(9, data)) for name, (kind, shape, data) in tensors.items())
    )


# CTranslate2


def ctranslate2_string(text: str) -> bytes:
    data = text.encode() + b"\0"
    return struct.pack("<H", len(data)) + data


def ctranslate2_variable(
    name: str, kind: int, shape: tuple[int, ...], data: bytes, *, size: int | None = None
) -> bytes:
    head = struct.pack(f"<B{len(shape)}IBI", len(shape), *shape, kind, len(data) if size is None else size)
    return ctranslate2_string(name) + head + data


def ctranslate2_file(
    tensors: Mapping[str, Raw], aliases: Mapping[str, str] | None = None, *, version: int = 6, count: int | None = None
) -> bytes:
    head = struct.pack("<I", version) + ctranslate2_string("TransformerSpec") + struct.pack("<I", 7)
    names = [ctranslate2_string(alias) + ctranslate2_string(name) for alias, name in (aliases or {}).items()]
    return b"".join([
        head,
        struct.pack("<I", len(tensors) if count is None else count),
        *(ctranslate2_variable(name, *one) for name, one in tensors.items()),
        struct.pack("<I", len(names)),
        *names,
    ])  # fmt: skip


# Flax


def msgpack(value: Any) -> bytes:
    """MessagePack of maps, lists, texts, bytes, integers, booleans and None, in the longest form of each."""
    if isinstance(value, Raw):
        return flax_array(value)
    if isinstance(value, dict):
        items = b"".join(msgpack(key) + msgpack(item) for key, item in value.items())
        return b"\xdf" + struct.pack(">I", len(value)) + items
    if isinstance(value, list | tuple):
        return b"\xdd" + struct.pack(">I", len(value)) + b"".join(map(msgpack, value))
    if isinstance(value, str | bytes):
        data = value.encode() if isinstance(value, str) else value
        return (b"\xdb" if isinstance(value, str) else b"\xc6") + struct.pack(">I", len(data)) + data
    if isinstance(value, bool) or value is None:
        return {None: b"\xc0", False: b"\xc2", True: b"\xc3"}[value]
    return struct.pack(">BQ" if value >= 0 else ">Bq", 0xCF if value >= 0 else 0xD3, value)


def extension(kind: int, data: bytes) -> bytes:
    return b"\xc9" + struct.pack(">IB", len(data), kind) + data


def flax_array(one: Raw) -> bytes:
    return extension(1, msgpack((list(one.shape), one.kind, one.data)))


def flax_file(tensors: Mapping[str, Raw]) -> bytes:
    """A well-formed file; ``/`` in a name leads into a map."""
    tree: dict[str, Any] = {}
    for name, one in tensors.items():
        *path, last = name.split("/")
        place = tree
        for key in path:
            place = place.setdefault(key, {})
        place[last] = one
    return msgpack(tree)


def floats(*shape: int, seed: int = 1) -> Raw:
    """F32 values for formats that number it 0 or name it otherwise; replace ``kind`` where it differs."""
    values = np.random.Generator(np.random.Philox(seed)).normal(size=shape).astype("<f4")
    return Raw(0, shape, values.tobytes())
