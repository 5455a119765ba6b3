"""compressed-tensors, format ``pack-quantized``: codes of 4 or 8 bits along the inputs, with a scale for every group.

References
----------
compressed-tensors, ``compressors/pack_quantized``: a code is the level plus half of the range; words of a row follow
each other and hold as many whole codes as fit, the lowest bits first.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.gptq import WORDS
from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, unpack_words
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32

__all__ = ["COMPRESSED"]

_BITS = (4, 8)
_SIZES = frozenset({"I64", "I32"})


def _find(tensor: Tensor, held: Held) -> Packed | None:
    stem, _, last = tensor.name.rpartition(".")
    scales, sizes = held.part(f"{stem}.weight_scale", FLOATS, 2), held.part(f"{stem}.weight_shape", _SIZES, 1)
    if last != "weight_packed" or len(tensor.shape) != 2 or scales is None:
        return None
    if sizes is None or sizes.shape != (2,) or held.get(f"{stem}.weight_g_idx"):
        return None
    n_outputs, n_inputs = (int(size) for size in held.read(sizes))
    bits = next((bits for bits in _BITS if -(-n_inputs * bits // 32) == tensor.shape[1]), None)
    n_groups = scales.shape[1]
    if bits is None or n_outputs != tensor.shape[0] or scales.shape[0] != n_outputs or not n_outputs:
        return None
    if n_inputs < 1 or not n_groups or n_inputs % n_groups:
        return None
    companions = {"scales": scales, "shape": sizes}
    zeros = held.get(f"{stem}.weight_zero_point")
    if zeros is not None:
        if zeros.dtype not in WORDS or zeros.shape != (-(-n_outputs * bits // 32), n_groups):
            return None
        companions["zeros"] = zeros
    return Packed(
        scheme=COMPRESSED.id,
        tensor=tensor,
        companions=companions,
        name=f"{stem}.weight",
        shape=(n_outputs, n_inputs),
        settings={"bits": bits, "groupSize": n_inputs // n_groups},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Scale times level less zero."""
    parts, bits, (n_outputs, n_inputs) = packed.companions, packed.settings["bits"], packed.shape
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype)
    zeros = np.full(scales.shape, 1 << (bits - 1), np.int16)
    if "zeros" in parts:
        zeros = unpack_words(read(parts["zeros"]), bits)[:n_outputs].astype(np.int16)
    groups = np.arange(n_inputs) // packed.settings["groupSize"]

    def unpack(words: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        here = slice(first_row, first_row + len(words))
        codes = unpack_words(np.ascontiguousarray(words.T), bits).T[:, :n_inputs]
        values = (codes - zeros[here][:, groups]).astype(np.float32) * scales[here][:, groups]
        return np.ascontiguousarray(values)

    return Unpacker(stored=1, made=1, unpack=unpack)


COMPRESSED = Scheme(id="compressed-tensors", dtypes=WORDS, find=_find, open=_open)
