"""Descriptive numbers: no p-value, and beside each its controls."""

from __future__ import annotations

from attest.compare.permutation import signed_digits
from attest.comparison import LayerStatistic, Test

__all__ = ["descriptive"]


def descriptive(test_id: str, statistic: float, n: int, note: str, *, layers: tuple[LayerStatistic, ...] = ()) -> Test:
    """A test without a null distribution."""
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
