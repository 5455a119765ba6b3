from dataclasses import replace

import pytest
from report import factory

from attest.comparison import Found, NullDistribution, Test
from attest.evidence import Table
from attest.report.figure import (
    MAX_CHARTS,
    by_layer,
    constants,
    layer_figures,
    layer_statistics_figure,
    matrix_figure,
    null_figure,
)

TABLE = Table(columns=("layer", "q", "flat"), rows=(("0", "1.50", "7"), ("1", "-", "7"), ("2", "0.25", "7")))


@pytest.fixture
def exact() -> Test:
    measured = factory.evidence()
    side = factory.side(measured, factory.sign(measured))
    return factory.comparison(side, side).tests[1]


def test_only_tables_over_layers_are_drawn():
    assert by_layer(TABLE)
    assert not by_layer(Table(columns=("role", "q"), rows=()))
    assert not by_layer(Table(columns=("layer",), rows=()))


def test_a_column_of_one_value_is_told_and_not_drawn():
    assert constants(TABLE) == (("flat", "7"),)
    assert [figure.caption for figure in layer_figures("x", [("E1", TABLE)])] == ["q"]


def test_a_column_that_is_constant_in_one_of_two_is_drawn():
    other = replace(TABLE, rows=(("0", "1", "7"), ("1", "1", "8"), ("2", "1", "9")))
    assert [figure.caption for figure in layer_figures("x", [("E1", TABLE), ("E2", other)])] == ["q", "flat"]


def test_one_layer_has_no_constants():
    assert constants(replace(TABLE, rows=TABLE.rows[:1])) == ()


def test_values_are_printed_as_they_are_signed():
    (figure,) = layer_figures("x", [("E1", TABLE)])
    assert "highest 1.50 (layer 0)" in figure.svg
    assert "lowest 0.25 (layer 2)" in figure.svg


@pytest.mark.parametrize("cell", ["nan", "inf", "1e999", "1_0", " 1", "٣", "", "-", "0x10", "1" * 50])
def test_what_is_no_plain_number_is_a_gap(cell: str):
    table = Table(columns=("layer", "q"), rows=(("0", "1"), ("1", cell), ("2", "2")))
    (figure,) = layer_figures("x", [("E1", table)])
    assert figure.svg.count("<circle") == 2


def test_ragged_rows_and_very_many_columns_are_survived():
    wide = Table(
        columns=("layer", *(f"c{i}" for i in range(500))),
        rows=((), ("0",), ("1", *(str(i) for i in range(500)), "extra"), ("2", *("3" for _ in range(500)))),
    )
    assert len(layer_figures("x", [("E1", wide)])) == MAX_CHARTS


def test_a_null_distribution_without_a_z_or_bars_is_not_drawn(exact: Test):
    assert null_figure("x", exact) is not None
    assert null_figure("x", replace(exact, z=None)) is None
    assert null_figure("x", replace(exact, null_distribution=None)) is None
    assert isinstance(exact.null_distribution, NullDistribution)
    broken = replace(exact.null_distribution, edges=exact.null_distribution.edges[1:])
    assert null_figure("x", replace(exact, null_distribution=broken)) is None


def test_z_by_layer_is_drawn_where_there_is_one_else_the_statistic(exact: Test):
    standardized = layer_statistics_figure("x", exact)
    assert standardized is not None
    assert standardized.caption.startswith("z by layer")
    plain = layer_statistics_figure("x", replace(exact, layers=tuple(replace(one, z=None) for one in exact.layers)))
    assert plain is not None
    assert plain.caption == "Statistic by layer"
    assert layer_statistics_figure("x", replace(exact, layers=())) is None


def matrix(*rows: tuple[str, ...], columns: tuple[str, ...] = ("layer of a", "0", "1")) -> Found:
    return Found(id="debiased-cka/v1", title="t", table=Table(columns=columns, rows=rows))


def test_a_matrix_of_layers_is_drawn_between_0_and_1():
    figure = matrix_figure("x", matrix(("0", "-0.5", "0.25"), ("1", "0.5", "7")))
    assert figure is not None
    assert figure.svg.count("<rect") == 4
    for share in ("0", "0.25", "0.5", "1"):
        assert f'fill-opacity="{share}"' in figure.svg
    assert "2 by 2 values, from -0.5 to 7" in figure.svg


@pytest.mark.parametrize(
    "found",
    [
        matrix(),
        matrix(("0", "1"), ("1", "1", "1")),
        matrix(("0", "1", "x")),
        matrix(("first", "1", "1")),
        matrix(("0", "1", "1"), columns=("layer", "0", "1")),
        matrix(("0", "1", "1"), columns=("layer of a", "<b>", "1")),
        matrix(*((str(row), "1", "1") for row in range(65))),
    ],
)
def test_other_tables_are_not_drawn(found: Found):
    assert matrix_figure("x", found) is None
