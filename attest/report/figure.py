"""From signed numbers to figures: which table becomes which chart."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from attest.comparison import Found, Test
from attest.document import decimal
from attest.evidence import Table
from attest.report.svg import Point, Series, histogram, line_chart, matrix_chart, stem_chart
from attest.terminal import visible

__all__ = [
    "Figure",
    "by_layer",
    "constants",
    "layer_figures",
    "layer_statistics_figure",
    "matrix_figure",
    "null_figure",
]

MAX_CHARTS = 24
"""Charts drawn of one table; further columns stand in the data table alone."""
Z_FLOOR = 5.0
_NUMBER = re.compile(r"-?[0-9]{1,40}(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,4})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Figure:
    """A chart and the words beneath it."""

    caption: str
    svg: Markup


def by_layer(table: Table) -> bool:
    """Whether a table's rows are layers."""
    return len(table.columns) > 1 and table.columns[0] == "layer"


def _finite(text: str) -> float | None:
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    return value if math.isfinite(value) else None


def _series(label: str, table: Table, column: int) -> Series:
    points = []
    for row in table.rows:
        x = _finite(row[0]) if row else None
        if x is not None and column < len(row):
            points.append(Point(x=x, y=_finite(row[column]), x_text=row[0], y_text=row[column]))
    return Series(label=label, points=tuple(points))


def constants(table: Table) -> tuple[tuple[str, str], ...]:
    """Columns that hold one value in all layers, with that value: nothing to draw."""
    columns = enumerate(table.columns[1:], start=1)
    held = [(name, {row[index] if index < len(row) else "" for row in table.rows}) for index, name in columns]
    return tuple((name, min(cells)) for name, cells in held if len(cells) == 1 and len(table.rows) > 1)


def layer_figures(ident: str, tables: Sequence[tuple[str, Table]]) -> tuple[Figure, ...]:
    """One small chart a column, with one line for each of the tables that share their columns.

    Parameters
    ----------
    ident : str
        Unique on the page.
    tables : sequence of (label, Table)
        One or two tables of the same columns, the first column ``layer``.

    Notes
    -----
    A column that holds the same one value in all layers of all tables is not drawn: see ``constants``.
    """
    figures = []
    flat = set.intersection(*(set(constants(table)) for _, table in tables))
    for column, name in enumerate(tables[0][1].columns[1 : MAX_CHARTS + 1], start=1):
        if name in dict(flat):
            continue
        title = f"{visible(name)} by layer"
        series = [_series(label, table, column) for label, table in tables]
        svg = line_chart(ident=f"{ident}-{column}", title=title, series=series, x_name="layer")
        if svg is not None:
            figures.append(Figure(caption=name, svg=svg))
    return tuple(figures)


def layer_statistics_figure(ident: str, test: Test) -> Figure | None:
    """Each layer's z, or its statistic where the test has no null distribution."""
    standardized = any(layer.z is not None for layer in test.layers)
    points = []
    for layer in test.layers:
        y = layer.z if standardized else layer.statistic
        points.append(Point(x=float(layer.layer), y=y, x_text=str(layer.layer), y_text="" if y is None else decimal(y)))
    caption = "z by layer, on a scale of at least ±5" if standardized else "Statistic by layer"
    title = f"{visible(test.id)}: {caption}"
    if standardized:
        svg = stem_chart(ident=ident, title=title, points=points, x_name="layer", floor=Z_FLOOR)
    else:
        series = [Series(label="", points=tuple(points))]
        svg = line_chart(ident=ident, title=title, series=series, x_name="layer")
    return None if svg is None else Figure(caption=caption, svg=svg)


def null_figure(ident: str, test: Test) -> Figure | None:
    """The null distribution with the observed z; None where the bundle gives no drawable histogram."""
    null = test.null_distribution
    if null is None or test.z is None:
        return None
    svg = histogram(
        ident=ident,
        title=f"{visible(test.id)}: null distribution and observed z",
        edges=null.edges,
        counts=null.counts,
        texts=[decimal(edge) for edge in null.edges],
        observed=Point(x=test.z, y=None, x_text=f"z = {decimal(test.z)}", y_text=""),
    )
    return None if svg is None else Figure(caption="Chance alone, and the observed z", svg=svg)


def matrix_figure(ident: str, found: Found) -> Figure | None:
    """A table of every layer of A with every layer of B, drawn; None for tables of another kind."""
    names, rows = found.table.columns[1:], [row[0] for row in found.table.rows if row]
    if found.table.columns[:1] != ("layer of a",) or not all(name.isdecimal() for name in (*names, *rows)):
        return None
    values = [[_finite(cell) for cell in row[1:]] for row in found.table.rows]
    if any(value is None for row in values for value in row):
        return None
    svg = matrix_chart(
        ident=ident,
        title=f"{visible(found.id)}: every layer of A with every layer of B",
        rows=[visible(row)[:4] for row in rows],
        columns=[visible(name)[:4] for name in names],
        values=[[value or 0.0 for value in row] for row in values],
        name="layer",
    )
    return None if svg is None else Figure(caption="Every layer of A with every layer of B", svg=svg)
