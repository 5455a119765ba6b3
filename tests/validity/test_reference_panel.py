"""From a run's results to the panel that is shipped, and back to the rungs of the run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from attest.panel import read_panel
from validity.pairs import Pair, compare_pair
from validity.panel import lineages_of, names_of
from validity.run import hold_against_panel, models_of

SHARED = ("derived", "continued", "alone", "seed-1")


@pytest.fixture(scope="module")
def results(family: Path) -> list[dict[str, Any]]:
    pairs = [
        Pair(label=("independent", "alike", "seed-1", "seed-2"), a=family / "seed-1", b=family / "seed-2"),
        Pair(label=("independent", "alike", "seed-1", "seed-3"), a=family / "seed-1", b=family / "seed-3"),
        Pair(label=SHARED, a=family / "seed-1", b=family / "seed-1-continued"),
        Pair(label=("slerp", "0.5", "seed-1"), a=family / "seed-1", b=family / "seed-1-continued"),
    ]
    return [json.loads(json.dumps(asdict(compare_pair(pair)))) for pair in pairs]


def test_a_run_gives_a_panel_and_rungs(results: list[dict[str, Any]], tmp_path: Path):
    record = {"tool": {"version": "0"}, "models": models_of(results), "pairs": results}
    hold_against_panel(record, tmp_path / "panel.json")
    panel = read_panel(tmp_path / "panel.json").panel
    members = {one.name: one for one in panel.models}
    assert set(members) == {"seed-1", "seed-2", "seed-3", "seed-1/continued"}
    relations = [members[one.a].relation(members[one.b]) for one in panel.pairs]
    assert relations == ["independent", "independent", "derived"]
    assert all("matched-agreement/v1" in one.statistics for one in panel.pairs)
    assert not any("neuron-alignment/v1" in one.statistics for one in panel.pairs)
    assert [one["rung"] for one in results] == [one["rung_alone"] for one in results]
    assert [one["rung_without_weights"] for one in results] == [one["rung"] for one in results]
    assert [one["rung"] for one in results[:3]] == ["no-evidence", "no-evidence", "exact-rejected"]
    assert "comparison" not in results[0]


@pytest.mark.parametrize(
    ("label", "names"),
    [
        (("independent", "across", "llama-1", "gpt2-1"), ("llama-1", "gpt2-1")),
        (("derived", "int4", "alone", "qwen2-1"), ("qwen2-1", "qwen2-1/int4")),
        (("derived", "int4", "trained", "qwen2-1"), ("qwen2-1", "qwen2-1/int4-trained")),
        (("laundered-unrelated", "int4", "alone", "qwen2-1"), ("qwen2-5", "qwen2-1/int4")),
        (("slerp", "0.9", "qwen2-1"), None),
        (("shared-start", "initial", "qwen2-1"), None),
    ],
)
def test_names_of_a_pair(label: tuple[str, ...], names: tuple[str, str] | None):
    assert names_of(label) == names


@pytest.mark.parametrize("row", ["averaged-30", "slerp-50", "merged-permuted-trained"])
def test_mixtures_descend_from_the_stranger_too(row: str):
    assert lineages_of(f"qwen2-1/{row}") == ("qwen2-1", "qwen2-4")
    assert lineages_of("qwen2-1/int4") == ("qwen2-1",)
