"""Tests on what networks do, on the fixture family and on what laundering makes of it."""

import dataclasses
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from activation.staged import activations_of
from compare.pairs import measured

from attest.compare.activation_arrays import activation_arrays
from attest.compare.activations.activation_matching import activation_matching
from attest.compare.activations.prediction_agreement import prediction_agreement
from attest.compare.activations.representation_similarity import debiased_cka, linear_cka, representation_similarity
from attest.compare.activations.residual_activations import residual_activation_correspondence
from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import PairTest
from attest.comparison import Test
from attest.demo.launder import launder
from attest.demo.weights import family
from attest.errors import DocumentError
from attest.measure import measure

pytestmark = [pytest.mark.torch, pytest.mark.usefixtures("unchanged_torch")]

TESTS: tuple[PairTest, ...] = (
    residual_activation_correspondence,
    activation_matching,
    representation_similarity,
    prediction_agreement,
)
RNG = np.random.default_rng(3)


def ran(one: Fingerprints, checkpoint: Path, prompts: str = "random-tokens") -> Fingerprints:
    """Fingerprints of a checkpoint together with those of what it did."""
    found = activations_of(checkpoint, prompts)
    arrays = {**one.arrays, **activation_arrays(found.summary, found.details)}
    return dataclasses.replace(one, arrays=arrays, activations=found.summary)


def of_family(name: str) -> Fingerprints:
    return ran(measured(name), family() / name)


def results_of(a: Fingerprints, b: Fingerprints) -> dict[str, Test]:
    return {one.id.removesuffix("/v1"): one for test in TESTS for one in test(a, b).tests}


def reasons_of(a: Fingerprints, b: Fingerprints) -> dict[str, str]:
    return {one.id.removesuffix("/v1"): one.reason for test in TESTS for one in test(a, b).not_compared}


@pytest.mark.parametrize(("a", "b"), [*combinations(("seed-1", "seed-2", "seed-3"), 2)])
def test_networks_trained_apart_share_no_dimension_and_next_to_no_neuron(a: str, b: str):
    tests = results_of(of_family(a), of_family(b))
    assert abs(tests["residual-activation-correspondence"].z) < 4
    assert tests["activation-matching"].statistic < 0.02
    assert tests["activation-layer-alignment"].statistic == 0
    with_words = {"activation-matching", "debiased-cka", "linear-cka", "prediction-agreement"}
    assert {name for name, one in tests.items() if "unrelated pairs of small networks gave" in one.note} == with_words


def test_continued_training_is_seen():
    tests = results_of(of_family("seed-1"), of_family("seed-1-continued"))
    assert tests["residual-activation-correspondence"].z > 6
    assert tests["activation-matching"].statistic > 0.02
    assert {tests[name].calibration for name in tests} == {"exact", "descriptive"}
    assert all(one.pvalue is None for one in tests.values() if one.calibration == "descriptive")


def test_what_leaves_the_function_as_it_was_hides_no_neuron(tmp_path: Path):
    launder(family() / "seed-1", tmp_path / "laundered", seed=1)
    measurement = measure(tmp_path / "laundered")
    plain = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    tests = results_of(of_family("seed-1"), ran(plain, tmp_path / "laundered"))
    assert tests["activation-matching"].statistic > 0.9
    assert tests["activation-layer-alignment"].statistic == 1


def test_the_order_of_the_two_changes_no_number():
    a, b = of_family("seed-1"), of_family("seed-1-continued")
    forth, back = results_of(a, b), results_of(b, a)
    assert {name: one.statistic for name, one in forth.items()} == {name: one.statistic for name, one in back.items()}


def test_without_a_run_or_on_other_prompts_nothing_is_compared():
    a, b = of_family("seed-1"), measured("seed-2")
    assert not results_of(a, b)
    assert set(reasons_of(a, b).values()) == {"not both networks were run (attest measure --activations)"}
    other = dataclasses.replace(a.activations, prompt_set="own", prompt_set_sha256="0" * 64)
    assert all("different prompts" in one for one in reasons_of(a, dataclasses.replace(a, activations=other)).values())


def test_random_ids_of_other_vocabularies_are_other_inputs():
    a, b = of_family("seed-1"), of_family("seed-1-continued")
    other = dataclasses.replace(b, activations=dataclasses.replace(b.activations, token_ids_sha256="0" * 64))
    assert set(results_of(a, other)) == {"residual-activation-correspondence"}
    assert "vocabularies differ" in reasons_of(a, other)["activation-matching"]


def test_other_tokenizers_are_compared_where_words_end_in_both():
    a = of_family("seed-1")
    text = dataclasses.replace(a.activations, prompt_set="general-en")
    a = dataclasses.replace(a, activations=text)
    fewer = {}
    for name, held in a.arrays.items():
        keep = slice(100, None)
        axes = {"positions": 0, "sketch": 1, "scale": 1, "log_probability": 0, "token_ids": 0}
        fewer[name] = {
            key: array[:, keep] if axes.get(key) == 1 else array[keep] if axes.get(key) == 0 else array
            for key, array in held.items()
        }
    other = dataclasses.replace(a, arrays=fewer)
    tests = results_of(a, other)
    places = len(a.arrays["residual-sketch/v1"]["positions"])
    assert tests["debiased-cka"].n == tests["prediction-agreement"].n == places - 100
    assert tests["debiased-cka"].statistic == pytest.approx(1)
    assert "end words at other places" in reasons_of(a, other)["activation-matching"]


def test_cka_is_that_of_the_definition():
    x, y = RNG.standard_normal((2, 30, 5)), RNG.standard_normal((3, 30, 7))
    found = linear_cka(x, y)
    for i, j in np.ndindex(2, 3):
        left, right = x[i] - x[i].mean(axis=0), y[j] - y[j].mean(axis=0)
        exact = np.sum((left.T @ right) ** 2) / np.linalg.norm(left.T @ left) / np.linalg.norm(right.T @ right)
        assert found[i, j] == pytest.approx(exact)
    assert np.diag(linear_cka(x, x)) == pytest.approx(1)
    rotation = np.linalg.qr(RNG.standard_normal((5, 5)))[0]
    assert np.diag(debiased_cka(x, x @ rotation * 3)) == pytest.approx(1)


def test_the_debiased_estimate_of_unrelated_states_is_near_zero_and_the_plain_one_is_not():
    x, y = RNG.standard_normal((40, 30, 60)), RNG.standard_normal((40, 30, 60))
    assert abs(np.diag(debiased_cka(x, y)).mean()) < 0.02
    assert np.diag(linear_cka(x, y)).mean() > 0.5


@pytest.mark.parametrize(
    ("fingerprint", "change"),
    [
        ("residual-sketch/v1", {"scale": np.zeros((1, 2), np.float32)}),
        ("residual-sketch/v1", {"positions": np.zeros((4, 3), np.int64)}),
        ("predictions/v1", {"log_probability": np.full((16, 8), np.nan, np.float32)}),
    ],
)
def test_hostile_arrays_are_refused(fingerprint: str, change: dict):
    from attest.checkpoint.arrays import pack_arrays, unpack_arrays  # noqa: PLC0415 - for this test alone

    found = activations_of(family() / "seed-1", "random-tokens")
    name = f"detail/{fingerprint.replace('/', '.')}.safetensors"
    arrays = unpack_arrays(found.details[name], where=name) | change
    with pytest.raises(DocumentError) as caught:
        activation_arrays(found.summary, {**found.details, name: pack_arrays(arrays, {})})
    assert caught.value.code == "bad-activations"
