"""How much of a file each release of a package holds, drawn: the peak stands out, and nothing says why."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from attest.report.drawing import (
    BOTTOM,
    LEFT,
    MUTED,
    RIGHT,
    STYLES,
    TOP,
    coordinate,
    put_dot,
    put_figure,
    put_line,
    put_text,
)

__all__ = ["release_curve"]

_FEW = 40
"""Releases up to which each has its dot."""


def release_curve(
    *,
    ident: str,
    title: str,
    releases: Sequence[str],
    shares: Sequence[float],
    texts: Sequence[str],
    peaks: Sequence[int],
) -> Markup | None:
    """A line over releases from 0 to 1, the releases that hold most as dots of their own.

    Parameters
    ----------
    ident, title : str
        Unique on the page; name for readers who hear the chart.
    releases, texts : sequence of str
        Names of the releases and their shares, as they are printed.
    shares : sequence of float
    peaks : sequence of int
        Places of the releases that hold most.

    Returns
    -------
    Markup or None
        None where there are fewer than two releases, or not one share each.
    """
    if len(releases) < 2 or len(shares) != len(releases):
        return None
    at = [(_along(place, len(shares)), _up(share)) for place, share in enumerate(shares)]
    peak = _peak_words(releases, texts, peaks)
    parts = [
        put_line(LEFT, TOP, RIGHT, TOP),
        put_line(LEFT, BOTTOM, RIGHT, BOTTOM, cls="axis", color=MUTED),
        put_text(RIGHT + 6, TOP + 4, "1", color=("muted", MUTED)),
        put_text(RIGHT + 6, BOTTOM + 4, "0", color=("muted", MUTED)),
        Markup('<polyline points="{}" class="{}" fill="none" stroke="{}" stroke-width="1.75"/>').format(
            " ".join(f"{coordinate(x)},{coordinate(y)}" for x, y in at), STYLES[0][0], STYLES[0][1]
        ),
        *(put_dot(x, y, 2.0, 0) for x, y in at if len(at) <= _FEW),
        *(put_dot(*at[place], 4.0, 1) for place in peaks),
        put_text(LEFT, TOP - 10, peak, color=(f"ink-{STYLES[1][0]}", STYLES[1][1])),
        put_text(LEFT, BOTTOM + 15, releases[0]),
        put_text(RIGHT, BOTTOM + 15, releases[-1], anchor="end"),
    ]
    return put_figure(
        ident, title, f"{len(releases)} releases, {releases[0]} to {releases[-1]}. {peak}.", BOTTOM + 20, parts
    )


def _along(place: int, count: int) -> float:
    return LEFT + 4 + place / (count - 1) * (RIGHT - LEFT - 8)


def _up(share: float) -> float:
    return BOTTOM - min(max(share, 0.0), 1.0) * (BOTTOM - TOP)


def _peak_words(releases: Sequence[str], texts: Sequence[str], peaks: Sequence[int]) -> str:
    """Where the peak is: of releases in a row the first and the last."""
    if not peaks:
        return f"{texts[0]} in every release"
    first, last = releases[peaks[0]], releases[peaks[-1]]
    in_a_row = peaks[-1] - peaks[0] + 1 == len(peaks)
    where = first if len(peaks) == 1 else f"{first} to {last}" if in_a_row else f"{first}, {last} and others"
    return f"most {texts[peaks[0]]}: {where}"
