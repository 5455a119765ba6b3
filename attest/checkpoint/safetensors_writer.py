"""Writing safetensors files: one pass, little memory, the same bytes for the same tensors."""

from __future__ import annotations

import contextlib
import json
import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.safetensors import MAX_HEADER
from attest.checkpoint.tensor import BITS
from attest.errors import CheckpointError

__all__ = ["PendingTensor", "write_safetensors", "write_stream"]

_REFERENCE_ORDER = (
    *("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"),
    *("I16", "U16", "F16", "BF16", "I32", "U32", "F32", "C64", "F64", "I64", "U64"),
)
_RANK = {dtype: rank for rank, dtype in enumerate(_REFERENCE_ORDER)}
_ITEMS = {dtype: np.dtype(bits) for dtype, bits in BITS.items()}
_FIX = "report this with the command that was run"


@dataclass(frozen=True, kw_only=True, slots=True)
class PendingTensor:
    """A tensor that is announced first and produced when its turn to be written comes.

    Parameters
    ----------
    name : str
        Any text except ``__metadata__``.
    dtype : str
        A key of ``BITS``, spelled as in safetensors.
    shape : tuple of int
        Row-major; ``()`` is one value.
    pieces : callable
        Returns the values as arrays of the type in ``BITS`` that follow one another in row-major order: the
        whole tensor in one array, or a large one in bands of rows. Called once.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterable[NDArray[Any]]]

    @property
    def n_bytes(self) -> int:
        """Size of the values in the file, in bytes."""
        return math.prod(self.shape) * _ITEMS[self.dtype].itemsize


def write_safetensors(path: Path, tensors: Iterable[PendingTensor], metadata: Mapping[str, str] | None = None) -> None:
    """Write one safetensors file, whole or not at all.

    Parameters
    ----------
    path : Path
        The file to make or to replace; its folder is made if it is missing. A temporary file beside it is renamed
        onto it when everything was written.
    tensors : iterable of PendingTensor
        In any order; each is produced once, when its bytes are due.
    metadata : mapping of str to str, optional
        Becomes ``__metadata__``; left out when None.

    Raises
    ------
    CheckpointError
        A name is taken twice, reserved or not Unicode text, a dtype is unknown, a shape is negative, the header
        exceeds 100 MB, a tensor's pieces are not of its announced type and size, or the file cannot be written.

    Notes
    -----
    Equal input gives equal bytes. Tensors lie in the order of the reference writer, wider dtypes first and then by
    name, so that every tensor is aligned to its own item size; the header is compact JSON in that same order, with
    sorted ``__metadata__``, padded with spaces to a multiple of 8 bytes. Memory is one piece at a time.

    References
    ----------
    https://github.com/huggingface/safetensors, section "Format".
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("xb") as stream:
            write_stream(stream, tensors, metadata, where=str(path))
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        raise CheckpointError(
            "cannot-write", f"cannot be written ({error.strerror})", fix="choose another place", where=str(path)
        ) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_stream(
    stream: BinaryIO, tensors: Iterable[PendingTensor], metadata: Mapping[str, str] | None = None, *, where: str
) -> None:
    """Write the bytes of a safetensors file to an open stream; ``where`` names it in errors."""
    pending = _in_order(tensors, where)
    header = _header(pending, metadata, where)
    stream.write(len(header).to_bytes(8, "little"))
    stream.write(header)
    for tensor in pending:
        _write_values(stream, tensor, where)


def _in_order(tensors: Iterable[PendingTensor], where: str) -> tuple[PendingTensor, ...]:
    pending = tuple(tensors)
    names = set()
    for tensor in pending:
        if tensor.name in names or tensor.name == "__metadata__":
            _refuse(f"the tensor name {tensor.name!r} is taken", where)
        if tensor.dtype not in _RANK:
            _refuse(f"the tensor {tensor.name!r} has the dtype {tensor.dtype!r}, which cannot be written", where)
        if min(tensor.shape, default=0) < 0:
            _refuse(f"the tensor {tensor.name!r} has the shape {tensor.shape}", where)
        names.add(tensor.name)
    return tuple(sorted(pending, key=lambda tensor: (-_RANK[tensor.dtype], tensor.name)))


def _header(pending: Sequence[PendingTensor], metadata: Mapping[str, str] | None, where: str) -> bytes:
    fields: dict[str, object] = {}
    if metadata is not None:
        fields["__metadata__"] = dict(sorted(metadata.items()))
    begin = 0
    for tensor in pending:
        end = begin + tensor.n_bytes
        fields[tensor.name] = {"dtype": tensor.dtype, "shape": tensor.shape, "data_offsets": (begin, end)}
        begin = end
    try:
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        _refuse("a tensor name or the metadata is not Unicode text", where)
    padded = text + b" " * (-len(text) % 8)
    if len(padded) > MAX_HEADER:
        _refuse(f"the header takes {len(padded)} bytes, more than {MAX_HEADER}", where)
    return padded


def _write_values(stream: BinaryIO, tensor: PendingTensor, where: str) -> None:
    announced, n_bytes = _ITEMS[tensor.dtype], tensor.n_bytes
    written = 0
    for piece in tensor.pieces():
        if piece.dtype != announced:
            _refuse(f"the tensor {tensor.name!r} of {tensor.dtype} came as {piece.dtype}", where)
        written += piece.nbytes
        if written > n_bytes:
            break
        stream.write(np.ascontiguousarray(piece).reshape(-1).view(np.uint8).data)
    if written != n_bytes:
        _refuse(f"the tensor {tensor.name!r} of {n_bytes} bytes came with {written}", where)


def _refuse(message: str, where: str) -> NoReturn:
    raise CheckpointError("bad-tensor", message, fix=_FIX, where=where)
