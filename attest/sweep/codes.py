"""What the codes of a narrow dtype stand for: every value an integer times a power of two.

References
----------
IEEE 754-2019, section 3.4. Micikevicius et al., "FP8 Formats for Deep Learning", 2022, section 3 (E4M3, E5M2).
OCP Microscaling Formats (MX) Specification v1.0, section 5.4.1 (E8M0). The FNUZ formats have one zero, one NaN in
its place, no infinities, and a bias that is larger by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["NARROW", "RUN", "Codes", "codes_of"]

_FLOATS = {
    # exponent bits, significand bits, bias
    "BF16": (8, 7, 127),
    "F16": (5, 10, 15),
    "F8_E5M2": (5, 2, 15),
    "F8_E4M3": (4, 3, 7),
    "F8_E5M2FNUZ": (5, 2, 16),
    "F8_E4M3FNUZ": (4, 3, 8),
}
_INTEGERS = {"BOOL": np.uint8, "U8": np.uint8, "I8": np.int8}

RUN = 128
"""Codes that can be skipped at once where none of them occurs."""

NARROW = frozenset({*_FLOATS, *_INTEGERS, "F8_E8M0"})
"""Dtypes whose values can be counted code by code."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Codes:
    """All codes in the order of their values, NaN last.

    A value is the significand times two to the power of the shift less ``scale``.

    Parameters
    ----------
    rows : ndarray of shape (n_codes, 4), int64
        The code; its significand, signed, 0 where the code is not finite; its shift, from 0 to 255; and the bits of
        its value as binary64, where 0 is never negative and NaN is 0x7FF8000000000000.
    scale : int
    runs : ndarray of shape (n_codes / RUN,), int64
        The least of so many codes in a row, where they are consecutive numbers up or down; else -1.
    """

    rows: NDArray[np.int64]
    scale: int
    runs: NDArray[np.int64]


@cache
def codes_of(dtype: str) -> Codes:
    """Table of a dtype in ``NARROW``."""
    if dtype in _INTEGERS:
        numbers = np.arange(256, dtype=np.uint8).view(_INTEGERS[dtype]).astype(np.int64)
        return _table(numbers, np.zeros_like(numbers), 0, special=np.zeros(256))
    if dtype == "F8_E8M0":
        shifts = np.arange(256, dtype=np.int64)
        return _table(np.ones_like(shifts), shifts, 127, special=np.where(shifts == 255, np.nan, 0))
    return _floats(dtype)


def _floats(dtype: str) -> Codes:
    exponent_bits, significand_bits, bias = _FLOATS[dtype]
    codes = np.arange(1 << (1 + exponent_bits + significand_bits), dtype=np.int64)
    magnitudes = codes & (codes.size // 2 - 1)
    signs = np.where(codes == magnitudes, 1, -1)
    exponents = magnitudes >> significand_bits
    fractions = magnitudes & ((1 << significand_bits) - 1)
    significands = signs * np.where(exponents > 0, fractions + (1 << significand_bits), fractions)
    special = np.zeros(codes.size)
    if dtype.endswith("FNUZ"):
        special[codes.size // 2] = np.nan
    elif dtype == "F8_E4M3":
        special[magnitudes == codes.size // 2 - 1] = np.nan
    else:
        last = exponents == (1 << exponent_bits) - 1
        special[last] = np.where(fractions[last] > 0, np.nan, signs[last] * np.inf)
    return _table(significands, np.maximum(exponents, 1) - 1, bias - 1 + significand_bits, special=special)


def _table(
    significands: NDArray[np.int64], shifts: NDArray[np.int64], scale: int, *, special: NDArray[np.float64]
) -> Codes:
    """Table whose codes are not finite where ``special`` is not 0."""
    significands = np.where(special == 0, significands, 0)
    values = np.where(special == 0, np.ldexp(significands.astype(np.float64), shifts - scale), special)
    codes = np.argsort(values, kind="stable")
    ordered = np.where(np.isnan(values), np.nan, values + 0.0)[codes]
    rows = np.stack([codes, significands[codes], shifts[codes], ordered.view(np.int64)], axis=1)
    return Codes(rows=rows, scale=scale, runs=_runs(codes))


def _runs(codes: NDArray[np.int64]) -> NDArray[np.int64]:
    rows = codes.reshape(-1, RUN)
    steps = np.diff(rows, axis=1)
    is_run = (steps == 1).all(axis=1) | (steps == -1).all(axis=1)
    return np.where(is_run, rows.min(axis=1), -1)
