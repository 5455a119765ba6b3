"""Row digests of networks of which only a sample of the rows is kept."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare.derived import layer_name, read_family, write
from compare.pairs import measured, measured_at
from numpy.typing import NDArray

from attest.compare.fingerprints import Fingerprints
from attest.compare.outcome import Outcome
from attest.compare.tensors.digested_rows import digested_rows
from attest.compare.tensors.row_containment import row_containment
from attest.fingerprint import NUMBERS

ROWS = "row-digests/v2"
FEW = 500
"""Rows that are kept at most: one in 8 of the family's 3,840."""


@pytest.fixture
def few_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attest.fingerprint.row_digests._MAX_ROWS", FEW)


def write_changed(folder: Path, change: Callable[[dict[str, NDArray[Any]]], None]) -> Fingerprints:
    model = read_family("seed-1")
    change(model)
    return measured_at(write(folder, model))


def lines(outcome: Outcome) -> Mapping[str, Mapping[str, str]]:
    """Where the matrices of a were found."""
    return {row[0]: dict(zip(outcome.found[0].table.columns, row, strict=True)) for row in outcome.found[0].table.rows}


@pytest.mark.usefixtures("few_rows")
def test_a_copy_is_found_whole_and_in_place(tmp_path: Path) -> None:
    one = write_changed(tmp_path / "a", lambda _: None)
    kept = sum(digests.size for name, digests in one.arrays[ROWS].items() if not name.startswith(NUMBERS))
    assert 0 < kept < 2 * FEW
    outcome = row_containment(one, one)
    assert outcome.tests[0].statistic == 1
    assert "one row in 8 is looked at" in outcome.tests[0].note
    assert {(line["which"], line["order"]) for line in lines(outcome).values()} == {("all", "in place")}


@pytest.mark.usefixtures("few_rows")
def test_moved_rows_are_named_by_their_numbers(tmp_path: Path) -> None:
    def rolled(model: dict[str, NDArray[Any]]) -> None:
        name = layer_name(1, "mlp.up_proj")
        model[name] = np.roll(model[name], 7, axis=0)

    whole = write_changed(tmp_path / "a", lambda _: None)
    line = lines(row_containment(whole, write_changed(tmp_path / "b", rolled)))[layer_name(1, "mlp.up_proj")]
    assert (line["which"], line["order"]) == ("all", "moved by +7")  # none of the last 7 is in the sample


@pytest.mark.usefixtures("few_rows")
def test_rows_that_were_found_are_named_by_their_numbers(tmp_path: Path) -> None:
    def cut(model: dict[str, NDArray[Any]]) -> None:
        name = layer_name(1, "mlp.up_proj")
        model[name] = np.concatenate([model[name][:10] + np.float32(1), model[name][100:], model[name][10:100]])
        model[name][-90:] += np.float32(1)

    whole = write_changed(tmp_path / "a", lambda _: None)
    line = lines(row_containment(whole, write_changed(tmp_path / "b", cut)))[layer_name(1, "mlp.up_proj")]
    first, last = map(int, line["which"].split("-"))
    assert 100 <= first < last < 256
    assert line["order"] == "moved by -90"


@pytest.mark.usefixtures("few_rows")
def test_strangers_share_no_row(tmp_path: Path) -> None:
    one = write_changed(tmp_path / "a", lambda _: None)
    other = measured_at(write(tmp_path / "b", read_family("seed-2")))
    assert row_containment(one, other).tests[0].n == 0


def test_a_sample_is_compared_with_the_same_sample_of_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = digested_rows(measured("seed-1"))[0]
    monkeypatch.setattr("attest.fingerprint.row_digests._MAX_ROWS", FEW)
    sample = digested_rows(write_changed(tmp_path / "a", lambda _: None))[0]
    assert whole is not None
    assert sample is not None
    thinned = whole.thinned(sample.shift)
    for one, other in ((thinned.digests, sample.digests), (thinned.numbers, sample.numbers)):
        assert np.array_equal(one, other)
    assert thinned.starts.tolist() == sample.starts.tolist()


@pytest.mark.usefixtures("few_rows")
def test_numbers_that_do_not_go_with_the_digests_are_left_out(tmp_path: Path) -> None:
    one = write_changed(tmp_path / "a", lambda _: None)
    arrays = one.arrays[ROWS]
    key = NUMBERS + "embed"
    bad = (
        {**arrays, key: arrays[key][:-1]},
        {**arrays, key: arrays[key][::-1]},
        {**arrays, key: arrays[key] + 10**6},
        {**arrays, "embed": arrays["embed"] | np.uint64(1)},
        {name: array for name, array in arrays.items() if name != key},
    )
    for altered in bad:
        outcome = row_containment(one, dataclasses.replace(one, arrays={**one.arrays, ROWS: altered}))
        assert not outcome.tests
