"""Controls of the exact tests: what they show on real networks, and that one which fails silences its test."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from compare.pairs import compared, measured

from attest.compare.correspondence.exact_controls import exact_controls
from attest.compare.correspondence.permutation import Centered, Pairing
from attest.compare.fingerprints import Fingerprints
from attest.comparison import Comparison, Control
from attest.policy import Conclusion, conclude
from attest.reading import Reading

NEURONS, NORMS = "neuron-alignment/v1", "neuron-norm-correspondence/v1"
DIGESTS = {"a": "a" * 64, "b": "b" * 64}


def controls_of(comparison: Comparison, test: str) -> dict[tuple[str, str], Control]:
    return {(one.kind, one.of): one for one in comparison.controls if one.test == test}


def reading_of(conclusion: Conclusion, test: str) -> Reading:
    return next(one for one in conclusion.readings if one.test == test)


@pytest.mark.parametrize("other", ["seed-2", "seed-1-continued", "seed-1"])
def test_every_exact_test_has_its_controls_and_they_are_as_they_must_be(other: str) -> None:
    comparison = compared(measured("seed-1"), measured(other))
    exact = [test for test in comparison.tests if test.pvalue is not None]
    assert len(exact) == (
        3 if other == "seed-1" else 5
    )  # of one table of tokens nothing follows along the residual axis
    for test in exact:
        controls = controls_of(comparison, test.id)
        several = controls["itself", "a"].n > 1
        layered = {("other-layers", of) for of in ("a", "b", "a-b")} if several else set()
        assert controls.keys() == {(kind, of) for kind in ("itself", "shuffled") for of in ("a", "b")} | layered
        assert all(one.statistic > 20 for key, one in controls.items() if key[0] == "itself")
        assert all(abs(one.statistic) < 4 for key, one in controls.items() if key[0] != "itself")
    assert all(one.left_out is None and one.smallest_share for one in conclude(comparison).readings)


def test_exchanging_a_and_b_exchanges_the_sides_and_nothing_else() -> None:
    sides = {"a": "b", "b": "a", "a-b": "a-b"}
    forth, back = (compared(measured(a), measured(b)) for a, b in (("seed-1", "seed-2"), ("seed-2", "seed-1")))
    for test in (NEURONS, NORMS, "norm-gain-correspondence/v1"):
        there, returned = controls_of(forth, test), controls_of(back, test)
        assert {
            (kind, sides[of]): dataclasses.replace(one, of=sides[of]) for (kind, of), one in there.items()
        } == returned


def test_a_network_against_itself_lies_within_the_stated_bounds() -> None:
    rng = np.random.default_rng(7)
    n, width = 50, 6
    features = rng.standard_normal((n, width)) * np.geomspace(1, 30, width)
    (itself, *_) = exact_controls(
        "made/v1",
        [Pairing(layer=0, x=features, y=rng.standard_normal((n, width)))],
        [np.ones(n, bool)],
        tree_digests=DIGESTS,
    )
    assert np.sqrt(n - 1) <= itself.statistic <= np.sqrt((n - 1) * width)


@pytest.mark.parametrize("share", [0.05, 0.2, 0.6])
def test_a_share_copied_in_place_gives_that_share_of_the_z_against_itself(share: float) -> None:
    rng = np.random.default_rng(11)
    found = []
    for _ in range(40):
        x, y = (rng.standard_normal((600, 8)) for _ in range(2))
        copied = rng.permutation(600)[: int(600 * share)]
        y[copied] = x[copied]
        mine = Centered.of(x)
        found.append((mine.z(Centered.of(y)) or 0.0) / (mine.z(mine) or 1.0))
    assert np.mean(found) == pytest.approx(share, abs=0.01)


def test_layers_that_agree_with_the_next_in_both_silence_the_test() -> None:
    """Something lists the units of all layers in one order in both: then agreement by index means nothing."""
    related = compared(measured("seed-1"), measured("seed-1-continued"))

    def singled_out(*sides: str) -> Conclusion:
        controls = tuple(
            dataclasses.replace(one, median=9.0) if one.kind == "other-layers" and one.of in sides else one
            for one in related.controls
        )
        return conclude(dataclasses.replace(related, controls=controls))

    reading = reading_of(singled_out("a", "b", "a-b"), NORMS)
    assert "something in both singles units out" in (reading.left_out or "")
    assert reading.smallest_share is None
    assert any(sentence.startswith(f"{NORMS} is left out") for sentence in singled_out("a", "b", "a-b").cautions)
    assert all(one.left_out is None for one in singled_out("b", "a-b").readings)


def with_layers(one: Fingerprints, order: list[int]) -> Fingerprints:
    """A network whose layers are those of another, by number."""
    arrays = {
        fingerprint: {
            key.replace(f"layers.{layer}", f"layers.{place}", 1): array
            for place, layer in enumerate(order)
            for key, array in held.items()
            if key.split(".")[:2] == ["layers", str(layer)]
        }
        for fingerprint, held in one.arrays.items()
    }
    return dataclasses.replace(one, side=dataclasses.replace(one.side, layers=len(order)), arrays=arrays)


def test_layers_that_moved_by_one_are_no_reason_to_doubt_the_test() -> None:
    """Layer 1 was inserted: from there on every layer agrees with the next of the other, as copies do."""
    comparison = compared(measured("seed-1"), with_layers(measured("seed-1-continued"), [0, 0, 1, 2, 3]))
    across = controls_of(comparison, NORMS)["other-layers", "a-b"]
    assert across.greatest > 12
    assert reading_of(conclude(comparison), NORMS).left_out is None
    assert conclude(comparison).rung == "exact-rejected"


def first_units(one: Fingerprints, count: int) -> Fingerprints:
    sketches = {key: array[:count] for key, array in one.arrays["neuron-sketch/v1"].items()}
    return dataclasses.replace(one, arrays={"neuron-sketch/v1": sketches})


def test_a_test_that_cannot_even_see_the_network_itself_says_nothing() -> None:
    few = compared(*(first_units(measured(name), 3) for name in ("seed-1", "seed-2")))
    conclusion = conclude(few)
    assert conclusion.rung == "inconclusive"
    assert "too few units" in (reading_of(conclusion, NEURONS).left_out or "")


def test_without_its_controls_a_test_accuses_nobody() -> None:
    related = compared(measured("seed-1"), measured("seed-1-continued"))
    assert conclude(dataclasses.replace(related, controls=())).rung == "inconclusive"


def test_a_shuffled_network_that_still_corresponds_silences_its_test() -> None:
    related = compared(measured("seed-1"), measured("seed-1-continued"))
    broken = tuple(
        dataclasses.replace(one, statistic=-9.0) if one.kind == "shuffled" else one for one in related.controls
    )
    conclusion = conclude(dataclasses.replace(related, controls=broken))
    assert conclusion.rung == "inconclusive"
    assert all("in a random order" in (one.left_out or "") for one in conclusion.readings)
