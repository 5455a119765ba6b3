"""ggml's blocks: 32 or 256 values along the inputs, with scales inside of the block.

Values are those that ggml computes in binary32: every product and difference is rounded by itself.

References
----------
ggml, ``ggml-common.h`` (layout of the blocks) and ``ggml-quants.c`` (``dequantize_row_q4_0`` and the others).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import BLOCKS, Tensor
from attest.checkpoint.values import E2M1, ue4m3_values

__all__ = ["GGML", "block_values"]

_Bytes = NDArray[np.uint8]
_Values = NDArray[np.float32]

_IQ4 = np.array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113], np.float32)


_FP4, _UE4M3 = 2 * E2M1, ue4m3_values()


def _half(blocks: _Bytes, offset: int) -> _Values:
    """The binary16 number at an offset of every block, as a column."""
    return np.ascontiguousarray(blocks[:, offset : offset + 2]).view("<f2").astype(np.float32)


def _nibbles(data: _Bytes, together: int) -> _Bytes:
    """4-bit codes; of ``together`` bytes all low ones come before all high ones."""
    runs = data.reshape(len(data), -1, 1, together)
    return (np.concatenate([runs & 15, runs >> 4], axis=2)).reshape(len(data), -1)


def _fields(data: _Bytes, bits: int, together: int) -> _Bytes:
    """Codes of 1 or 2 bits; of ``together`` bytes the lowest bits of all come first."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8).reshape(1, 1, -1, 1)
    runs = data.reshape(len(data), -1, 1, together)
    return ((runs >> shifts) & np.uint8((1 << bits) - 1)).reshape(len(data), -1)


def _scaled(scales: _Values, codes: NDArray[Any]) -> _Values:
    """Codes times the scales of their runs."""
    runs = codes.astype(np.float32).reshape(*scales.shape, -1)
    return (scales[:, :, None] * runs).reshape(len(codes), -1)


def _q4_0(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 0), _nibbles(blocks[:, 2:], 16).astype(np.int8) - np.int8(8))


def _q4_1(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 0), _nibbles(blocks[:, 4:], 16)) + _half(blocks, 2)


def _fifth(blocks: _Bytes, offset: int) -> _Bytes:
    return np.unpackbits(blocks[:, offset : offset + 4], axis=1, bitorder="little") << np.uint8(4)


def _q5_0(blocks: _Bytes) -> _Values:
    codes = _nibbles(blocks[:, 6:], 16) | _fifth(blocks, 2)
    return _scaled(_half(blocks, 0), codes.astype(np.int8) - np.int8(16))


def _q5_1(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 0), _nibbles(blocks[:, 8:], 16) | _fifth(blocks, 4)) + _half(blocks, 2)


def _q8_0(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 0), np.ascontiguousarray(blocks[:, 2:]).view(np.int8))


def _q2_k(blocks: _Bytes) -> _Values:
    scales = _half(blocks, 80) * (blocks[:, :16] & 15).astype(np.float32)
    minima = _half(blocks, 82) * (blocks[:, :16] >> 4).astype(np.float32)
    return _scaled(scales, _fields(blocks[:, 16:80], 2, 32)) - np.repeat(minima, 16, axis=1)


def _q3_k(blocks: _Bytes) -> _Values:
    low, high = _nibbles(blocks[:, 96:104], 8), _fields(blocks[:, 104:108], 2, 4)
    scales = _half(blocks, 108) * ((low | (high << np.uint8(4))).astype(np.float32) - 32)
    less = 4 * (1 - _fields(blocks[:, :32], 1, 32).astype(np.int8))
    return _scaled(scales, _fields(blocks[:, 32:96], 2, 32).astype(np.int8) - less)


def _scales_of_k(blocks: _Bytes) -> tuple[_Values, _Values]:
    """Scales and minima of the eight runs of Q4_K and Q5_K: six bits each, in twelve bytes."""
    a, b, c = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate([a & 63, (c & 15) | ((a >> 2) & 48)], axis=1)
    minima = np.concatenate([b & 63, (c >> 4) | ((b >> 2) & 48)], axis=1)
    return _half(blocks, 0) * scales.astype(np.float32), _half(blocks, 2) * minima.astype(np.float32)


def _q4_k(blocks: _Bytes) -> _Values:
    scales, minima = _scales_of_k(blocks)
    return _scaled(scales, _nibbles(blocks[:, 16:], 32)) - np.repeat(minima, 32, axis=1)


