"""GGUF: a strict scanner of headers, versions 2 and 3.

The reference reader hangs on a file of 60 bytes that promises 2**40 values, and takes 14 seconds to open one of
250 MB; it accepts tensors that overlap. What two readers can read differently is refused here, and a promise is
checked against the bytes there are before it is followed. Templates among the metadata are text here, and never run.

References
----------
GGUF specification, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import calcsize
from typing import BinaryIO, Final

from attest.checkpoint.cursor import Cursor, refuse
from attest.checkpoint.format import Contents
from attest.checkpoint.tensor import BLOCKS, DTYPE_BITS, Tensor, check_tensor_name
from attest.checkpoint.tree import Tree
from attest.digest import sha256
from attest.errors import CheckpointError

__all__ = ["read", "read_gguf"]

_TYPES = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 6: "Q5_0", 7: "Q5_1", 8: "Q8_0", 9: "Q8_1", 10: "Q2_K", 11: "Q3_K",
    12: "Q4_K", 13: "Q5_K", 14: "Q6_K", 15: "Q8_K", 16: "IQ2_XXS", 17: "IQ2_XS", 18: "IQ3_XXS", 19: "IQ1_S",
    20: "IQ4_NL", 21: "IQ3_S", 22: "IQ2_S", 23: "IQ4_XS", 24: "I8", 25: "I16", 26: "I32", 27: "I64", 28: "F64",
    29: "IQ1_M", 30: "BF16", 34: "TQ1_0", 35: "TQ2_0", 39: "MXFP4", 40: "NVFP4", 41: "Q1_0",
}  # fmt: skip
"""Tensor types by number."""

_NUMBERS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
"""Metadata types of one number, with its letter in ``struct``."""

_STRING: Final = 8
_ARRAY: Final = 9
_KIND_NAMES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "bool", "string", "array", "uint64",
               "int64", "float64")  # fmt: skip

_CONFIG = {
    "block_count": "num_hidden_layers",
    "embedding_length": "hidden_size",
    "feed_forward_length": "intermediate_size",
    "attention.head_count": "num_attention_heads",
    "attention.head_count_kv": "num_key_value_heads",
    "attention.key_length": "head_dim",
}
"""Metadata keys, after the name of the architecture, and what ``config.json`` calls the same."""

_MAX_TENSORS = 1_000_000
_MAX_KEYS = 100_000
_MAX_KEY = 1024
_MAX_TEXT = 64 * 1024
"""Bytes of the longest metadata string, or strings in an array, that are kept whole."""

_ABOUT = "general."
"""Begins the names of keys that tell of a model as a whole: of arrays the strings themselves are kept."""

_MAX_DIMENSIONS = 4
_MAX_ALIGNMENT = 2**20
_SIZE_LIMIT = 2**53
_SMALLEST_KEY = 13
_SMALLEST_TENSOR = 24
_SPLIT = re.compile(r"(?P<stem>.*)-(?P<part>\d{5})-of-(?P<parts>\d{5})\.gguf", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """One tensor as the header has it; ``size`` is None where its type is not known."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    offset: int
    size: int | None


def read_gguf(stream: BinaryIO, *, file: str, size: int) -> Contents:
    """Tensors and metadata of an open GGUF file.

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
        The file is truncated, big-endian or of another version; its header promises more than the file can hold,
        has a key or a name twice, nests arrays, or lies about shapes, offsets or sizes.

    Notes
    -----
    Shapes are row-major: the reverse of the file's. A tensor of a type that is not known reaches to the next tensor,
    or to the end of the file, and is only digested.
    """
    cursor = Cursor(stream, file=file, size=size)
    n_tensors, n_keys = _read_counts(cursor)
    metadata: dict[str, str] = {}
    for _ in range(n_keys):
        _read_pair(cursor, metadata)
    alignment = _alignment(cursor, metadata)
    entries = [_read_entry(cursor) for _ in range(n_tensors)]
    names = set[str]()
    for entry in entries:
        if entry.name in names:
            refuse("duplicate-tensor", f"holds {entry.name!r} twice", cursor.file)
        names.add(entry.name)
    padding = -cursor.position % alignment
    if entries:
        cursor.pass_by(padding)
    else:
        cursor.pass_by(cursor.left() if cursor.left() <= padding else 0)
    base = cursor.position
    tensors = _place(cursor, sorted(entries, key=lambda one: (one.offset, one.size != 0)), base, alignment)
    return Contents(tensors=tensors, metadata=metadata, config=_config(metadata), parsed=cursor.parsed())


