"""MLX: codes along the inputs in 32-bit words, with a scale and a bias for every group, or as small floats with a scale.

References
----------
MLX 0.32, ``mlx.core.quantize`` (modes ``affine``, ``mxfp4``, ``mxfp8`` and ``nvfp4``; the first code of a row lies in the lowest
bits, and codes of 3, 5 and 6 bits cross the ends of words) and ``mlx.nn.QuantizedLinear``. mlx-lm 0.32, ``quantize_model``
(``quantization`` in ``config.json``, with settings of their own for modules by their path) and ``SwitchLinear`` (stacks of
experts, and of NVFP4 a ``global_scale`` for each). OCP Microscaling Formats (MX) Specification v1.0, sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.checkpoint.packed.packed import Held, Packed, Read, Scheme, Unpacker, unpack_words
from attest.checkpoint.tensor import Tensor
from attest.checkpoint.values import E2M1, FLOATS, as_float32, e8m0_values, float8_values

__all__ = ["MLX", "MLX_FLOATS"]

_WORDS = frozenset({"U32"})
_BYTES = frozenset({"U8"})
_BITS = frozenset({1, 2, 3, 4, 5, 6, 8})
_SIZES = frozenset({32, 64, 128})
_MODES: Mapping[int, tuple[str, int, int]] = {4: ("mxfp4", 32, 4), 8: ("mxfp8", 32, 8), 2: ("nvfp4", 16, 4)}
"""Mode, values of a group and bits of a code, by the words that a group fills: no two modes fill as many."""

_TOPS = np.float32(6 * 448)
"""The largest product of a code and a scale of NVFP4: what the scale of a tensor is divided by."""


def _claims(stem: str, held: Held) -> Mapping[str, Any]:
    """Settings that are claimed for a module, its own before those of all."""
    own = held.modules.get(stem)
    return own if isinstance(own, dict) else held.modules


def _find(tensor: Tensor, held: Held) -> Packed | None:
    """Words with scales and biases; group and bits, which the shapes give the product of alone, are as claimed."""
    stem, _, last = tensor.name.rpartition(".")
    scales, biases = held.part(f"{stem}.scales", FLOATS, 2), held.part(f"{stem}.biases", FLOATS, 2)
    if last != "weight" or len(tensor.shape) != 2 or scales is None or biases is None:
        return None
    if scales.shape != biases.shape or scales.dtype != biases.dtype:
        return None
    claims = _claims(stem, held)
    bits, size = claims.get("bits"), claims.get("group_size")
    if type(bits) is not int or type(size) is not int or bits not in _BITS or size not in _SIZES:
        return None
    n_outputs, n_words = tensor.shape
    n_groups = scales.shape[1]
    if (
        claims.get("mode") not in {None, "affine"}
        or scales.shape[0] != n_outputs
        or n_words * 32 != n_groups * size * bits
    ):
        return None
    return Packed(
        scheme=MLX.id,
        tensor=tensor,
        companions={"scales": scales, "biases": biases},
        name=tensor.name,
        shape=(n_outputs, n_groups * size),
        settings={"bits": bits, "groupSize": size},
    )


def _open(packed: Packed, read: Read) -> Unpacker:
    """Scale times code, plus bias; each rounded by itself."""
    parts, bits, size = packed.companions, packed.settings["bits"], packed.settings["groupSize"]
    scales, biases = (as_float32(read(parts[kind]), parts[kind].dtype) for kind in ("scales", "biases"))

    def unpack(words: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        rows = slice(first_row, first_row + len(words))
        values = _codes(words, bits).astype(np.float32).reshape(len(words), -1, size)
        values *= scales[rows, :, None]
        values += biases[rows, :, None]
        return values.reshape(len(words), -1)

    return Unpacker(stored=1, made=1, unpack=unpack)


def _codes(words: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Codes of rows of words, shape (n, 32 * n_words / bits)."""
    data = np.ascontiguousarray(words).view(np.uint8)
    if bits == 8:
        return data
    if 8 % bits == 0:
        return _EACH[bits][data].reshape(len(words), -1)
    together = bits // int(np.gcd(bits, 32))
    columns = np.ascontiguousarray(words.reshape(-1, together).T)
    return np.ascontiguousarray(unpack_words(columns, bits).T).reshape(len(words), -1)


_EACH = {
    bits: (np.arange(256, dtype=np.uint8)[:, None] >> np.arange(0, 8, bits, dtype=np.uint8)) & np.uint8((1 << bits) - 1)
    for bits in (1, 2, 4)
}
"""All codes of a byte; the lowest bits come first."""


def _find_floats(tensor: Tensor, held: Held) -> Packed | None:
    """Words with scales of 8 bits and no biases; the shapes tell the mode."""
    stem, _, last = tensor.name.rpartition(".")
    scales, whole = held.part(f"{stem}.scales", _BYTES, 2), held.get(f"{stem}.global_scale")
    if last != "weight" or len(tensor.shape) != 2 or scales is None or held.get(f"{stem}.biases"):
        return None
    (n_outputs, n_words), n_groups = tensor.shape, scales.shape[1]
    if scales.shape[0] != n_outputs or not n_groups or n_words % n_groups or n_words // n_groups not in _MODES:
        return None
    mode, size, bits = _MODES[n_words // n_groups]
    claims = _claims(stem, held)
    claimed = {"mode": mode, "group_size": size, "bits": bits}
    if any(claims.get(name, value) != value for name, value in claimed.items()):
        return None
    if whole is not None and (mode != "nvfp4" or whole.dtype != "F32" or whole.size != 1):
        return None
    return Packed(
        scheme=MLX_FLOATS.id,
        tensor=tensor,
        companions={"scales": scales, **({"whole": whole} if whole else {})},
        name=tensor.name,
        shape=(n_outputs, n_groups * size),
        settings={"bits": bits, "groupSize": size},
    )


def _open_floats(packed: Packed, read: Read) -> Unpacker:
    """Value of the code times the scale of its group; of NVFP4 that times the scale of the tensor over 2,688."""
    parts, bits, size = packed.companions, packed.settings["bits"], packed.settings["groupSize"]
    scales = (float8_values("F8_E4M3") if size == 16 else e8m0_values())[read(parts["scales"])]
    if "whole" in parts:
        scales *= read(parts["whole"]).reshape(()) / _TOPS
    of_byte = E2M1[_EACH[4]] if bits == 4 else float8_values("F8_E4M3")

    def unpack(words: NDArray[Any], first_row: int) -> NDArray[np.float32]:
        values = of_byte[np.ascontiguousarray(words).view(np.uint8)].reshape(len(words), -1, size)
        values *= scales[first_row : first_row + len(words), :, None]
        return values.reshape(len(words), -1)

    return Unpacker(stored=1, made=1, unpack=unpack)


MLX = Scheme(id="MLX", dtypes=_WORDS, find=_find, open=_open)
MLX_FLOATS = Scheme(id="MLX floats", dtypes=_WORDS, find=_find_floats, open=_open_floats)
