"""When lines that name holders came and went, drawn month by month: came above the line, went below it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from attest.report.drawing import BOTTOM, LEFT, MUTED, RIGHT, STYLES, TOP, coordinate, put_figure, put_line, put_text
from attest.repository_scan import NoticeMonth

__all__ = ["notice_timeline"]

_WIDEST = 14.0


def notice_timeline(*, ident: str, title: str, months: Sequence[NoticeMonth]) -> Markup | None:
    """Bars over months at their true distances; None where no line came or went.

    Parameters
    ----------
    ident, title : str
        Unique on the page; name for readers who hear the chart.
    months : sequence of NoticeMonth
    """
    drawn = [(_number_of(one), one) for one in months]
    most = max((max(one.added, one.removed) for one in months), default=0)
    if not most:
        return None
    first, last = min(at for at, _ in drawn), max(at for at, _ in drawn)
    wide = min(_WIDEST, (RIGHT - LEFT) / (last - first + 1))
    zero = (TOP + BOTTOM) / 2
    parts: list[Markup] = []
    for at, one in drawn:
        left = LEFT + (at - first) / (last - first + 1) * (RIGHT - LEFT)
        for count, style, sign in ((one.added, 0, -1), (one.removed, 1, 1)):
            if count:
                parts.append(_bar(left, zero, wide, sign * count / most * (zero - TOP), style))
    added, removed = sum(one.added for one in months), sum(one.removed for one in months)
    ends = (min(one.month for one in months), max(one.month for one in months))
    parts += [
        put_line(LEFT, zero, RIGHT, zero, cls="axis", color=MUTED),
        put_text(
            LEFT,
            TOP - 10,
            f"above: {added:,} came, at most {max(one.added for one in months):,} in a month",
            color=(f"ink-{STYLES[0][0]}", STYLES[0][1]),
        ),
        put_text(
            LEFT,
            BOTTOM + 15,
            f"below: {removed:,} went, at most {max(one.removed for one in months):,} in a month",
            color=(f"ink-{STYLES[1][0]}", STYLES[1][1]),
        ),
        put_text(LEFT, BOTTOM + 29, ends[0]),
        put_text(RIGHT, BOTTOM + 29, ends[1] if ends[1] != ends[0] else "", anchor="end"),
    ]
    description = f"{ends[0]} to {ends[1]}: {added:,} lines came and {removed:,} went."
    return put_figure(ident, title, description, BOTTOM + 33, parts)


def _number_of(month: NoticeMonth) -> int:
    year, _, number = month.month.partition("-")
    return int(year) * 12 + int(number)


def _bar(left: float, zero: float, wide: float, tall: float, style: int) -> Markup:
    cls, color, _ = STYLES[style]
    return Markup('<rect x="{}" y="{}" width="{}" height="{}" class="fill-{}" fill="{}"/>').format(
        coordinate(left),
        coordinate(min(zero, zero + tall)),
        coordinate(max(wide - 0.6, 0.6)),
        coordinate(abs(tall)),
        cls,
        color,
    )
