"""What strangers gave is what the validity report has, and stands beside the numbers."""

import json
from pathlib import Path

import pytest

from attest.compare.strangers import STRANGERS, strangers_gave

REPORT = Path(__file__).resolve().parents[2] / "reports" / "validity" / "activations.json"


def test_the_figures_are_those_of_the_report():
    results = json.loads(REPORT.read_text())
    unrelated = [one for one in results if one["label"][0] in {"independent", "laundered-unrelated"}]
    for test_id, (pairs, least, greatest) in STRANGERS.items():
        values = [one["tests"][test_id]["statistic"] for one in unrelated if test_id in one["tests"]]
        assert (len(values), min(values), max(values)) == (
            pairs, pytest.approx(least, abs=1e-9, rel=5e-3), pytest.approx(greatest, rel=5e-3),
        )  # fmt: skip


def test_words_are_given_where_strangers_were_measured():
    assert strangers_gave("debiased-cka/v1") == "; 264 unrelated pairs of small networks gave 0.179 to 0.881"
    assert strangers_gave("unit/v1") == ""
