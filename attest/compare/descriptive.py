"""Descriptive numbers: no p-value, and beside each what the same statistic gives where the answer is known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from attest.compare.permutation import signed_digits
from attest.comparison import Found, LayerStatistic, Test
from attest.document import decimal
from attest.evidence import Table

__all__ = ["Control", "control", "controls_table", "descriptive"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Control:
    """The same statistic where the answer is known: mean and greatest over ``n`` pairs of layers."""

    name: str
    n: int
    mean: float
    greatest: float


def control(name: str, shares: Sequence[float]) -> Control:
    """Control of these shares."""
    mean = sum(shares) / len(shares) if shares else 0.0
    return Control(name=name, n=len(shares), mean=mean, greatest=max(shares, default=0.0))


def controls_table(test_id: str, controls: Sequence[Control]) -> Found:
    """Controls as they are signed."""
    rows = tuple((one.name, str(one.n), decimal(one.mean, 4), decimal(one.greatest, 4)) for one in controls)
    table = Table(columns=("control", "pairs", "mean", "greatest"), rows=rows)
    return Found(id=test_id, title="Controls: the same share where the answer is known", table=table)


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
