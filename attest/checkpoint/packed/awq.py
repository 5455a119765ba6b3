"""AWQ: codes of 4 bits along the outputs, eight to a word in an order of its own, with scales and zeros by group.

References
----------
Lin et al., "AWQ: Activation-aware Weight Quantization for LLM Compression and Acceleration", 2023. Layout ``gemm`` as
AutoAWQ writes it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.gptq import WORDS
from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32

__all__ = ["AWQ"]

_ORDER = (0, 2, 4, 6, 1, 3, 5, 7)
"""Which of eight outputs lies in the first, second … four bits of a word."""


def _find(tensor: Tensor, held: Held) -> Packed | None:
    stem, _, last = tensor.name.rpartition(".")
    scales, zeros = held.part(f"{stem}.scales", FLOATS, 2), held.part(f"{stem}.qzeros", WORDS, 2)
    if last != "qweight" or len(tensor.shape) != 2 or scales is None or zeros is None:
        return None
    (n_inputs, n_words), n_groups = tensor.shape, scales.shape[0]
    n_outputs = n_words * len(_ORDER)
    if scales.shape != (n_groups, n_outputs) or zeros.shape != (n_groups, n_words) or not n_groups or not n_inputs:
        return None
    if n_inputs % n_groups or held.claims.get("version") in ("gemv", "gemv_fast", "marlin"):
        return None
    return Packed(
        scheme=AWQ.id,
        tensor=tensor,
        companions={"scales": scales, "qzeros": zeros},
        name=f"{stem}.weight",
        shape=(n_outputs, n_inputs),
        turned=True,
        settings={"groupSize": n_inputs // n_groups},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Scale times code less zero."""
    parts, size = packed.companions, packed.settings["groupSize"]
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype)
    zeros = _codes(read(parts["qzeros"])).astype(np.int16)

    def unpack(words: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        own = np.arange(first_row, first_row + len(words)) // size
        return (_codes(words) - zeros[own]).astype(np.float32) * scales[own]

    return Unpacker(stored=1, made=1, unpack=unpack)


def _codes(words: NDArray[Any]) -> NDArray[np.uint8]:
    """Codes of shape (n, 8 * n_words) in the order of the outputs."""
    words = words.view(np.uint32)
    codes = np.empty((*words.shape, len(_ORDER)), np.uint8)
    for place, output in enumerate(_ORDER):
        codes[:, :, output] = (words >> np.uint32(4 * place)) & np.uint32(15)
    return codes.reshape(len(words), -1)


AWQ = Scheme(id="AWQ", dtypes=WORDS, find=_find, open=_open)
