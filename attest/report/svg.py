"""Charts as static SVG: pure functions from numbers to markup, no library and no script.

Colors stand as presentation attributes, so a chart is whole without the style sheet, and again as classes, so the
style sheet can change them for dark pages. Color never carries a difference alone: the second line is dashed, and both
bear their names. Coordinates have two decimals; the exact numbers stand in the data table beside each chart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

from attest.report.drawing import (
    BAR,
    BOTTOM,
    LEFT,
    MUTED,
    RIGHT,
    STYLES,
    TOP,
    WIDTH,
    coordinate,
    put_dot,
    put_figure,
    put_line,
    put_text,
)

__all__ = ["Point", "Series", "histogram", "line_chart", "matrix_chart", "stem_chart"]

_GUTTER = 78
"""Width kept free for a value that lies off the histogram's scale."""
_STRETCH = 2.5
"""How many widths of the bars the axis may take, so that an observed value stands on it at its true distance."""
_MANY = 32
"""Points a line may have before its dots run together."""
_LABEL_GAP = 13
_LABEL_ROOM = 50
"""How far from the middle a centered label still fits."""
_CELL, _MOST_CELLS = 24.0, 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One value of a series.

    Parameters
    ----------
    x : float
        Finite.
    y : float or None
        Finite; None leaves a gap.
    x_text, y_text : str
        Both as they are signed; what is printed.
    """

    x: float
    y: float | None
    x_text: str
    y_text: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Series:
    """A named line; at most two stand in one chart."""

    label: str
    points: tuple[Point, ...]


def _share(value: float, low: float, high: float) -> float:
    """Position of a value in a range, 0 to 1; the middle of an empty range. Halved, so that nothing overflows."""
    span = high / 2 - low / 2
    return (value / 2 - low / 2) / span if span > 0 else 0.5


@dataclass(frozen=True, kw_only=True, slots=True)
class _Frame:
    """Limits of the values that fill the drawing area."""

    x_low: float
    x_high: float
    y_low: float
    y_high: float

    def x(self, value: float) -> float:
        return LEFT + _share(value, self.x_low, self.x_high) * (RIGHT - LEFT)

    def y(self, value: float) -> float:
        return BOTTOM - _share(value, self.y_low, self.y_high) * (BOTTOM - TOP)


def _runs(points: Sequence[tuple[float, float] | None]) -> list[list[tuple[float, float]]]:
    """Unbroken runs of a line, split where a value is missing."""
    runs: list[list[tuple[float, float]]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return [run for run in runs if run]


def _polylines(series: Series, style: int, frame: _Frame) -> Markup:
    """One series: its runs as lines, its points as dots."""
    cls, color, dashes = STYLES[style]
    at = [None if point.y is None else (frame.x(point.x), frame.y(point.y)) for point in series.points]
    dashed = Markup(' stroke-dasharray="{}"').format(dashes) if dashes else ""
    lines = Markup("").join(
        Markup('<polyline points="{}" class="{}" fill="none" stroke="{}" stroke-width="1.75"{}/>').format(
            " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in run), cls, color, dashed
        )
        for run in _runs(at)
        if len(run) > 1
    )
    radius = 2.2 if len(at) <= _MANY else 1.2
    return lines + Markup("").join(put_dot(x, y, radius, style) for x, y in (point for point in at if point))


def _end_labels(series: Sequence[Series], frame: _Frame) -> list[Markup]:
    """Names at the right end of their lines, kept apart."""
    ends = []
    for index, one in enumerate(series):
        values = [point.y for point in one.points if point.y is not None]
        if values:
            ends.append((frame.y(values[-1]) + 4, index))
    ends.sort()
    if len(ends) > 1 and ends[1][0] - ends[0][0] < _LABEL_GAP:
        middle = (ends[0][0] + ends[1][0]) / 2
        ends = [(middle - _LABEL_GAP / 2, ends[0][1]), (middle + _LABEL_GAP / 2, ends[1][1])]
    return [
        put_text(RIGHT + 6, y, series[index].label, color=(f"ink-{STYLES[index][0]}", STYLES[index][1]))
        for y, index in ends
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Extremes:
    """Highest and lowest point of a chart and the words for them."""

    high: float
    low: float
    high_text: str
    low_text: str
    first: Point
    last: Point

    @classmethod
    def of(cls, series: Sequence[Series], x_name: str) -> _Extremes | None:
        """None where no point has a value."""
        held = [(point.y, one.label, point) for one in series for point in one.points if point.y is not None]
        if not held:
            return None
        top, bottom = max(held, key=lambda one: one[0]), min(held, key=lambda one: one[0])
        texts = []
        for word, (_, label, point) in (("highest", top), ("lowest", bottom)):
            whose = f"{label}, " if len(series) > 1 else ""
            texts.append(f"{word} {point.y_text} ({whose}{x_name} {point.x_text})")
        points = [point for _, _, point in held]
        return cls(
            high=top[0],
            low=bottom[0],
            high_text=texts[0],
            low_text=texts[1],
            first=min(points, key=lambda point: point.x),
            last=max(points, key=lambda point: point.x),
        )

    def finish(self, ident: str, title: str, x_name: str, parts: Iterable[Markup]) -> Markup:
        """The chart with its words around it."""
        words = (
            put_text(LEFT, TOP - 10, self.high_text, color=("muted", MUTED)),
            put_text(LEFT, BOTTOM + 15, self.low_text, color=("muted", MUTED)),
            put_text(LEFT, BOTTOM + 29, f"{x_name} {self.first.x_text}"),
            put_text(RIGHT, BOTTOM + 29, f"{x_name} {self.last.x_text}", anchor="end"),
        )
        description = f"From {x_name} {self.first.x_text} to {self.last.x_text}: {self.high_text}, {self.low_text}."
        return put_figure(ident, title, description, BOTTOM + 33, (*parts, *words))


def line_chart(*, ident: str, title: str, series: Sequence[Series], x_name: str) -> Markup | None:
    """Lines over layers; the frame's upper and lower edge are the highest and the lowest value, printed.

    Parameters
    ----------
    ident : str
        Unique on the page.
    title : str
        Name for readers who hear the chart.
    series : sequence of Series
        One or two.
    x_name : str
        What is counted along the chart, such as ``layer``.

    Returns
    -------
    Markup or None
        None where no point has a value.
    """
    ends = _Extremes.of(series, x_name)
    if ends is None:
        return None
    frame = _Frame(x_low=ends.first.x, x_high=ends.last.x, y_low=ends.low, y_high=ends.high)
    parts = [
        put_line(LEFT, TOP, RIGHT, TOP),
        put_line(LEFT, BOTTOM, RIGHT, BOTTOM),
        *(_polylines(one, index, frame) for index, one in enumerate(series)),
        *(_end_labels(series, frame) if len(series) > 1 else ()),
    ]
    return ends.finish(ident, title, x_name, parts)


def stem_chart(*, ident: str, title: str, points: Sequence[Point], x_name: str, floor: float) -> Markup | None:
    """Values over layers as stems that stand on zero.

    Parameters
    ----------
    ident, title, x_name
        As in ``line_chart``.
    points : sequence of Point
    floor : float
        The scale reaches at least from ``-floor`` to ``floor``, so that noise is not drawn as if it were a signal.

    Returns
    -------
    Markup or None
        None where no point has a value.
    """
    ends = _Extremes.of([Series(label="", points=tuple(points))], x_name)
    if ends is None:
        return None
    frame = _Frame(x_low=ends.first.x, x_high=ends.last.x, y_low=min(-floor, ends.low), y_high=max(floor, ends.high))
    zero = frame.y(0.0)
    parts = [put_line(LEFT, zero, RIGHT, zero, cls="axis", color=MUTED), put_text(RIGHT + 6, zero + 4, "0")]
    for point in points:
        if point.y is not None:
            x, y = frame.x(point.x), frame.y(point.y)
            parts += [put_line(x, zero, x, y, cls=STYLES[0][0], color=STYLES[0][1]), put_dot(x, y, 2.6, 0)]
    return ends.finish(ident, title, x_name, parts)


def histogram(
    *, ident: str, title: str, edges: Sequence[float], counts: Sequence[int], texts: Sequence[str], observed: Point
) -> Markup | None:
    """What chance gives, as bars, and the observed value as a line; None where the bars make no histogram.

    Parameters
    ----------
    edges, counts : sequence of float, sequence of int
        One edge more than counts, rising; no count is negative.
    texts : sequence of str
        The edges as they are printed.
    observed : Point
        ``x`` on the scale of the edges, ``x_text`` as it is printed.

    Notes
    -----
    The axis reaches out to the observed value, or, where that would crush the bars, is broken: the value then stands
    beyond the break with its number, and the chart says that its distance is not to scale.
    """
    if len(edges) != len(counts) + 1 or min(counts, default=-1) < 0 or not any(counts):
        return None
    if not all(low < high for low, high in pairwise(edges)):
        return None
    low, high = _scale(edges, observed.x)
    beyond = (observed.x > high) - (observed.x < low)
    start, end = (LEFT + _GUTTER if beyond < 0 else LEFT), (RIGHT - _GUTTER if beyond > 0 else RIGHT)

    def at(value: float) -> float:
        return start + _share(value, low, high) * (end - start)

    off = f", beyond a break in the axis that ends at {texts[-1] if beyond > 0 else texts[0]}" if beyond else ""
    description = f"Bars from {texts[0]} to {texts[-1]}. Observed: {observed.x_text}{off}."
    parts = [
        put_line(start, BOTTOM, end, BOTTOM, cls="axis", color=MUTED),
        *_bars([at(edge) for edge in edges], counts),
        *_observed(observed, beyond, at(min(max(observed.x, low), high))),
        put_text(at(edges[0]), BOTTOM + 15, texts[0]),
        put_text(at(edges[-1]), BOTTOM + 15, texts[-1], anchor="end"),
    ]
    return put_figure(ident, title, description, BOTTOM + 20, parts)


def _scale(edges: Sequence[float], observed: float) -> tuple[float, float]:
    """Limits of the axis: out to the observed value, unless the bars would be crushed."""
    low, high = min(edges[0], observed), max(edges[-1], observed)
    crushed = high / 2 - low / 2 > _STRETCH * (edges[-1] / 2 - edges[0] / 2)
    return (edges[0], edges[-1]) if crushed else (low, high)


def _bars(edges: Sequence[float], counts: Sequence[int]) -> list[Markup]:
    """Bars between edges given in the chart's own coordinates, the tallest as high as the drawing area allows."""
    bars = []
    for (left, right), count in zip(pairwise(edges), counts, strict=True):
        tall = count / max(counts) * (BOTTOM - TOP - 8)
        bars.append(
            Markup('<rect x="{}" y="{}" width="{}" height="{}" class="bar" fill="{}"/>').format(
                coordinate(left),
                coordinate(BOTTOM - tall),
                coordinate(max(right - left - 0.6, 0.4)),
                coordinate(tall),
                BAR,
            )
        )
    return bars


