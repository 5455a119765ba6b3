"""Packed weights: matrices that are stored as codes, and what makes values of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.awq import AWQ
from attest.checkpoint.packed.bitsandbytes import FP4, INT8, NF4
from attest.checkpoint.packed.compressed import COMPRESSED
from attest.checkpoint.packed.fp4 import MXFP4, NVFP4
from attest.checkpoint.packed.ggml import GGML
from attest.checkpoint.packed.gptq import GPTQ
from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.packed.scaled import FP8, INT8_SCALED

__all__ = ["SCHEMES", "Held", "Packed", "Read", "Unpacker", "find_packed", "open_packed"]

MAX_COMPANION = 1 << 26
"""Bytes of the largest tensor beside codes that is kept while they are unpacked."""

SCHEMES: Mapping[str, Scheme] = {
    scheme.id: scheme for scheme in (GPTQ, AWQ, NF4, FP4, INT8, COMPRESSED, FP8, INT8_SCALED, MXFP4, NVFP4, GGML)
}
"""All schemes, by id. Where a tensor may be of two, the first that fits counts."""

_BY_DTYPE = {
    dtype: tuple(scheme for scheme in SCHEMES.values() if dtype in scheme.dtypes)
    for dtype in frozenset[str]().union(*(scheme.dtypes for scheme in SCHEMES.values()))
}


def find_packed(held: Held) -> dict[str, Packed]:
    """Packed weights among the tensors of a checkpoint, by the name of the tensor that holds the codes.

    Notes
    -----
    A weight whose name a stored tensor has too is left out, and so is one whose scales are too many to be kept.
    """
    found: dict[str, Packed] = {}
    taken: set[str] = set()
    for tensor in held.tensors.values():
        packed = next(filter(None, (scheme.find(tensor, held) for scheme in _BY_DTYPE.get(tensor.dtype, ()))), None)
        if packed is None or (packed.name != tensor.name and packed.name in held.tensors) or packed.name in taken:
            continue
        if not packed.weight.size or any(one.end - one.begin > MAX_COMPANION for one in packed.companions.values()):
            continue
        taken.add(packed.name)
        found[tensor.name] = packed
    return found


def open_packed(packed: Packed, read: Read) -> Unpacker:
    """What makes values of a packed weight's codes; ``read`` gives what lies beside them.

    Notes
    -----
    Values that are not finite come from codes and scales that are not, without a warning.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        opened = SCHEMES[packed.scheme].open(packed, read)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            return opened.unpack(codes, first_row)

    return replace(opened, unpack=unpack)
