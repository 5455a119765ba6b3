"""Safetensors: a strict scanner of headers.

The reference reader accepts duplicate names, empty and invisible names, and unknown fields, and takes the last of two
contradicting entries; other readers take the first. What two readers can read differently is refused here.

References
----------
safetensors format description, https://github.com/huggingface/safetensors (README, "Format").
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, BinaryIO

from attest.checkpoint.byte_range import fill, read_up_to
from attest.checkpoint.cursor import refuse
from attest.checkpoint.format import Contents, ParsedRange
from attest.checkpoint.tensor import DTYPE_BITS, Tensor, check_tensor_name
from attest.checkpoint.tree import Tree
from attest.document import parse
from attest.errors import CheckpointError, DocumentError

__all__ = ["MAX_HEADER", "read", "read_header"]

MAX_HEADER = 100_000_000
"""Largest header in bytes, as in the reference reader."""

_MAX_COMMAS = 8_000_000
"""Enough for a million tensors; a header of small values takes many times its size in memory when it is parsed."""

_SIZE_LIMIT = 2**53
"""Sizes and offsets stay below it, and so does the product of a shape's sizes other than 0: JSON keeps them exactly."""


def read_header(stream: BinaryIO, *, file: str, size: int) -> Contents:
    """Tensors and metadata of an open safetensors file.

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
        The file is truncated; the header is too long, not strict JSON, or lies about offsets, sizes, dtypes or
        names.
    """
    length_bytes = read_up_to(stream, 8)
    if len(length_bytes) < 8:
        refuse("truncated-file", f"ends after {size} bytes, before the length of its header", file)
    length = int.from_bytes(length_bytes, "little")
    if length > MAX_HEADER:
        refuse("header-too-long", f"promises a header of {length} bytes, more than {MAX_HEADER}", file)
    if 8 + length > size:
        refuse("truncated-file", f"promises a header of {length} bytes and holds {size} in all", file)
    room = bytearray(length)
    if not fill(stream, memoryview(room)):
        refuse("truncated-file", "ended while its header was read", file)
    raw = bytes(room)
    if not raw.startswith(b"{"):
        refuse("not-safetensors", "its header is not a JSON object", file)
    if raw.count(b",") > _MAX_COMMAS:
        refuse("header-too-long", f"its header holds more than {_MAX_COMMAS} values", file)
    try:
        entries = parse(raw, where=file, max_bytes=MAX_HEADER)
    except DocumentError as error:
        raise CheckpointError(error.code, error.message, fix="ask its author for an intact file", where=file) from error
    metadata = _read_metadata(entries.pop("__metadata__", {}), file)
    tensors = [_read_entry(name, entry, file=file, base=8 + length) for name, entry in entries.items()]
    tensors.sort(key=lambda tensor: (tensor.begin, tensor.end))
    _check_coverage(tensors, file=file, base=8 + length, size=size)
    parsed = ParsedRange.of(file, 0, length_bytes + raw)
    return Contents(tensors=tuple(tensors), metadata=metadata, parsed=(parsed,))


def _read_metadata(value: Any, file: str) -> Mapping[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        refuse("bad-metadata", "its __metadata__ is not an object of strings", file)
    return dict(value)


def _read_entry(name: str, entry: Any, *, file: str, base: int) -> Tensor:
    """One tensor of the header, with absolute offsets."""
    check_tensor_name(name, file=file)
    if not isinstance(entry, dict) or set(entry) != {"dtype", "shape", "data_offsets"}:
        refuse("bad-entry", f"the entry of {name!r} does not hold exactly dtype, shape and data_offsets", file)
    dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPE_BITS:
        refuse("unknown-dtype", f"the dtype {str(dtype)[:40]!r} of {name!r} is not known", file, "update attest")
    if not _are_sizes(shape) or math.prod(size or 1 for size in shape) >= _SIZE_LIMIT:
        refuse("bad-shape", f"the shape of {name!r} is not a list of at most 32 sizes that multiply to a size", file)
    if not _are_sizes(offsets) or len(offsets) != 2 or offsets[0] > offsets[1]:
        refuse("bad-offsets", f"the data_offsets of {name!r} are not [begin, end]", file)
    begin, end = offsets
    bits = math.prod(shape) * DTYPE_BITS[dtype]
    if bits != 8 * (end - begin):
        refuse("size-mismatch", f"{name!r} has {end - begin} bytes where dtype and shape need {bits / 8:.10g}", file)
    if begin % max(1, DTYPE_BITS[dtype] // 8):
        refuse("misaligned-tensor", f"{name!r} begins at {begin}, not at a multiple of its value size", file)
    return Tensor(name=name, dtype=dtype, shape=tuple(shape), file=file, begin=base + begin, end=base + end)


def _are_sizes(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) <= 32
        and all(type(item) is int and 0 <= item < _SIZE_LIMIT for item in value)
    )


def _check_coverage(tensors: list[Tensor], *, file: str, base: int, size: int) -> None:
    """The tensors follow each other without hole or overlap, from the header to the file's last byte."""
    position = base
    for tensor in tensors:
        if tensor.end > size:
            refuse("truncated-file", f"{tensor.name!r} ends at byte {tensor.end}, the file has only {size}", file)
        if tensor.begin != position:
            kind = "overlapping-tensors" if tensor.begin < position else "hole-in-data"
            refuse(kind, f"{tensor.name!r} begins at byte {tensor.begin}, expected {position}", file)
        position = tensor.end
    if position != size:
        refuse("trailing-bytes", f"{size - position} bytes follow the last tensor", file)


def read(tree: Tree, file: str) -> Contents:
    """Contents of one file; raises what ``read_header`` does."""
    with tree.open(file) as stream:
        return read_header(stream, file=file, size=tree.sizes[file])