def _observed(observed: Point, beyond: int, inside: float) -> list[Markup]:
    """The observed value: a line on the axis, or beyond a break in it."""
    cls, color = STYLES[1][:2]
    x = {0: inside, 1: RIGHT - 6.0, -1: LEFT + 6.0}[beyond]
    near_edge = abs(x - WIDTH / 2) > _LABEL_ROOM
    anchor = ("end" if x > WIDTH / 2 else "start") if near_edge else "middle"
    edge = {"end": min(x + 4, RIGHT), "start": max(x - 4, LEFT), "middle": x}[anchor]
    parts = [
        Markup('<line x1="{x}" y1="{}" x2="{x}" y2="{}" class="{}" stroke="{}" stroke-width="2"/>').format(
            TOP - 4, BOTTOM, cls, color, x=coordinate(x)
        ),
        put_text(edge, TOP - 10, f"observed {observed.x_text}", anchor=anchor, color=(f"ink-{cls}", color)),
    ]
    if beyond:
        gap = RIGHT - _GUTTER + 8 if beyond > 0 else LEFT + _GUTTER - 8
        parts += [
            put_line(gap - 4, BOTTOM + 5, gap, BOTTOM - 5, cls="axis", color=MUTED),
            put_line(gap, BOTTOM + 5, gap + 4, BOTTOM - 5, cls="axis", color=MUTED),
            put_line(gap + beyond * 3, BOTTOM, RIGHT if beyond > 0 else LEFT, BOTTOM, cls="axis", color=MUTED),
            put_text(RIGHT if beyond > 0 else LEFT, BOTTOM + 15, "not to scale", anchor=anchor, color=("muted", MUTED)),
        ]
    return parts


