import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import Markup

from attest.report import drawing
from attest.report.svg import Point, Series, histogram, line_chart, stem_chart
from attest.resource import resource

SPACE = "{http://www.w3.org/2000/svg}"
numbers = st.floats(allow_nan=False, allow_infinity=False)
EDGES = [-2.0, -1.0, 0.0, 1.0, 2.0]
COUNTS = [1, 5, 6, 2]


def points(values: list[float | None]) -> tuple[Point, ...]:
    return tuple(
        Point(x=float(layer), y=value, x_text=str(layer), y_text=repr(value)) for layer, value in enumerate(values)
    )


def line(*values: list[float | None]) -> Markup:
    series = [Series(label=f"E{i}", points=points(list(each))) for i, each in enumerate(values, start=1)]
    made = line_chart(ident="x", title="t", series=series, x_name="layer")
    assert made is not None
    return made


def bars(observed: float, edges: list[float] = EDGES, counts: list[int] = COUNTS) -> Markup | None:
    point = Point(x=observed, y=None, x_text=f"z = {observed}", y_text="")
    return histogram(
        ident="x", title="t", edges=edges, counts=counts, texts=[str(edge) for edge in edges], observed=point
    )


def parsed(made: Markup | None) -> ET.Element:
    return ET.fromstring(str(made))  # noqa: S314 - our own markup


def texts(made: Markup) -> list[str]:
    return [one.text or "" for one in parsed(made).iter(f"{SPACE}text")]


def coordinates(made: Markup) -> list[str]:
    found = re.findall(r' (?:x|y|x1|y1|x2|y2|cx|cy|r|width|height)="([^"]*)"', made)
    return found + re.findall(r"[^ ,]+", " ".join(re.findall(r' points="([^"]*)"', made)))


@given(st.lists(st.one_of(st.none(), numbers), max_size=12), st.lists(numbers, max_size=12))
def test_coordinates_are_inside_and_have_two_decimals_at_most(first: list[float | None], second: list[float]):
    series = [Series(label="a", points=points(first)), Series(label="b", points=points(list(second)))]
    charts = [
        line_chart(ident="x", title="t", series=series, x_name="layer"),
        stem_chart(ident="x", title="t", points=series[0].points, x_name="layer", floor=5.0),
    ]
    for made in charts:
        for text in coordinates(made) if made else ():
            assert re.fullmatch(r"-?\d+(\.\d{1,2})?", text)
            assert text != "-0"
            assert -1 <= float(text) <= drawing.WIDTH


@given(st.lists(numbers, min_size=2, max_size=9, unique=True), numbers)
def test_histograms_stay_inside_whatever_is_observed(edges: list[float], observed: float):
    edges = sorted(edges)
    made = bars(observed, edges, [1] * (len(edges) - 1))
    assert made is not None
    for text in coordinates(made):
        assert re.fullmatch(r"-?\d+(\.\d{1,2})?", text)
        assert -1 <= float(text) <= drawing.WIDTH


def test_highest_and_lowest_are_printed_as_they_are_signed():
    assert texts(line([0.5, None, 0.123456789], [0.2, 0.9, 0.4]))[2:] == [
        "highest 0.9 (E2, layer 1)",
        "lowest 0.123456789 (E1, layer 2)",
        "layer 0",
        "layer 2",
    ]


def test_a_missing_value_breaks_the_line():
    made = parsed(line([1.0, 2.0, None, 3.0, 4.0]))
    assert len(list(made.iter(f"{SPACE}polyline"))) == 2
    assert len(list(made.iter(f"{SPACE}circle"))) == 4


def test_the_second_line_is_dashed_and_both_are_named():
    made = line([1.0, 2.0], [1.0, 2.0])
    first, second = parsed(made).iter(f"{SPACE}polyline")
    assert first.get("stroke-dasharray") is None
    assert second.get("stroke-dasharray")
    assert first.get("stroke") != second.get("stroke")
    heights = {one.text: float(one.get("y", "")) for one in parsed(made).iter(f"{SPACE}text")}
    assert abs(heights["E1"] - heights["E2"]) >= 13


def test_nothing_to_draw_gives_no_chart():
    empty = [Series(label="a", points=points([None, None]))]
    assert line_chart(ident="x", title="t", series=empty, x_name="layer") is None
    assert stem_chart(ident="x", title="t", points=(), x_name="layer", floor=5.0) is None


def test_small_values_of_z_are_drawn_small():
    made = stem_chart(ident="x", title="t", points=points([0.4, -0.3]), x_name="layer", floor=5.0)
    tips = [float(one.get("cy", "")) for one in parsed(made).iter(f"{SPACE}circle")]
    assert max(tips) - min(tips) < 10


