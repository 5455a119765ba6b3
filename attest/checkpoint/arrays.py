"""Named arrays as the bytes of a safetensors file: how fingerprints are kept and shared."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.safetensors import read_header
from attest.checkpoint.safetensors_writer import PendingTensor, write_stream
from attest.checkpoint.tensor import BITS
from attest.errors import DocumentError

__all__ = ["pack_arrays", "unpack_arrays"]

_DTYPES = {"|i1": "I8", "<u2": "U16", "<i4": "I32", "<i8": "I64", "<u8": "U64", "<f4": "F32", "<f8": "F64"}


def pack_arrays(arrays: Mapping[str, NDArray[Any]], metadata: Mapping[str, str]) -> bytes:
    """Bytes of a safetensors file; equal arrays give equal bytes.

    Parameters
    ----------
    arrays : mapping of str to ndarray
        int8, uint16, int32, int64, uint64, float32 or float64.
    metadata : mapping of str to str
        Becomes ``__metadata__``.
    """
    stream = io.BytesIO()
    pending = [
        PendingTensor(name=name, dtype=_DTYPES[array.dtype.str], shape=array.shape, pieces=(array,).__iter__)
        for name, array in arrays.items()
    ]
    write_stream(stream, pending, metadata, where="arrays")
    return stream.getvalue()


def unpack_arrays(data: bytes, *, where: str) -> dict[str, NDArray[Any]]:
    """Arrays in the bytes of a safetensors file.

    Raises
    ------
    CheckpointError
        The header is not strict.
    DocumentError
        An array has a dtype that no fingerprint uses.
    """
    found = read_header(io.BytesIO(data), file=where, size=len(data))
    arrays = {}
    for tensor in found.tensors:
        if tensor.dtype not in _DTYPES.values():
            raise DocumentError(
                "unknown-dtype", f"{tensor.name!r} is {tensor.dtype}", fix="ask for an intact copy", where=where
            )
        values = np.frombuffer(data[tensor.begin : tensor.end], dtype=BITS[tensor.dtype])
        arrays[tensor.name] = values.reshape(tensor.shape)
    return arrays
