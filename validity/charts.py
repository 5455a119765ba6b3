"""Charts of the report, drawn by attest's own SVG module."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from attest.document import decimal
from attest.report.svg import Point, Series, histogram, line_chart
from validity.calibration import quantiles
from validity.summary import of_kind

__all__ = ["charts"]

_STD = "attention-std-correlation/v1"
_ALIGNMENT = "neuron-alignment/v1"
_ANCHORED = "anchored-alignment/v1"


def charts(record: Mapping[str, Any]) -> dict[str, str]:
    """Charts by file name; one without data is left out."""
    pairs = record["pairs"]
    independent = of_kind(pairs, "independent")
    made = {
        "qq-neuron-alignment.svg": _qq("neuron-alignment", _pvalues(independent, _ALIGNMENT)),
        "qq-anchored-alignment.svg": _qq("anchored-alignment", _pvalues(independent, _ANCHORED)),
        "qq-all.svg": _qq("all exact tests", _pvalues(independent, None)),
        "published.svg": _published(independent),
        "slerp.svg": _slerp(of_kind(pairs, "slerp")),
    }
    return {name: chart for name, chart in made.items() if chart}


def _point(x: float, y: float) -> Point:
    return Point(x=x, y=y, x_text=decimal(x, 3), y_text=decimal(y, 3))


def _pvalues(results: Sequence[Mapping[str, Any]], wanted: str | None) -> list[float]:
    return [
        test["pvalue"]
        for one in results
        for name, test in one["tests"].items()
        if test["pvalue"] is not None and wanted in {None, name}
    ]


def _qq(title: str, pvalues: Sequence[float]) -> str:
    """P-values in order against what the uniform law expects; on the diagonal they are calibrated."""
    if len(pvalues) < 2:
        return ""
    points = quantiles(pvalues)
    step = max(1, len(points) // 100)
    observed = Series(label="p", points=tuple(_point(x, y) for x, y in points[::step]))
    expected = Series(label="=", points=(_point(0.0, 0.0), _point(1.0, 1.0)))
    chart = line_chart(ident="qq", title=f"QQ plot, {title}", series=(observed, expected), x_name="expected p")
    return str(chart or "")


def _published(independent: Sequence[Mapping[str, Any]]) -> str:
    """The published statistic over independent pairs of one shape, and the value that was published."""
    values = [
        one["tests"][_STD]["statistic"] for one in independent if one["label"][1] == "alike" and _STD in one["tests"]
    ]
    edges = [edge / 10 for edge in range(-10, 11)]
    counts = [
        sum(low <= value < high or value == high == 1.0 for value in values) for low, high in itertools.pairwise(edges)
    ]
    chart = histogram(
        ident="published",
        title="Correlation of attention standard deviations of independent networks, and the published 0.927",
        edges=edges,
        counts=counts,
        texts=[decimal(edge, 2) for edge in edges],
        observed=Point(x=0.927, y=None, x_text="0.927", y_text=""),
    )
    return str(chart or "")


def _slerp(sweep: Sequence[Mapping[str, Any]]) -> str:
    """Neuron alignment by the share of the parent that is left, its least value over the seeds."""
    shares = sorted({1 - float(one["label"][1]) for one in sweep})
    points = []
    for share in shares:
        zs = [one["tests"][_ALIGNMENT]["z"] for one in sweep if abs(1 - float(one["label"][1]) - share) < 1e-9]
        points.append(_point(share, min(zs)))
    title = "Least z of neuron-alignment by the share of the parent that is left"
    return str(
        line_chart(ident="slerp", title=title, series=[Series(label="z", points=tuple(points))], x_name="share") or ""
    )
