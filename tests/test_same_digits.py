"""What counts as the same number, and what never does."""

import pytest

from attest.same_digits import AXES, LAST_DIGIT, Differences, Tolerance


def outcome(signed: object, fresh: object, tolerance: Tolerance) -> str:
    return Differences.of({"value": signed}, {"value": fresh}, tolerance).outcome


@pytest.mark.parametrize(
    ("signed", "fresh", "by_digits", "on_axes"),
    [
        (0.927, 0.927, "identical", "identical"),
        (128.389, 128.39, "within-tolerance", "within-tolerance"),
        (128.389, 128.4, "differs", "within-tolerance"),
        (0.0474, 0.0466, "differs", "within-tolerance"),
        (0.2, 0.21, "differs", "differs"),
        (209, 210, "differs", "differs"),
        (None, 0.0, "differs", "differs"),
        (0.5, float("inf"), "differs", "differs"),
        (float("inf"), -float("inf"), "differs", "differs"),
        ("a share of 0.98765 in 3 layers", "a share of 0.98764 in 3 layers", "differs", "within-tolerance"),
        ("a share of 0.9876 in 3 layers", "a share of 0.9876 in 4 layers", "differs", "differs"),
        ("exact", "empirical", "differs", "differs"),
        ([1.0, 2.0], [1.0, 2.001], "differs", "within-tolerance"),
        ([1.0, 2.0], [1.0], "differs", "differs"),
    ],
)
def test_how_far_apart_is_the_same(signed: object, fresh: object, by_digits: str, on_axes: str):
    assert (outcome(signed, fresh, LAST_DIGIT), outcome(signed, fresh, AXES)) == (by_digits, on_axes)
    assert (outcome(fresh, signed, LAST_DIGIT), outcome(fresh, signed, AXES)) == (by_digits, on_axes)


@pytest.mark.parametrize("name", ["pvalue", "smallestPvalue", "normalPvalue"])
def test_a_small_p_value_is_no_smaller_one(name: str):
    found = Differences.of({"test": {name: 0.0001}}, {"test": {name: 0.002}}, AXES)
    assert found.outcome == "differs"
    assert found.message == f"test {name} was 0.0001, now 0.002"


def test_few_draws_of_a_histogram_may_move():
    histogram = {"null": {"counts": [100, 800, 99]}}
    assert Differences.of(histogram, {"null": {"counts": [101, 799, 99]}}, AXES).outcome == "within-tolerance"
    assert Differences.of(histogram, {"null": {"counts": [101, 799, 99]}}, LAST_DIGIT).outcome == "differs"
    assert Differences.of(histogram, {"null": {"counts": [300, 600, 99]}}, AXES).outcome == "differs"


def test_the_first_that_is_not_tolerated_is_named():
    found = Differences.of({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.0000001, "b": 2.5, "c": 4.0}, LAST_DIGIT)
    assert found == Differences(outcome="differs", message="b was 2.0, now 2.5; and 1 more")


def test_long_texts_are_shown_where_they_part():
    text = "x" * 500
    assert len(Differences.of({"note": text + "1"}, {"note": text + "2"}, AXES).message) < 200
    assert Differences.of({"note": text + "1"}, {"note": text + "2"}, AXES).message.endswith("x2")
