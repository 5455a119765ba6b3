"""CTranslate2's integers of 8 bits: a scale for each output, by which its codes are divided.

References
----------
CTranslate2 4.8, ``specs/model_spec.py`` (``LayerSpec.quantize``).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import Tensor

__all__ = ["CTRANSLATE2"]

_SCALES = frozenset({"F32"})


def _find(tensor: Tensor, held: Held) -> Packed | None:
    scales = held.part(f"{tensor.name}_scale", _SCALES, 1)
    if held.format != "ctranslate2" or len(tensor.shape) != 2 or scales is None or scales.shape != tensor.shape[:1]:
        return None
    n_outputs, n_inputs = tensor.shape
    return Packed(
        scheme=CTRANSLATE2.id,
        tensor=tensor,
        companions={"scales": scales},
        name=tensor.name,
        shape=(n_outputs, n_inputs),
        as_stored=True,
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code over the scale of its output."""
    scales: NDArray[np.float32] = read(packed.companions["scales"])

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        values: NDArray[np.float32] = codes.astype(np.float32) / scales[first_row : first_row + len(codes), None]
        return values

    return Unpacker(stored=1, made=1, unpack=unpack)


CTRANSLATE2 = Scheme(id="CTranslate2 INT8", dtypes=frozenset({"I8"}), find=_find, open=_open)
