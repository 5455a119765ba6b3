"""From results to conclusions, on results made by hand."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("torch")

from validity.localize import layer_maps
from validity.summary import cells, conclusions, false_positives, highest, of_kind


def exact(z: float, pvalue: float) -> dict[str, Any]:
    return {"calibration": "exact", "statistic": z, "z": z, "pvalue": pvalue, "n": 100, "layers": {}}


def described(statistic: float) -> dict[str, Any]:
    return {"calibration": "descriptive", "statistic": statistic, "z": None, "pvalue": None, "n": 100, "layers": {}}


def result(label: tuple[str, ...], rung: str, **tests: dict[str, Any]) -> dict[str, Any]:
    return {
        "label": label,
        "rung": rung,
        "rung_without_weights": rung,
        "tests": {f"{name}/v1".replace("_", "-"): one for name, one in tests.items()},
    }


INDEPENDENT = [
    result(("independent", "alike", str(i), "x"), "no-evidence", t=exact(1.0, (i + 0.5) / 20), agreement=described(i / 1000))
    for i in range(20)
]  # fmt: skip
FOUND = result(("derived", "a", "alone", "p"), "exact-rejected", t=exact(50.0, 1e-4), agreement=described(0.001))
AGREED = result(("derived", "b", "alone", "p"), "no-evidence", t=exact(0.5, 0.6), agreement=described(0.5))
MISSED = result(
    ("derived", "c", "alone", "p"), "no-evidence", t=exact(0.5, 0.6), attention_std_correlation=described(2.0)
)


def test_even_pvalues_pass():
    found = false_positives(INDEPENDENT)["t/v1"]
    assert found["pairs"] == 20
    assert found["uniform_pvalue"] > 0.99
    assert found["rejections"] == {"0.01": {"observed": 0, "bound": 2}, "0.001": {"observed": 0, "bound": 1}}


def test_the_highest_of_unrelated_pairs_is_the_limit():
    assert highest(INDEPENDENT)["agreement/v1"] == 0.019


def test_a_cell_says_what_saw_it():
    matrix = cells([FOUND, AGREED], highest(INDEPENDENT))
    assert matrix["a", "alone"]["tests"]["t/v1"] == {"ran": 1, "saw": 1, "least": 50.0}
    assert matrix["a", "alone"]["tests"]["agreement/v1"]["saw"] == 0
    assert matrix["b", "alone"]["tests"]["agreement/v1"]["saw"] == 1
    assert matrix["b", "alone"]["accused"] == 0


def test_published_statistics_never_count_and_misses_are_named():
    said = conclusions([*INDEPENDENT, FOUND, AGREED, MISSED])
    assert said["missed_by_every_test"] == [["c", "alone"]]
    assert said["below_the_ladder"] == [["b", "alone"], ["c", "alone"]]
    assert said["false_accusations"] == []


def test_an_accused_stranger_is_named():
    accused = result(("independent", "alike", "q", "r"), "exact-rejected", t=exact(9.0, 1e-4))
    said = conclusions([*INDEPENDENT, accused])
    assert said["false_accusations"] == [["independent", "alike", "q", "r"]]
    assert of_kind([accused], "independent") == [accused]


def test_tables_of_layers_become_maps():
    found = [
        {"id": "row-containment/v1", "title": "Layers of a in those of b", "rows": [["0", "9", "9", "1", "9", "-"]]},
        {"id": "row-containment/v1", "title": "Layers of b in those of a", "rows": [["0", "9", "9", "0", "9", "-"], ["1", "9", "0", "-", "0", "-"]]},
        {"id": "layer-alignment/v1", "title": "Which layer is found in which", "rows": [["0", "1", "0.9", "in order"], ["2", "-", "0", "alone"], ["-", "0", "0", "alone"]]},
    ]  # fmt: skip
    assert layer_maps(found) == {
        "row-containment/v1": {0: 0, 1: None},
        "layer-alignment/v1": {1: 0, 0: None},
    }
