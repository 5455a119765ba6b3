"""What lies beside the codes of a packed weight, read ahead, and digested as it is read."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint import Tensor
from attest.checkpoint.packed import Read, of_matrix
from attest.digest import CHUNK_SIZE, tensor_digest

__all__ = ["Beside"]

_AT_ONCE = 1 << 24
"""Bytes that are read at once of a tensor with a part for every matrix, if one part is not longer."""


class Beside:
    """One tensor beside codes: with a part for each matrix of a stack, or the same for all of them.

    Parameters
    ----------
    tensor : Tensor
    stacked : int or None
        Matrices in the stack; None for a weight that is none.
    read : callable
        Gives the bits of a tensor, or of a part of it.
    """

    def __init__(self, tensor: Tensor, stacked: int | None, read: Read) -> None:
        one = tensor if stacked is None else of_matrix(tensor, 0, stacked)
        self._tensor, self._read = tensor, read
        self._count = None if one is tensor else stacked
        self._one_bytes = one.end - one.begin
        self._together = max(1, _AT_ONCE // max(1, self._one_bytes))
        self._held: NDArray[Any] | None = None
        self._chunks: list[bytes] = []
        self._chunk, self._room = hashlib.sha256(), CHUNK_SIZE

    def of(self, number: int) -> NDArray[Any]:
        """Bits for one matrix, in the dtype of ``attest.checkpoint.tensor.BITS``; the matrices are asked for in order."""
        if self._count is None:
            return self._held if self._held is not None else self._take(self._tensor)
        first = number - number % self._together
        held = self._held if self._held is not None and number > first else self._take(self._part(first, self._count))
        found: NDArray[Any] = held[number - first]
        return found

    def _part(self, first: int, count: int) -> Tensor:
        """As many matrices from the first on as are read at once."""
        n = min(self._together, count - first)
        begin = self._tensor.begin + first * self._one_bytes
        return replace(self._tensor, shape=(n, *self._tensor.shape[1:]), begin=begin, end=begin + n * self._one_bytes)

    def _take(self, part: Tensor) -> NDArray[Any]:
        self._held = bits = self._read(part)
        data = np.ascontiguousarray(bits).reshape(-1).view(np.uint8).data
        while len(data):
            own, data = data[: self._room], data[self._room :]
            self._chunk.update(own)
            self._room -= len(own)
            if not self._room:
                self._end_chunk()
        return bits

    def _end_chunk(self) -> None:
        self._chunks.append(self._chunk.digest())
        self._chunk, self._room = hashlib.sha256(), CHUNK_SIZE

    def digest(self) -> str:
        """Of all that was read, as if it were one tensor."""
        if self._room < CHUNK_SIZE:
            self._end_chunk()
        return tensor_digest(self._tensor.dtype, self._tensor.shape, self._chunks)
