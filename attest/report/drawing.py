"""The strokes that charts are made of: texts, lines, dots and the figure around them, as SVG.

Colors stand as presentation attributes, so a chart is whole without the style sheet, and again as classes, so the
style sheet can change them for dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable

from markupsafe import Markup, escape

__all__ = [
    "BAR",
    "BOTTOM",
    "INK",
    "LEFT",
    "MUTED",
    "RIGHT",
    "RULE",
    "STYLES",
    "TOP",
    "WIDTH",
    "coordinate",
    "put_dot",
    "put_figure",
    "put_line",
    "put_text",
]

WIDTH = 250
LEFT, RIGHT = 2, 228
TOP, BOTTOM = 24, 118
STYLES = (("c1", "#0b57d0", ""), ("c2", "#a8320a", "5 3"))
INK, MUTED, RULE, BAR = "#1f2328", "#57606a", "#c4c9d0", "#75808f"


def coordinate(value: float) -> str:
    """A coordinate with two decimals at most."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def put_text(x: float, y: float, text: str, *, anchor: str = "start", color: tuple[str, str] = ("ink", INK)) -> Markup:
    """A text at a place; escaped."""
    return Markup('<text x="{}" y="{}" text-anchor="{}" class="{}" fill="{}">{}</text>').format(
        coordinate(x), coordinate(y), anchor, color[0], color[1], text
    )


def put_line(x1: float, y1: float, x2: float, y2: float, *, cls: str = "rule", color: str = RULE) -> Markup:
    """A straight line."""
    return Markup('<line x1="{}" y1="{}" x2="{}" y2="{}" class="{}" stroke="{}" stroke-width="1"/>').format(
        coordinate(x1), coordinate(y1), coordinate(x2), coordinate(y2), cls, color
    )


def put_figure(ident: str, title: str, description: str, height: int, parts: Iterable[Markup]) -> Markup:
    """The figure around its parts, named and described for readers who hear it."""
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img"'
        ' aria-labelledby="{i}-t {i}-d" font-family="system-ui, sans-serif" font-size="11">'
        '<title id="{i}-t">{t}</title><desc id="{i}-d">{d}</desc>{parts}</svg>'
    ).format(w=WIDTH, h=height, i=escape(ident), t=escape(title), d=escape(description), parts=Markup("").join(parts))


def put_dot(x: float, y: float, radius: float, style: int) -> Markup:
    """A dot in the color of a series."""
    cls, color, _ = STYLES[style]
    return Markup('<circle cx="{}" cy="{}" r="{}" class="dot {}" fill="{}"/>').format(
        coordinate(x), coordinate(y), coordinate(radius), cls, color
    )
