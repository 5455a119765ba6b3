"""The page comparison.v1.md suffices: the statistics are computed here a second time, from its words.

Nothing of attest computes in this file but the fingerprints; only the example is held against it.
"""

import hashlib
import itertools
import json
import math
import statistics
import struct
from collections import Counter
from collections.abc import Iterator
from statistics import NormalDist

import numpy as np
import pytest

from attest.measure import Measurement, measure
from attest.resource import resource

FAMILY = resource("family", source_tree="tests/data/family")
COMPARISON = json.loads(resource("schemas/comparison.v1.example.json").read_text(encoding="utf-8"))
LAYERS = range(COMPARISON["a"]["layers"])


@pytest.fixture(scope="module")
def first() -> Measurement:
    return measure(FAMILY / "seed-1")


@pytest.fixture(scope="module")
def second() -> Measurement:
    return measure(FAMILY / "seed-1-continued")


def philox(key: bytes) -> Iterator[int]:
    """Words of Philox-4x64 with 10 rounds, the counter beginning at 1."""
    mask = 2**64 - 1
    counter = 0
    while True:
        counter += 1
        words = (counter, 0, 0, 0)
        keys = struct.unpack("<QQ", key)
        for _ in range(10):
            left, right = 0xD2E7470EE14C6C93 * words[0], 0xCA5A826395121157 * words[2]
            words = (right >> 64 ^ words[1] ^ keys[0], right & mask, left >> 64 ^ words[3] ^ keys[1], left & mask)
            keys = (keys[0] + 0x9E3779B97F4A7C15 & mask, keys[1] + 0xBB67AE8584CAA73B & mask)
        yield from words


def normal_scores(values: np.ndarray) -> np.ndarray:
    ordered = sorted(values.tolist())
    scores = [NormalDist().inv_cdf((rank - 3 / 8) / (len(ordered) + 1 / 4)) for rank in range(1, len(ordered) + 1)]
    shared = {value: [] for value in ordered}
    for value, score in zip(ordered, scores, strict=True):
        shared[value].append(score)
    return np.array([sum(shared[value]) / len(shared[value]) for value in values.tolist()])


def centered(vectors: list[np.ndarray]) -> np.ndarray:
    features = np.stack(vectors, axis=1).astype(np.float64)
    return features - features.mean(axis=0)


