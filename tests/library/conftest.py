"""Evidence of the fixture family and a library of it, made once a session."""

from __future__ import annotations

from pathlib import Path

import pytest

from attest.demo.weights import family
from attest.evidence_directory import write_evidence
from attest.library import Library, create_library
from attest.measure import measure

SEEDS = ("seed-1", "seed-2", "seed-3")


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the evidence of every member of the family."""
    folder = tmp_path_factory.mktemp("evidence")
    for name in (*SEEDS, "seed-1-continued"):
        measured = measure(family() / name)
        write_evidence(folder / name, measured.statement(), measured.details)
    return folder


@pytest.fixture
def library(evidence: Path, tmp_path: Path) -> Library:
    """The three seeds, each of its own origin."""
    made = create_library(tmp_path / "library")
    for name in SEEDS:
        made.add(evidence / name, (name,))
    return made
