"""The validity report in small: the fixture family, laundered without training, and what every test says of it."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from attest.compare import compare  # noqa: E402 - needs torch
from attest.policy import conclude  # noqa: E402 - needs torch
from attest.program import environment, this_tool  # noqa: E402 - needs torch
from validity.anatomy import tracked  # noqa: E402 - needs torch
from validity.coincidence import COINCIDENCES  # noqa: E402 - needs torch
from validity.launder import ROWS, Row, Workshop  # noqa: E402
from validity.network import Network, read, same_function, write  # noqa: E402
from validity.pairs import Pair, Result, compare_pair, fingerprints  # noqa: E402
from validity.summary import ACCUSING, seen_by  # noqa: E402

pytestmark = pytest.mark.torch

FOUND = (
    "pruned-50",
    "q4-0",
    "averaged-50",
    "neurons-permuted",
    "residual-permuted",
    "residual-rotated",
    "fused",
    "layers-dropped",
    "widened",
    "experts-half-new",
    "experts-sliced",
    "unrecognizable",
)
"""Alterations of which one is enough to be found, a few of each kind."""

KNOWN_MISS = "unsigned"
FUNCTION_KEPT = [row.name for row in ROWS if row.keeps == "function" and row.name != "vocabulary-extended"]


def named(name: str) -> Row:
    return next(row for row in ROWS if row.name == name)


@pytest.fixture(scope="module")
def parent(family: Path) -> Network:
    return tracked(read(family / "seed-1"))


@pytest.fixture(scope="module")
def stranger(family: Path) -> Network:
    return read(family / "seed-2")


def altered(name: str, parent: Network, stranger: Network) -> Network:
    def train(*_: object) -> Network:
        raise AssertionError("a test trains nothing")

    workshop = Workshop(rng=torch.Generator().manual_seed(7), stranger=stranger, train=train)
    return named(name).apply(parent, workshop)


def compared(a: Path, b: Path) -> Result:
    return compare_pair(Pair(label=("pair",), a=a, b=b))


def rung_of(a: Path, b: Path) -> str:
    """What the default policy makes of the fingerprints; no test on weights is run."""
    return conclude(compare(fingerprints(a), fingerprints(b), tool=this_tool(), environment=environment())).rung


def that_saw(result: Result) -> list[str]:
    return seen_by({"tests": result.tests}, {})


@pytest.mark.parametrize(
    ("a", "b"),
    [("seed-1", "seed-2"), ("seed-1", "seed-3"), ("seed-2", "seed-3"), ("seed-1-continued", "seed-2")],
)
def test_networks_trained_apart_are_not_accused(family: Path, a: str, b: str):
    result = compared(family / a, family / b)
    assert result.rung not in ACCUSING
    assert all(abs(test["z"]) < 4 for test in result.tests.values() if test["z"] is not None)


@pytest.mark.parametrize("name", ["one-projection", "one-pair-of-projections", "one-formula"])
def test_a_habit_that_two_have_in_common_accuses_neither_and_hides_no_descendant(
    name: str, family: Path, tmp_path: Path
):
    (habit,) = (one for one in COINCIDENCES if one.name == name)
    for seed in ("seed-1", "seed-2", "seed-1-continued"):
        write(habit.apply(read(family / seed)), tmp_path / seed)
    assert rung_of(tmp_path / "seed-1", tmp_path / "seed-2") not in ACCUSING
    assert rung_of(tmp_path / "seed-1-continued", tmp_path / "seed-2") not in ACCUSING
    assert rung_of(tmp_path / "seed-1", tmp_path / "seed-1-continued") == "exact-rejected"


def test_continued_pretraining_is_found(family: Path):
    result = compared(family / "seed-1", family / "seed-1-continued")
    assert result.rung == "exact-rejected"
    assert result.tests["neuron-alignment/v1"]["z"] > 50


@pytest.mark.parametrize("name", FOUND)
def test_a_single_alteration_is_found_and_accuses_no_bystander(
    name: str, family: Path, parent: Network, stranger: Network, tmp_path: Path
):
    write(altered(name, parent, stranger), tmp_path)
    related = compared(family / "seed-1", tmp_path)
    assert related.rung in ACCUSING
    assert that_saw(related)
    assert rung_of(family / "seed-3", tmp_path) not in ACCUSING


def test_the_known_miss_is_missed(family: Path, parent: Network, stranger: Network, tmp_path: Path):
    write(altered(KNOWN_MISS, parent, stranger), tmp_path)
    result = compared(family / "seed-1", tmp_path)
    assert result.rung not in ACCUSING
    assert not that_saw(result)


@pytest.mark.parametrize("name", FUNCTION_KEPT)
def test_what_keeps_the_function_keeps_it(name: str, parent: Network, stranger: Network, tmp_path: Path):
    assert same_function(parent, altered(name, parent, stranger), tmp_path) < 1e-4


@pytest.mark.parametrize("name", ["pruned-50", "averaged-50", "layers-dropped", "embeddings-new"])
def test_what_does_not_keep_the_function_is_told_from_it(name: str, parent: Network, stranger: Network, tmp_path: Path):
    assert same_function(parent, altered(name, parent, stranger), tmp_path) > 0.1


@pytest.mark.parametrize("name", ["fused", "renamed", "resharded", "pickled"])
def test_another_container_holds_the_same_values(name: str, parent: Network, stranger: Network):
    def values(network: Network) -> torch.Tensor:
        return torch.cat([value.flatten() for value in network.weights.values()]).sort().values

    assert torch.equal(values(parent), values(altered(name, parent, stranger)))
