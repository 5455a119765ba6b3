"""torchao and Quanto: codes of 8 bits as a tensor of its own under the weight, with a scale for each rectangle.

References
----------
torchao 0.18, ``prototype/safetensors`` (``flatten_tensor_state_dict``: the parts of ``Int8Tensor``, ``IntxUnpackedToInt8Tensor``,
``Float8Tensor``) and ``quantization/quant_primitives.py`` (``dequantize_affine``), as transformers 5 writes them. Quanto 0.2.7,
``tensor/weights/qbytes.py``, as its own ``QuantizedModelForCausalLM`` writes it.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import FLOATS, as_float32, float8_values

__all__ = ["QUANTO", "TORCHAO"]

_CODES = frozenset({"I8", "F8_E4M3", "F8_E5M2"})
_ZEROS = frozenset({"I8"})
_TORCHAO, _QUANTO = "torchao", "Quanto"
_ENDS = {
    _TORCHAO: ("._weight_qdata", "._weight_scale", "._weight_zero_point"),
    _QUANTO: (".weight._data", ".weight._scale", None),
}
"""Behind the name of a module: the ends of the names of codes, scales and zeros."""


def _find(scheme: str, tensor: Tensor, held: Held) -> Packed | None:
    codes, of_scales, of_zeros = _ENDS[scheme]
    stem = tensor.name.removesuffix(codes)
    scales = held.part(f"{stem}{of_scales}", FLOATS, 2)
    if stem == tensor.name or len(tensor.shape) != 2 or scales is None or not scales.size:
        return None
    (n_outputs, n_inputs), (n_above, n_beside) = tensor.shape, scales.shape
    if n_outputs % n_above or n_inputs % n_beside:
        return None
    zeros = held.get(f"{stem}{of_zeros}") if of_zeros else None
    if zeros is not None and (zeros.dtype not in _ZEROS or zeros.shape != scales.shape or tensor.dtype != "I8"):
        return None
    return Packed(
        scheme=scheme,
        tensor=tensor,
        companions={"scales": scales, **({"zeros": zeros} if zeros else {})},
        name=f"{stem}.weight",
        shape=(n_outputs, n_inputs),
        as_stored=True,
        settings={"rows": n_outputs // n_above, "columns": n_inputs // n_beside},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Value of the code, less the zero, times the scale of its rectangle."""
    parts, n_rows, size = packed.companions, packed.settings["rows"], packed.settings["columns"]
    scales = as_float32(read(parts["scales"]), parts["scales"].dtype)
    zeros = read(parts["zeros"]).astype(np.float32) if "zeros" in parts else np.zeros_like(scales)
    table = None if packed.tensor.dtype == "I8" else float8_values(packed.tensor.dtype)

    def unpack(codes: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        own = np.arange(first_row, first_row + len(codes)) // n_rows
        values = (codes.astype(np.float32) if table is None else table[codes]).reshape(len(codes), -1, size)
        values -= zeros[own][:, :, None]
        values *= scales[own][:, :, None]
        return values.reshape(len(codes), -1)

    return Unpacker(stored=1, made=1, unpack=unpack)


TORCHAO = Scheme(id=_TORCHAO, dtypes=_CODES, find=partial(_find, _TORCHAO), open=_open)
QUANTO = Scheme(id=_QUANTO, dtypes=_CODES, find=partial(_find, _QUANTO), open=_open)