def matrix_chart(
    *, ident: str, title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float]], name: str
) -> Markup | None:
    """Shares of pairs as squares, the fuller the nearer to 1; None where it is no matrix of at most 64 by 64.

    Parameters
    ----------
    rows, columns : sequence of str
        Their names, as they are printed.
    values : sequence of sequence of float
        Finite; drawn between 0 and 1.
    name : str
        What rows and columns are, such as ``layer``.
    """
    if not 0 < len(rows) <= _MOST_CELLS or not 0 < len(columns) <= _MOST_CELLS or len(values) != len(rows):
        return None
    if any(len(row) != len(columns) for row in values):
        return None
    cell = min(_CELL, (RIGHT - LEFT) / max(len(rows), len(columns)))
    bottom = TOP + cell * len(rows)
    parts = [
        Markup('<rect x="{}" y="{}" width="{s}" height="{s}" class="cell" fill="{}" fill-opacity="{}"/>').format(
            coordinate(LEFT + cell * j),
            coordinate(TOP + cell * i),
            STYLES[0][1],
            coordinate(min(max(value, 0.0), 1.0)),
            s=coordinate(max(cell - 0.5, 0.5)),
        )
        for i, row in enumerate(values)
        for j, value in enumerate(row)
    ]
    words = [
        put_text(LEFT, TOP - 10, f"of B: {name} {columns[0]} to {columns[-1]}, left to right"),
        put_text(LEFT, bottom + 15, f"of A: {name} {rows[0]} to {rows[-1]}, from the top"),
        put_text(LEFT, bottom + 29, "empty is 0 or less, full is 1", color=("muted", MUTED)),
    ]
    flat = [value for row in values for value in row]
    description = f"{len(rows)} by {len(columns)} values, from {min(flat):.3g} to {max(flat):.3g}."
    return put_figure(ident, title, description, round(bottom) + 35, (*parts, *words))
