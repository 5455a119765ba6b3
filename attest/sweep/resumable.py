"""A SHA-256 that can be taken up again: its state is a few bytes, which that of ``hashlib`` does not give away.

It is several times slower than the processor's own instructions, which ``hashlib`` uses, and as fast as a network.

References
----------
FIPS 180-4, sections 4.1.2, 5.3.3 and 6.2.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from attest.native import Kernel

__all__ = ["ResumableSha256"]

_BLOCK = 64
_WORDS = 32
_LENGTH = 8


@cache
def _fractions(root: int, count: int) -> NDArray[np.uint32]:
    """First 32 bits of the fractional parts of the square or cube roots of the first primes."""
    primes = [n for n in range(2, 312) if all(n % divisor for divisor in range(2, math.isqrt(n) + 1))]
    scaled = (prime << (32 * root) for prime in primes[:count])
    return np.array([_integer_root(one, root) & 0xFFFFFFFF for one in scaled], np.uint32)


def _integer_root(value: int, root: int) -> int:
    low, high = 0, 1 << (value.bit_length() // root + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle**root <= value else (low, middle)
    return low


class ResumableSha256:
    """SHA-256 of the bytes that it was given.

    Parameters
    ----------
    state : bytes, optional
        Where to go on: what ``state`` gave.
    """

    def __init__(self, state: bytes = b"") -> None:
        self._words = np.frombuffer(state[:_WORDS], "<u4").copy() if state else _fractions(2, 8).copy()
        self._length = int.from_bytes(state[_WORDS : _WORDS + _LENGTH], "little")
        self._rest = state[_WORDS + _LENGTH :]

    def state(self) -> bytes:
        """All that is needed to go on: the eight words, the number of bytes so far, and those of a block not full."""
        return self._words.astype("<u4").tobytes() + self._length.to_bytes(_LENGTH, "little") + self._rest

    def update(self, data: bytes | memoryview) -> None:
        """Go on with these bytes."""
        self._length += len(data)
        if self._rest:
            missing = _BLOCK - len(self._rest)
            self._rest, data = self._rest + bytes(data[:missing]), data[missing:]
            if len(self._rest) < _BLOCK:
                return
            self._compress(self._rest, 1)
        n_blocks = len(data) // _BLOCK
        self._compress(data, n_blocks)
        self._rest = bytes(data[n_blocks * _BLOCK :])

    def _compress(self, data: bytes | memoryview, n_blocks: int) -> None:
        if n_blocks:
            _COMPRESS(
                np.frombuffer(data, np.uint8), n_blocks, self._words, _fractions(3, 64), np.empty(_BLOCK, np.uint32)
            )

    def hexdigest(self) -> str:
        """Digest of all bytes so far; more may follow."""
        ended = ResumableSha256(self.state())
        padding = b"\x80" + bytes((55 - self._length) % _BLOCK) + (8 * self._length).to_bytes(8, "big")
        ended.update(padding)
        return ended._words.astype(">u4").tobytes().hex()

    @classmethod
    def at(cls, state: bytes | None, sha256: str) -> Self | None:
        """Go on at a state; None where it is none, or not one in which the bytes so far have this digest."""
        if state is None or not _WORDS + _LENGTH <= len(state) < _WORDS + _LENGTH + _BLOCK:
            return None
        found = cls(state)
        return found if found.hexdigest() == sha256 else None


def _compress(data: Any, n_blocks: int, words: Any, constants: Any, schedule: Any) -> None:
    """Take in blocks of 64 bytes. A word beside itself, as 64 bits, is turned right by a shift."""
    beside = np.uint64(32)
    for first in range(0, 64 * n_blocks, 64):
        for position in range(16):
            at = first + 4 * position
            high = (np.uint32(data[at]) << np.uint32(24)) | (np.uint32(data[at + 1]) << np.uint32(16))
            low = (np.uint32(data[at + 2]) << np.uint32(8)) | np.uint32(data[at + 3])
            schedule[position] = np.uint32(high | low)
        for position in range(16, 64):
            one, other = np.uint64(schedule[position - 15]), np.uint64(schedule[position - 2])
            two, four = one | (one << beside), other | (other << beside)
            small = (two >> np.uint64(7)) ^ (two >> np.uint64(18)) ^ (one >> np.uint64(3))
            large = (four >> np.uint64(17)) ^ (four >> np.uint64(19)) ^ (other >> np.uint64(10))
            schedule[position] = np.uint32(
                np.uint64(schedule[position - 16]) + small + np.uint64(schedule[position - 7]) + large
            )
        a, b, c, d = words[0], words[1], words[2], words[3]
        e, f, g, h = words[4], words[5], words[6], words[7]
        for position in range(64):
            two, four = np.uint64(e) | (np.uint64(e) << beside), np.uint64(a) | (np.uint64(a) << beside)
            large = (two >> np.uint64(6)) ^ (two >> np.uint64(11)) ^ (two >> np.uint64(25))
            small = (four >> np.uint64(2)) ^ (four >> np.uint64(13)) ^ (four >> np.uint64(22))
            chosen, most = (e & f) ^ (~e & g), (a & b) ^ (a & c) ^ (b & c)
            step = np.uint32(np.uint32(h) + np.uint32(large) + chosen + constants[position] + schedule[position])
            h, g, f, e = g, f, e, np.uint32(d + step)
            d, c, b, a = c, b, a, np.uint32(step + np.uint32(small) + most)
        words[0] += a
        words[1] += b
        words[2] += c
        words[3] += d
        words[4] += e
        words[5] += f
        words[6] += g
        words[7] += h


_COMPRESS = Kernel(_compress, "uint8*", "int64", "uint32*", "uint32*", "uint32*")
