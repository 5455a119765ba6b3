"""``moments/v1``: exact moments of every tensor.

Collected from all tensors of the dtypes BF16, F16 and F32; written to ``detail/tensors.json``.
"""

from __future__ import annotations

import math
from decimal import Context, Decimal
from functools import partial

from attest.checkpoint import Tensor
from attest.document import decimal
from attest.evidence import Moments, Quantization
from attest.fingerprint.fingerprint import Makers
from attest.sweep import (
    ExactAccumulator,
    ExactSums,
    FourBitAccumulator,
    FourBitBlocksAccumulator,
    QuantizedAccumulator,
    QuantizedSums,
    Scales,
    ScalesAccumulator,
)

__all__ = ["MOMENTS_ID", "collect_exact", "collect_scales", "describe", "describe_quantization"]

MOMENTS_ID = "moments/v1"


def collect_exact(tensor: Tensor) -> Makers:
    """Exact sums, where the dtype allows them; of a quantized tensor those of the values that it stands for."""
    dtype = tensor.dtype
    if dtype in ExactAccumulator.DTYPES:
        return {"exact": partial(ExactAccumulator, dtype)}
    if dtype in FourBitAccumulator.DTYPES:
        return {"exact": FourBitAccumulator}
    if dtype in FourBitBlocksAccumulator.DTYPES:
        return {"exact": partial(FourBitBlocksAccumulator, dtype)}
    if dtype in QuantizedAccumulator.DTYPES:
        return {"exact": partial(QuantizedAccumulator, dtype)}
    return {}


def collect_scales(tensor: Tensor) -> Makers:
    """Scales of the blocks of a quantized tensor, where they are known."""
    dtype = tensor.dtype
    return {"scales": partial(ScalesAccumulator, dtype)} if dtype in ScalesAccumulator.DTYPES else {}


def describe(sums: ExactSums) -> Moments:
    """Moments of a tensor, each rounded once and written with 9 significant digits.

    Notes
    -----
    ``std`` has the denominator n - 1, and may be greater than any binary64 value; skewness and kurtosis are m3 / m2**1.5 and m4 / m2**2 - 3 with the
    denominator n.
    """
    return Moments(
        n=sums.n,
        mean=decimal(sums.mean()),
        std=_std(sums),
        skewness=_optional(sums.skewness()),
        excess_kurtosis=_optional(sums.excess_kurtosis()),
        minimum=_optional(sums.minimum),
        maximum=_optional(sums.maximum),
        zeros=sums.zeros,
        nans=sums.nans,
        infinities=sums.infinities,
        quantiles=None if sums.quantiles is None else tuple(map(decimal, sums.quantiles)),
        distinct=sums.distinct,
    )


def describe_quantization(scales: Scales, sums: ExactSums | None) -> Quantization:
    """Codes, scales and minima of a quantized tensor."""
    return Quantization(
        codes=sums.codes if isinstance(sums, QuantizedSums) else None,
        scales=describe(scales.scales),
        minima=None if scales.minima is None else describe(scales.minima),
    )


def _std(sums: ExactSums) -> str:
    """Standard deviation as ``decimal`` writes numbers, though it lie beyond binary64."""
    std = sums.std()
    if math.isfinite(std):
        return decimal(std)
    twice = Context(prec=9).multiply(Decimal(sums.std(exponent=1)), 2)
    return str(twice.normalize()).lower()


def _optional(value: float | None) -> str | None:
    return None if value is None else decimal(value)