def statistic(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """T and the square root of its variance."""
    return float(np.sum(x * y)), math.sqrt(np.trace((x.T @ x) @ (y.T @ y)) / (len(x) - 1))


def shown(value: float) -> float:
    return float(f"{value + 0.0:.6g}")


def result_of(test_id: str) -> dict:
    return next(test for test in COMPARISON["tests"] if test["id"] == test_id)


def test_a_joint_permutation_test_with_its_null_distribution(first: Measurement, second: Measurement):
    lesser, greater = sorted((first, second), key=lambda one: one.evidence.checkpoint.tree_digest)
    names = [
        "final_norm",
        *(f"layers.{layer}.{role}" for layer in LAYERS for role in ("attention_norm", "mlp_norm")),
    ]
    x, y = (
        centered([normal_scores(one.profiles["norm-gain/v1"][name]) for name in names]) for one in (lesser, greater)
    )
    digests = [one.evidence.checkpoint.tree_digest for one in (lesser, greater)]
    seed = " ".join(["norm-gain-correspondence/v1", *digests])
    words = philox(hashlib.sha256(f"{seed} -1".encode()).digest()[:16])
    n = len(x)
    observed, spread = statistic(x, y)
    products, order, null = x @ y.T, list(range(n)), []
    for _ in range(9999):
        drawn = [next(words) for _ in range(n)]
        for p in range(n - 1, 0, -1):
            other = (drawn[p] >> 32) * (p + 1) >> 32
            order[p], order[other] = order[other], order[p]
        null.append(float(products[range(n), order].sum()) / spread)
    test = result_of("norm-gain-correspondence/v1")
    distribution = test["nullDistribution"]
    extreme = sum(abs(z) >= abs(observed / spread) - 1e-9 for z in null)
    assert (test["z"], test["statistic"], test["n"]) == (shown(observed / spread), shown(observed / spread), n)
    assert (test["pvalue"], test["smallestPvalue"]) == (shown((extreme + 1) / 10_000), 0.0001)
    assert (distribution["seed"], distribution["resamples"]) == (seed, 9999)
    assert (distribution["mean"], distribution["sd"]) == (shown(np.mean(null)), shown(np.std(null, ddof=1)))
    bins = Counter(min(max(math.floor((z + 5) * 4), 0), 39) for z in null)
    assert distribution["counts"] == [bins[position] for position in range(40)]
    assert distribution["edges"] == [-5 + position / 4 for position in range(41)]


def test_the_residual_dimensions_are_one_pairing(first: Measurement, second: Measurement):
    roles = ("q", "k", "v", "o", "gate", "up", "down")
    x, y = (
        centered(
            [
                normal_scores(one.profiles["unit-norms/v1"][f"layers.{layer}.residual.{role}"])
                for layer in LAYERS
                for role in roles
            ]
        )
        for one in (first, second)
    )
    observed, spread = statistic(x, y)
    test = result_of("residual-norm-correspondence/v1")
    assert (test["z"], test["n"]) == (shown(observed / spread), len(x))


def test_permutation_tests_layer_by_layer(first: Measurement, second: Measurement):
    norms, sketches = (
        [one.profiles[name] for one in (first, second)] for name in ("unit-norms/v1", "neuron-sketch/v1")
    )
    recipes = {
        "neuron-alignment/v1": lambda side, layer: list(sketches[side][f"layers.{layer}"].T),
        "neuron-norm-correspondence/v1": lambda side, layer: [
            normal_scores(norms[side][f"layers.{layer}.neuron.{part}"]) for part in ("gate", "up", "down")
        ],
    }
    for test_id, features in recipes.items():
        test, zs = result_of(test_id), []
        for layer in test["layers"]:
            x, y = (centered(features(side, layer["layer"])) for side in (0, 1))
            observed, spread = statistic(x, y)
            zs.append(observed / spread)
            assert (layer["n"], layer["statistic"], layer["z"]) == (len(x), shown(observed), shown(zs[-1]))
        assert [layer["layer"] for layer in test["layers"]] == list(LAYERS)
        assert test["z"] == shown(sum(zs) / math.sqrt(len(zs)))
        assert test["n"] == sum(layer["n"] for layer in test["layers"])


def test_controls_of_a_permutation_test(first: Measurement, second: Measurement):
    name = "neuron-alignment/v1"
    found = {(one["kind"], one["of"]): one for one in COMPARISON["controls"] if one["test"] == name}
    sides = {
        label: [centered(list(one.profiles["neuron-sketch/v1"][f"layers.{layer}"].T)) for layer in LAYERS]
        for label, one in (("a", first), ("b", second))
    }

    def shuffled(label: str) -> list[tuple[np.ndarray, np.ndarray]]:
        digest = COMPARISON[label]["treeDigest"]
        pairs = []
        for layer, units in zip(LAYERS, sides[label], strict=True):
            words = philox(hashlib.sha256(f"{name} {digest} shuffled {layer}".encode()).digest()[:16])
            drawn = [next(words) for _ in units]
            pairs.append((units, units[sorted(range(len(units)), key=lambda unit: drawn[unit])]))
        return pairs

    a, b = sides["a"], sides["b"]
    expected = {
        ("itself", "a"): zip(a, a, strict=True),
        ("itself", "b"): zip(b, b, strict=True),
        ("shuffled", "a"): shuffled("a"),
        ("shuffled", "b"): shuffled("b"),
        ("other-layers", "a"): itertools.pairwise(a),
        ("other-layers", "b"): itertools.pairwise(b),
        ("other-layers", "a-b"): [*zip(a[:-1], b[1:], strict=True), *zip(b[:-1], a[1:], strict=True)],
    }
    assert found.keys() == expected.keys()
    for key, pairs in expected.items():
        zs = [observed / spread for observed, spread in (statistic(x, y) for x, y in pairs)]
        assert found[key]["statistic"] == shown(sum(zs) / math.sqrt(len(zs))), key
        assert (found[key]["n"], found[key]["median"]) == (len(zs), shown(statistics.median(zs))), key
        assert found[key]["greatest"] == shown(max(zs, key=abs)), key


def test_the_correlation_of_profiles(first: Measurement, second: Measurement):
    left, right = (one.profiles["attention-std/v1"] for one in (first, second))
    correlations = [float(np.corrcoef(left[role], right[role])[0, 1]) for role in "qkvo"]
    assert result_of("attention-std-correlation/v1")["statistic"] == shown(sum(correlations) / 4)


def nearest(x: np.ndarray, y: np.ndarray, *, signed: bool) -> np.ndarray:
    """Row of y with the greatest cosine to each row of x, as the page ranks them; -1 where none is positive."""
    products = x.astype(np.int64) @ y.astype(np.int64).T
    norms = np.sqrt((y.astype(np.float64) ** 2).sum(axis=1))
    inverse = np.divide(1, norms, out=np.zeros_like(norms), where=norms > 0).astype(np.float32)
    ranked = (products if signed else np.abs(products)).astype(np.float32) * inverse
    return np.where(ranked.max(axis=1) > 0, ranked.argmax(axis=1), -1)


def has_partner(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Whether each neuron of x has a partner in y."""
    by_gate, by_rest = nearest(x[:, :8], y[:, :8], signed=True), nearest(x[:, 8:], y[:, 8:], signed=False)
    back_gate, back_rest = nearest(y[:, :8], x[:, :8], signed=True), nearest(y[:, 8:], x[:, 8:], signed=False)
    here = np.arange(len(x))
    return (by_gate == by_rest) & (by_gate >= 0) & (back_gate[by_gate] == here) & (back_rest[by_gate] == here)


def test_the_agreement_of_all_layers(first: Measurement, second: Measurement):
    """256 neurons a layer are all in the sample, so that no random choice is left."""
    sketches = [one.profiles["neuron-sketch/v1"] for one in (first, second)]
    lesser = first.evidence.checkpoint.tree_digest < second.evidence.checkpoint.tree_digest
    shares = np.array(
        [
            [
                has_partner(sketches[0][f"layers.{a}"], sketches[1][f"layers.{b}"]).mean()
                if lesser
                else has_partner(sketches[1][f"layers.{b}"], sketches[0][f"layers.{a}"]).mean()
                for b in LAYERS
            ]
            for a in LAYERS
        ]
    )
    test = result_of("matched-agreement/v1")
    tables = [one["table"]["rows"] for one in COMPARISON["found"] if one["id"] == "matched-agreement/v1"]
    assert [[float(cell) for cell in row[1:]] for row in tables[0]] == [
        [float(f"{x:.3g}") for x in row] for row in shares
    ]
    assert [shown(layer["statistic"]) for layer in test["layers"]] == [shown(share) for share in shares.diagonal()]
    assert test["statistic"] == shown(shares.diagonal()[1:].mean())
    known = next(one for one in COMPARISON["panel"]["ranks"] if one["id"] == test["id"])["independent"]
    assert (test["n"], test["z"], test["calibration"]) == (256 * 3, None, "empirical")
    assert test["pvalue"] == shown((known["atLeast"] + 1) / (known["n"] + 1))
    assert test["smallestPvalue"] == shown(1 / (known["n"] + 1))
    aligned = next(one["table"]["rows"] for one in COMPARISON["found"] if one["id"] == "layer-alignment/v1")
    assert [(row[0], row[1], row[3]) for row in aligned] == [(str(layer), str(layer), "in order") for layer in LAYERS]