def _read_counts(cursor: Cursor) -> tuple[int, int]:
    """Number of tensors and of metadata keys."""
    if cursor.read(min(4, cursor.left())) != b"GGUF":
        refuse("not-gguf", "does not begin with GGUF", cursor.file)
    version = cursor.integer(4)
    if version and not version & 0xFFFF:
        refuse("big-endian", "is a big-endian file", cursor.file, "convert it to little-endian")
    if version not in {2, 3}:
        refuse(
            "unknown-version", f"is of version {version}; 2 and 3 are read", cursor.file, "convert it with llama.cpp"
        )
    n_tensors, n_keys = cursor.integer(8), cursor.integer(8)
    if n_tensors > min(_MAX_TENSORS, cursor.left() // _SMALLEST_TENSOR):
        refuse("truncated-file", f"promises {n_tensors} tensors and has {cursor.left()} bytes left", cursor.file)
    if n_keys > min(_MAX_KEYS, cursor.left() // _SMALLEST_KEY):
        refuse("truncated-file", f"promises {n_keys} metadata keys and has {cursor.left()} bytes left", cursor.file)
    return n_tensors, n_keys


def _read_string(cursor: Cursor, limit: int, what: str) -> str:
    length = cursor.integer(8)
    if length > limit:
        refuse("bad-metadata", f"{what} of {length} bytes is longer than {limit}", cursor.file)
    try:
        return cursor.read(length).decode()
    except UnicodeDecodeError:
        refuse("not-utf-8", f"{what} is not valid UTF-8 text", cursor.file)


def _read_pair(cursor: Cursor, metadata: dict[str, str]) -> None:
    """Add a metadata key and its value, as text."""
    key = _read_string(cursor, _MAX_KEY, "a metadata key")
    if key in metadata:
        refuse("duplicate-key", f"has the metadata key {key[:200]!r} twice", cursor.file)
    kind = cursor.integer(4)
    if kind in _NUMBERS:
        metadata[key] = _read_number(cursor, kind)
    elif kind == _STRING:
        metadata[key] = _read_text(cursor)
    elif kind == _ARRAY:
        metadata[key] = _read_array(cursor, with_texts=key.startswith(_ABOUT))
    else:
        refuse("bad-metadata", f"the value of {key[:200]!r} is of the unknown type {kind}", cursor.file)


def _read_number(cursor: Cursor, kind: int) -> str:
    if kind == 7:
        flag = cursor.integer(1)
        if flag > 1:
            refuse("bad-metadata", f"a truth value is {flag}", cursor.file)
        return "true" if flag else "false"
    return str(cursor.number(_NUMBERS[kind]))


def _read_text(cursor: Cursor) -> str:
    """A string, of a very long one the beginning; bytes that are not UTF-8 are replaced, as tokens may hold parts of characters."""
    data = cursor.read(cursor.integer(8))
    if len(data) <= _MAX_TEXT:
        return data.decode(errors="replace")
    return f"{data[:_MAX_TEXT].decode(errors='replace')} [cut: {len(data)} bytes, sha256 {sha256(data)}]"


def _read_array(cursor: Cursor, *, with_texts: bool) -> str:
    """An array's kind, length and the digest of its bytes; of one with a few strings, where wanted, these."""
    kind, count = cursor.integer(4), cursor.integer(8)
    if kind == _ARRAY:
        refuse("bad-metadata", "an array holds arrays", cursor.file)
    if kind not in _NUMBERS and kind != _STRING:
        refuse("bad-metadata", f"an array holds values of the unknown type {kind}", cursor.file)
    smallest = calcsize("<" + _NUMBERS.get(kind, "Q"))
    if count * smallest > cursor.left():
        refuse("truncated-file", f"promises an array of {count} values and has {cursor.left()} bytes left", cursor.file)
    begin = cursor.position
    if kind == _STRING:
        for _ in range(count):
            cursor.pass_by(cursor.integer(8))
    else:
        cursor.pass_by(count * smallest)
    data = cursor.passed(begin)
    if kind == _STRING and with_texts and len(data) <= _MAX_TEXT:
        return ", ".join(_texts(data, count))
    return f"array of {count} {_KIND_NAMES[kind]}, sha256 {sha256(data)}"


def _texts(data: bytes, count: int) -> Iterator[str]:
    """Strings that follow each other."""
    begin = 0
    for _ in range(count):
        length = int.from_bytes(data[begin : begin + 8], "little")
        yield data[begin + 8 : begin + 8 + length].decode(errors="replace")
        begin += 8 + length


def _config(metadata: Mapping[str, str]) -> dict[str, int]:
    """Sizes of the network as the metadata claims them; those that differ by layer are left out."""
    architecture = metadata.get("general.architecture", "")
    claims = {name: metadata.get(f"{architecture}.{key}", "") for key, name in _CONFIG.items()}
    return {name: int(text) for name, text in claims.items() if text.isascii() and text.isdigit() and len(text) < 10}


def _alignment(cursor: Cursor, metadata: Mapping[str, str]) -> int:
    text = metadata.get("general.alignment", "32")
    value = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not value or value & (value - 1) or value > _MAX_ALIGNMENT or value % 8:
        refuse("bad-alignment", f"general.alignment is {text[:40]!r}, not 8 or more times a power of two", cursor.file)
    return value


def _read_entry(cursor: Cursor) -> _Entry:
    """One tensor of the header."""
    name = _read_string(cursor, 4 * _MAX_KEY, "a tensor name")
    check_tensor_name(name, file=cursor.file)
    n_dimensions = cursor.integer(4)
    if n_dimensions > _MAX_DIMENSIONS:
        refuse("bad-shape", f"{name!r} has {n_dimensions} dimensions, more than {_MAX_DIMENSIONS}", cursor.file)
    shape = tuple(cursor.integer(8) for _ in range(n_dimensions))[::-1]
    if any(one >= _SIZE_LIMIT for one in shape) or math.prod(one or 1 for one in shape) >= _SIZE_LIMIT:
        refuse("bad-shape", f"the sizes of {name!r} multiply to more than 2**53", cursor.file)
    kind, offset = cursor.integer(4), cursor.integer(8)
    dtype = _TYPES.get(kind, f"GGML_{kind}")
    values, block = BLOCKS.get(dtype) or (1, DTYPE_BITS.get(dtype, 0) // 8)
    if (shape[-1] if shape else 1) % values:
        refuse("bad-shape", f"the last size of {name!r} is no multiple of {values}, a block of {dtype}", cursor.file)
    size = math.prod(shape) // values * block if block else None
    return _Entry(name=name, dtype=dtype, shape=shape, offset=offset, size=size)


def _place(cursor: Cursor, entries: list[_Entry], base: int, alignment: int) -> tuple[Tensor, ...]:
    """Tensors that follow each other, each padded to the alignment, from the header to the end of the file."""
    tensors: list[Tensor] = []
    position = base
    for index, entry in enumerate(entries):
        begin = base + entry.offset
        if entry.offset % alignment:
            refuse(
                "misaligned-tensor", f"{entry.name!r} begins at {entry.offset}, no multiple of {alignment}", cursor.file
            )
        if begin != position:
            kind = "overlapping-tensors" if begin < position else "hole-in-data"
            refuse(kind, f"{entry.name!r} begins at byte {begin}, expected {position}", cursor.file)
        if entry.size is None:
            end = base + entries[index + 1].offset if index + 1 < len(entries) else cursor.size
        else:
            end = begin + entry.size
        if entry.size is None and end == begin and 0 not in entry.shape:
            refuse("overlapping-tensors", f"{entry.name!r} begins where another does", cursor.file)
        if not begin <= end <= cursor.size:
            refuse("truncated-file", f"{entry.name!r} ends at byte {end}, the file has only {cursor.size}", cursor.file)
        tensors.append(
            Tensor(name=entry.name, dtype=entry.dtype, shape=entry.shape, file=cursor.file, begin=begin, end=end)
        )
        position = end + (base - end) % alignment
    if cursor.size > position:
        refuse("trailing-bytes", f"{cursor.size - position} bytes follow the last tensor", cursor.file)
    return tuple(tensors)


def _check_split(tree: Tree, file: str, metadata: Mapping[str, str]) -> None:
    """Where a file says that it is one of several, by its name and inside, all of them are there."""
    count = metadata.get("split.count", "0")
    named = _SPLIT.fullmatch(file)
    if named is None:
        if count not in {"0", "1"}:
            raise CheckpointError(
                "missing-shard", f"is one of {count[:20]} files and not named so", fix="give all parts", where=file
            )
        return
    parts = named["parts"]
    if count != str(int(parts)) or metadata.get("split.no") != str(int(named["part"]) - 1):
        raise CheckpointError(
            "bad-metadata", "says another part of the whole inside than by its name", fix="ask its author", where=file
        )
    for part in range(1, int(parts) + 1):
        other = f"{named['stem']}-{part:05}-of-{parts}{file[-5:]}"
        if other not in tree.sizes:
            raise CheckpointError(
                "missing-shard",
                f"is one of {parts} parts, and {other!r} is not there",
                fix="give all parts",
                where=file,
            )


def read(tree: Tree, file: str) -> Contents:
    """Contents of one file; raises what ``read_gguf`` does."""
    with tree.open(file) as stream:
        contents = read_gguf(stream, file=file, size=tree.sizes[file])
    _check_split(tree, file, contents.metadata)
    return contents
