"""GPTQ: codes of 2, 3, 4 or 8 bits down the inputs, with a scale and a zero for every group of inputs.

References
----------
Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers", 2022. Layout as
AutoGPTQ and GPTQModel write it: ``gptq`` keeps zeros less one, ``gptq_v2`` keeps them as they are.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, unpack_words
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32

__all__ = ["GPTQ", "WORDS"]

WORDS = frozenset({"I32", "U32"})
_BITS = frozenset({2, 3, 4, 8})


def _find(tensor: Tensor, held: Held) -> Packed | None:
    stem, _, last = tensor.name.rpartition(".")
    scales, zeros = held.part(f"{stem}.scales", FLOATS, 2), held.part(f"{stem}.qzeros", WORDS, 2)
    if last != "qweight" or len(tensor.shape) != 2 or scales is None or zeros is None:
        return None
    groups = held.part(f"{stem}.g_idx", WORDS, 1)
    n_words, n_outputs = tensor.shape
    bits = n_words * 32 // groups.shape[0] if groups and groups.shape[0] else held.number("bits")
    if bits not in _BITS or (n_words * 32) % bits:
        return None
    n_inputs, n_groups = n_words * 32 // bits, scales.shape[0]
    fits = scales.shape == (n_groups, n_outputs) and zeros.shape == (n_groups, n_outputs * bits // 32)
    if not fits or not 0 < n_groups <= n_inputs or (n_outputs * bits) % 32 or (groups and groups.shape != (n_inputs,)):
        return None
    size = n_inputs if groups else _group_size(n_inputs, n_groups, held.number("group_size"))
    if size is None:
        return None
    return Packed(
        scheme=GPTQ.id,
        tensor=tensor,
        companions={"scales": scales, "qzeros": zeros, **({"g_idx": groups} if groups else {})},
        name=f"{stem}.weight",
        shape=(n_outputs, n_inputs),
        turned=True,
        settings={"bits": bits, "groupSize": size, "zerosLess": int(held.claims.get("checkpoint_format") != "gptq_v2")},
    )


def _group_size(n_inputs: int, n_groups: int, claimed: int | None) -> int | None:
    """Inputs of a group: as claimed, where there are so many groups then, else all alike; None where they cannot be."""
    if claimed is not None and -(-n_inputs // claimed) == n_groups:
        return claimed
    return None if n_inputs % n_groups else n_inputs // n_groups


def _open(packed: Packed, read: Read) -> Unpacker:
    """Scale times code less zero; inputs of a group that is not there are NaN."""
    parts, bits = packed.companions, packed.settings["bits"]
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype)
    zeros = unpack_words(np.ascontiguousarray(read(parts["qzeros"]).T), bits).T
    zeros = (zeros + np.uint8(packed.settings["zerosLess"])) & np.uint8((1 << bits) - 1)
    n_groups, n_inputs = len(scales), packed.shape[1]
    groups = np.arange(n_inputs, dtype=np.int64) // packed.settings["groupSize"]
    if "g_idx" in parts:
        groups = read(parts["g_idx"]).view(np.int32).astype(np.int64)
    groups = np.where((groups >= 0) & (groups < n_groups), groups, n_groups)
    scales = np.vstack([scales, np.full((1, scales.shape[1]), np.nan, np.float32)])
    zeros = np.vstack([zeros, zeros[:1]]).astype(np.int16)

    def unpack(words: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        codes = unpack_words(words, bits)
        own = groups[first_row : first_row + len(codes)]
        return (codes - zeros[own]).astype(np.float32) * scales[own]

    together = bits // int(np.gcd(bits, 32))
    return Unpacker(stored=together, made=together * 32 // bits, unpack=unpack)


GPTQ = Scheme(id="GPTQ", dtypes=WORDS, find=_find, open=_open)
