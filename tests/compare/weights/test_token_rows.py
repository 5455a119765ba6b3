"""Tokens that kept their rows: told by text, through extended, pruned and renumbered vocabularies."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from compare.opened import Opened, opened, run
from relabeled import byte_tokenizer, weights, write

from attest.architecture import place_tensors
from attest.checkpoint import open_checkpoint
from attest.compare.fingerprints import Fingerprints
from attest.compare.weights.token_rows import token_rows
from attest.fingerprint import row_digests
from attest.measure import measure

Vocabulary = dict[str, int]
NEW = np.random.default_rng(9).standard_normal((64, 96)) * 0.02


def made(folder: Path, rows: np.ndarray, vocabulary: Vocabulary | str) -> Opened:
    """The first of the family with another embedding and other tokens."""
    path = write(weights("seed-1") | {"embed_tokens.weight": rows}, folder, tokenizer=False)
    text = vocabulary if isinstance(vocabulary, str) else json.dumps({"model": {"type": "BPE", "vocab": vocabulary}})
    (path / "tokenizer.json").write_text(text, encoding="utf-8")
    measurement = measure(path)
    found = Fingerprints.of(measurement.evidence, measurement.tensors, measurement.profiles, None)
    return found, place_tensors(open_checkpoint(path))


def extended(rows: np.ndarray, tokens: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    return np.concatenate([rows, NEW]), tokens | {f"new{i}": 256 + i for i in range(64)}


def pruned(rows: np.ndarray, tokens: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    kept = {text: row for text, row in tokens.items() if row % 4 != 1}
    order = sorted(kept.values())
    return rows[order], {text: order.index(row) for text, row in kept.items()}


def renumbered(rows: np.ndarray, tokens: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    return rows[::-1], {text: 255 - row for text, row in tokens.items()}


def relabeled(rows: np.ndarray, tokens: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    return rows, {text: (row + 1) % 256 for text, row in tokens.items()}


def half_new(rows: np.ndarray, tokens: Vocabulary) -> tuple[np.ndarray, Vocabulary]:
    return np.concatenate([rows[:192], NEW]), tokens


@pytest.mark.parametrize(
    ("change", "share", "line"),
    [
        (extended, 1.0, ["256", "256 (1)", "256", "0", "64", "0"]),
        (pruned, 1.0, ["192", "192 (1)", "1", "64", "0", "0"]),
        (renumbered, 1.0, ["256", "256 (1)", "0", "0", "0", "0"]),
        (relabeled, 0.0, ["256", "0 (0)", "0", "0", "0", "256"]),
        (half_new, 0.75, ["256", "192 (0.75)", "192", "0", "0", "0"]),
    ],
)
def test_rows_are_paired_by_the_text_of_their_token(
    tmp_path: Path, change: Callable[..., tuple[np.ndarray, Vocabulary]], share: float, line: list[str]
):
    tokens = byte_tokenizer()["model"]["vocab"]
    outcome = run(
        token_rows, opened("seed-1"), made(tmp_path / "b", *change(weights("seed-1")["embed_tokens.weight"], tokens))
    )
    (test,), (found,) = outcome.tests, outcome.found
    assert test.statistic == share
    assert test.calibration == "descriptive"
    assert list(found.table.rows[0]) == ["embed", *line]


def test_strangers_share_texts_and_no_row():
    (test,) = run(token_rows, opened("seed-1"), opened("seed-2")).tests
    assert (test.statistic, test.n) == (0.0, 256)


@pytest.mark.parametrize("vocabulary", ["{", "{}", {"alone": 0}], ids=["not JSON", "no tokens", "none in common"])
def test_what_cannot_be_paired_has_a_reason(tmp_path: Path, vocabulary: Vocabulary | str):
    other = made(tmp_path / "b", weights("seed-1")["embed_tokens.weight"], vocabulary)
    outcome = run(token_rows, opened("seed-1"), other)
    assert not outcome.tests
    assert outcome.not_compared[0].id == "token-rows/v1"
    assert "token" in outcome.not_compared[0].reason


def test_numbers_beyond_the_embedding_are_passed_over(tmp_path: Path):
    tokens = byte_tokenizer()["model"]["vocab"]
    far = {text: row if row < 200 else 10 ** (row - 150) for text, row in tokens.items()}
    (test,) = run(
        token_rows, opened("seed-1"), made(tmp_path / "b", weights("seed-1")["embed_tokens.weight"], far)
    ).tests
    assert (test.statistic, test.n) == (1.0, 200)


def test_of_a_sample_the_tokens_whose_row_is_in_it_stand_for_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """As in a network of more than half a million rows."""
    monkeypatch.setattr(row_digests, "_MAX_ROWS", 512)
    rows, tokens = weights("seed-1")["embed_tokens.weight"], byte_tokenizer()["model"]["vocab"]
    a = made(tmp_path / "a", rows, tokens)
    sizes = [a[0].arrays["row-digests/v2"][name].size for name in ("embed", "rows:embed")]
    assert 0 < sizes[0] == sizes[1] < 256
    for name, change, kept in (("b", renumbered, 1.0), ("c", half_new, 0.75)):
        outcome = run(token_rows, a, made(tmp_path / name, *change(rows, tokens)))
        (test,) = outcome.tests
        assert test.n == sizes[0]
        assert test.statistic == pytest.approx(kept, abs=0.15)
