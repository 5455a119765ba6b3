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
from attest.checkpoint.packed.ctranslate2 import CTRANSLATE2
from attest.checkpoint.packed.fp4 import MXFP4, NVFP4
from attest.checkpoint.packed.ggml import GGML
from attest.checkpoint.packed.gptq import GPTQ
from attest.checkpoint.packed.mlx import MLX, MLX_FLOATS
from attest.checkpoint.packed.onnxruntime import ONNX_INT8, ONNX_NBITS
from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, of_matrix
from attest.checkpoint.packed.scaled import FP8, INT8_SCALED
from attest.checkpoint.packed.torchao import QUANTO, TORCHAO
from attest.checkpoint.tensor import Tensor

__all__ = ["MLX", "SCHEMES", "Held", "Packed", "Read", "Unpacker", "find_packed", "of_matrix", "open_packed"]

MAX_COMPANION = 1 << 26
"""Most bytes of a tensor beside codes that are kept while a matrix is unpacked."""

_LEAST_DIMENSIONS = 3
"""Of a stack of matrices."""

SCHEMES: Mapping[str, Scheme] = {
    scheme.id: scheme
    for scheme in (
        GPTQ,
        AWQ,
        NF4,
        FP4,
        INT8,
        COMPRESSED,
        FP8,
        CTRANSLATE2,
        INT8_SCALED,
        MXFP4,
        NVFP4,
        MLX,
        MLX_FLOATS,
        TORCHAO,
        QUANTO,
        ONNX_INT8,
        ONNX_NBITS,
        GGML,
    )
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
    A weight whose name a stored tensor has too is left out, and so is one whose scales are too many to be kept. Where a
    tensor is no matrix of a scheme, its first dimension may count such matrices.
    """
    found: dict[str, Packed] = {}
    taken: set[str] = set()
    for tensor in held.tensors.values():
        packed = _find(tensor, held) or _find_stack(tensor, held)
        if packed is None or (packed.name != tensor.name and packed.name in held.tensors) or packed.name in taken:
            continue
        beside = packed.matrix(0).companions.values()
        if not packed.weight.size or any(one.end - one.begin > MAX_COMPANION for one in beside):
            continue
        taken.add(packed.name)
        found[tensor.name] = packed
    return found


def _find(tensor: Tensor, held: Held) -> Packed | None:
    return next(filter(None, (scheme.find(tensor, held) for scheme in _BY_DTYPE.get(tensor.dtype, ()))), None)


def _find_stack(tensor: Tensor, held: Held) -> Packed | None:
    """A stack of matrices of which the first is one of a scheme: the others lie alike."""
    if len(tensor.shape) < _LEAST_DIMENSIONS or not tensor.size:
        return None
    count = tensor.shape[0]
    one = of_matrix(tensor, 0, count)
    first = None if one is tensor else _find(one, replace(held, stacked=count))
    if first is None:
        return None
    companions = {kind: held.tensors[one.name] for kind, one in first.companions.items()}
    return replace(first, tensor=tensor, companions=companions, stacked=count)


def open_packed(packed: Packed, read: Read) -> Unpacker:
    """What makes values of the codes of a matrix; ``read`` gives what lies beside them.

    Notes
    -----
    Values that are not finite come from codes and scales that are not, without a warning.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        opened = SCHEMES[packed.scheme].open(packed, read)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        with np.errstate(over="ignore", invalid="ignore"):
            return opened.unpack(codes, first_row)

    return replace(opened, unpack=unpack)