def test_an_observed_value_among_the_bars_stands_on_their_scale():
    made = bars(1.0)
    assert made is not None
    marker = next(one for one in parsed(made).iter(f"{SPACE}line") if one.get("class") == "c2")
    edges = [float(one.get("x", "")) for one in parsed(made).iter(f"{SPACE}rect")]
    assert float(marker.get("x1", "")) == pytest.approx(edges[3], abs=0.02)
    assert "not to scale" not in texts(made)


def test_an_observed_value_near_the_bars_stretches_their_axis():
    made = bars(6.0)
    assert made is not None
    marker = next(one for one in parsed(made).iter(f"{SPACE}line") if one.get("class") == "c2")
    edges = [float(one.get("x", "")) for one in parsed(made).iter(f"{SPACE}rect")]
    unit = edges[1] - edges[0]
    assert float(marker.get("x1", "")) - edges[0] == pytest.approx(8 * unit, abs=0.1)
    assert "not to scale" not in texts(made)


@pytest.mark.parametrize("observed", [357.2, -48.1])
def test_an_observed_value_far_off_stands_beyond_a_break_and_says_so(observed: float):
    made = bars(observed)
    assert made is not None
    marker = next(one for one in parsed(made).iter(f"{SPACE}line") if one.get("class") == "c2")
    rects = list(parsed(made).iter(f"{SPACE}rect"))
    left = float(rects[0].get("x", ""))
    right = float(rects[-1].get("x", "")) + float(rects[-1].get("width", ""))
    at = float(marker.get("x1", ""))
    assert at > right + 30 if observed > 0 else at < left - 30
    assert {"not to scale", f"observed z = {observed}"} <= set(texts(made))
    assert "beyond a break in the axis" in made


@pytest.mark.parametrize(
    ("edges", "counts"),
    [
        ([], []),
        ([0.0], []),
        ([0.0, 1.0], [0]),
        ([0.0, 1.0], [1, 2]),
        ([0.0, 1.0, 1.0], [1, 2]),
        ([1.0, 0.0], [1]),
        ([0.0, 1.0, 2.0], [3, -1]),
    ],
)
def test_what_is_no_histogram_is_not_drawn(edges: list[float], counts: list[int]):
    assert bars(0.5, edges, counts) is None


def test_hostile_words_stay_words():
    hostile = '"><script>alert(1)</script>'
    point = Point(x=0.0, y=1.0, x_text=hostile, y_text=hostile)
    made = line_chart(ident="x", title=hostile, series=[Series(label=hostile, points=(point,))], x_name=hostile)
    root = parsed(made)
    assert {one.tag.removeprefix(SPACE) for one in root.iter()} <= {"svg", "title", "desc", "text", "line", "circle"}
    assert root.find(f"{SPACE}title").text == hostile  # type: ignore[union-attr]


def test_every_chart_has_a_name_and_a_description():
    for made in (
        line([1.0, 2.0]),
        bars(3.0),
        stem_chart(ident="x", title="t", points=points([1.0]), x_name="l", floor=5),
    ):
        root = parsed(made)
        assert root.get("role") == "img"
        names = root.get("aria-labelledby", "").split()
        assert [one.get("id") for one in list(root)[:2]] == names
        assert all(one.text for one in list(root)[:2])


def luminance(color: str) -> float:
    channels = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def palettes() -> list[dict[str, str]]:
    """Colors of the style sheet: light, dark, print."""
    css = resource("templates/report.css").read_text()
    blocks = [block for block in re.findall(r":root \{([^}]*)\}", css) if "--paper" in block]
    full = [re.sub(r"#([0-9a-f])([0-9a-f])([0-9a-f])\b", r"#\1\1\2\2\3\3", block) for block in blocks]
    return [dict(re.findall(r"--([a-z]+): (#[0-9a-f]{6})", block)) for block in full]


def test_text_in_charts_contrasts_in_light_dark_and_print():
    light, dark, printed = palettes()
    attributes = {drawing.INK, drawing.MUTED, *(color for _, color, _ in drawing.STYLES)}
    assert attributes == {light[name] for name in ("ink", "muted", "one", "two")}
    assert light["bar"] == drawing.BAR
    for palette in (light, dark, printed):
        for ground in ("paper", "card", "notice"):
            for name in ("ink", "muted", "one", "two"):
                assert contrast(palette[name], palette[ground]) >= 4.5, (name, ground)
        for name in ("edge", "bar"):
            assert contrast(palette[name], palette["paper"]) >= 3, name
