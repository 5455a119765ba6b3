"""Tests without a null distribution: descriptive numbers, and counts of what networks trained apart never share."""

from __future__ import annotations

from dataclasses import replace

from attest.compare.digits import signed_digits
from attest.comparison import LayerStatistic, Test

__all__ = ["counted", "descriptive"]


def descriptive(test_id: str, statistic: float, n: int, note: str, *, layers: tuple[LayerStatistic, ...] = ()) -> Test:
    """A number that unrelated networks give, too: no p-value, and beside it its controls."""
    return Test(
        id=test_id,
        calibration="descriptive",
        statistic=signed_digits(statistic),
        z=None,
        pvalue=None,
        smallest_pvalue=None,
        normal_pvalue=None,
        n=n,
        layers=layers,
        null_distribution=None,
        note=note,
    )


def counted(test_id: str, share: float, n: int, note: str) -> Test:
    """A share of what is the same, bit for bit, in n places that tell."""
    return replace(descriptive(test_id, share, n, note), calibration="exact")