def _q5_k(blocks: _Bytes) -> _Values:
    scales, minima = _scales_of_k(blocks)
    codes = _nibbles(blocks[:, 48:], 32) | (_fields(blocks[:, 16:48], 1, 32) << np.uint8(4))
    return _scaled(scales, codes) - np.repeat(minima, 32, axis=1)


def _q6_k(blocks: _Bytes) -> _Values:
    codes = _nibbles(blocks[:, :128], 64) | (_fields(blocks[:, 128:192], 2, 32) << np.uint8(4))
    scales = _half(blocks, 208) * np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.float32)
    return _scaled(scales, codes.astype(np.int8) - np.int8(32))


def _iq4_nl(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 0), _IQ4[_nibbles(blocks[:, 2:], 16)])


def _iq4_xs(blocks: _Bytes) -> _Values:
    high = np.ascontiguousarray(blocks[:, 2:4]).view("<u2") >> np.arange(0, 16, 2, dtype=np.uint16)
    low = np.stack([blocks[:, 4:8] & 15, blocks[:, 4:8] >> 4], axis=2).reshape(len(blocks), 8)
    scales = _half(blocks, 0) * ((low | ((high & 3) << 4)).astype(np.float32) - 32)
    return _scaled(scales, _IQ4[_nibbles(blocks[:, 8:], 16)])


def _mxfp4(blocks: _Bytes) -> _Values:
    """Scales are 2 to the power of e less 127, whatever e is; halved, since levels are doubled."""
    return _scaled(np.ldexp(np.float32(1), blocks[:, :1].astype(np.int32) - 128), _FP4[_nibbles(blocks[:, 1:], 16)])


def _nvfp4(blocks: _Bytes) -> _Values:
    """Scales are halved, since levels are doubled."""
    return _scaled(_UE4M3[blocks[:, :4]] * np.float32(0.5), _FP4[_nibbles(blocks[:, 4:], 8)])


def _tq1_0(blocks: _Bytes) -> _Values:
    """Five digits of base 3 in a byte, of the last four bytes four: the byte is a fraction, whose digits come out one by one."""
    digits = []
    for first, end, places in ((0, 32, 5), (32, 48, 5), (48, 52, 4)):
        fractions = blocks[:, None, first:end] * np.array([1, 3, 9, 27, 81], np.uint8)[:places, None]
        digits.append((fractions.astype(np.uint16) * np.uint16(3) >> np.uint16(8)).reshape(len(blocks), -1))
    return _scaled(_half(blocks, 52), np.concatenate(digits, axis=1).astype(np.int8) - np.int8(1))


def _tq2_0(blocks: _Bytes) -> _Values:
    return _scaled(_half(blocks, 64), _fields(blocks[:, :64], 2, 32).astype(np.int8) - np.int8(1))


_TYPES: Mapping[str, Callable[[_Bytes], _Values]] = {
    "Q4_0": _q4_0, "Q4_1": _q4_1, "Q5_0": _q5_0, "Q5_1": _q5_1, "Q8_0": _q8_0, "Q2_K": _q2_k, "Q3_K": _q3_k,
    "Q4_K": _q4_k, "Q5_K": _q5_k, "Q6_K": _q6_k, "IQ4_NL": _iq4_nl, "IQ4_XS": _iq4_xs,
    "MXFP4": _mxfp4, "NVFP4": _nvfp4, "TQ1_0": _tq1_0, "TQ2_0": _tq2_0,
}  # fmt: skip


def block_values(blocks: _Bytes, dtype: str) -> _Values:
    """Values of blocks of one of these types, shape (n, bytes of a block): a row each."""
    return _TYPES[dtype](blocks)


def _find(tensor: Tensor, held: Held) -> Packed | None:  # noqa: ARG001 - a block has all its parts
    if len(tensor.shape) != 2:
        return None
    n_outputs, n_inputs = tensor.shape
    return Packed(scheme=GGML.id, tensor=tensor, companions={}, name=tensor.name, shape=(n_outputs, n_inputs))


def _open(packed: Packed, read: Read) -> Unpacker:  # noqa: ARG001 - a block has all its parts
    n_bytes, values = BLOCKS[packed.tensor.dtype][1], _TYPES[packed.tensor.dtype]

    def unpack(rows: NDArray[Any], first_row: int) -> NDArray[np.float32]:  # noqa: ARG001 - all rows are alike
        blocks = rows.reshape(-1).view(np.uint8).reshape(-1, n_bytes)
        return values(blocks).reshape(len(rows), -1)

    return Unpacker(stored=1, made=1, unpack=unpack)


GGML = Scheme(id="ggml blocks", dtypes=frozenset(_TYPES), find=_find, open=_open)
