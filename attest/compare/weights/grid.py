"""The grid that values lie on: traces of a quantization or a cast that a later dtype does not show."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from attest.compare.weights.replay.operation import LARGEST

__all__ = ["describe_grid"]

_LEAST_VALUES = 256
_MAX_VALUES = 1 << 18
_BLOCK = 32
_FEW = 16
_OFF = 0.1
"""How far from a whole step a value may lie: rounding to F16 moves 127 steps by 0.06, and chance leaves one in five."""


def describe_grid(values: NDArray[Any], dtype: str) -> str:
    """The coarsest grid that all values of some rows lie on, in words; ``-`` where there is none.

    Parameters
    ----------
    values : ndarray of shape (n_rows, n_columns)
        Whole rows; the first 262,144 values are looked at.
    dtype : str
        What they are written in.

    Examples
    --------
    >>> describe_grid(np.rint(127 * np.sin(np.arange(512.0))).astype(np.float32).reshape(4, 128) / 300, "F32")
    'int8 by row'
    """
    if dtype in {"Q8_0", "Q4_0"}:
        return dtype
    rows = values[: max(1, _MAX_VALUES // values.shape[1])]
    rows = rows[(np.abs(rows) <= LARGEST).all(axis=1)].astype(np.float64)
    if rows.size < _LEAST_VALUES or not rows.any():
        return "-"
    shapes = {"row": rows}
    if rows.shape[1] % _BLOCK == 0:
        shapes["block of 32"] = rows.reshape(-1, _BLOCK)
    for name, steps in (("4 bits", (8, 7)), ("int8", (127, 128))):
        for group, grouped in shapes.items():
            if any(_lies_on(grouped[:_FEW], count) and _lies_on(grouped, count) for count in steps):
                return f"{name} by {group}"
    return _cast(rows, dtype)


def _lies_on(groups: NDArray[np.float64], steps: int) -> bool:
    """Whether all values are whole numbers of steps, ``steps`` of which make the largest of their group."""
    largest = np.abs(groups).max(axis=1, keepdims=True)
    shares = np.divide(groups * steps, largest, out=np.zeros_like(groups), where=largest > 0)
    return bool(np.all(np.abs(shares - np.rint(shares)) < _OFF))


def _cast(rows: NDArray[np.float64], dtype: str) -> str:
    """A narrower float that holds all values of a wider one."""
    if dtype not in {"F32", "F64"}:
        return "-"
    single = rows.astype(np.float32)
    if dtype == "F64" and not np.array_equal(single, rows):
        return "-"
    if not (single.view(np.uint32) & 0xFFFF).any():
        return "BF16 values"
    with np.errstate(over="ignore"):
        held = np.array_equal(single.astype(np.float16), single)
    return "F16 values" if held else "F32 values" if dtype == "F64" else "-"
