"""The whole demo, as a reader runs it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from attest.cli import main
from attest.demo.weights import find_minilm


@pytest.mark.torch
def test_the_demo_runs_from_end_to_end_and_says_what_is_true(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "-o", str(tmp_path / "demo")])
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.output.partition("== What came out")[2].splitlines()]
    found = {row[0] + "+" + row[2]: row[-1] for row in rows if len(row) > 4 and row[1] == "and"}
    family = {"seed-1+seed-2": "no-evidence", "seed-1+seed-3": "no-evidence", "seed-2+seed-3": "no-evidence",
              "seed-1+seed-1-continued": "exact-rejected"}  # fmt: skip
    real = {"minilm+copy": "identical", "minilm+laundered": "exact-rejected", "minilm+stranger": "no-evidence"}
    assert found == (family | real if find_minilm() else family)
    assert "tensor model.layers.1.mlp.up_proj.weight" in result.output
    assert (tmp_path / "demo" / "family.html").is_file()


def test_an_existing_folder_is_not_touched(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["demo", "-o", str(tmp_path)])
    assert result.exit_code == 3
    assert "output-exists" in result.stderr
    assert not list(tmp_path.iterdir())
