"""A repository with copied code and a history, the library that it was copied from, and their scan."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from git_repository import commit
from programs import program

from attest.evidence_directory import write_evidence
from attest.repository_scan import repository_scan_statement
from attest.survey import Places, Survey, survey

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEADER = "# Copyright 2024 Upstream Team\n"


@dataclass(frozen=True, kw_only=True)
class Scanned:
    """Where everything lies, and what was found."""

    places: Places
    survey: Survey
    evidence: Path


def scanned(folder: Path) -> Scanned:
    """Code is taken over with its notice, and then the notice is taken out; release 1.10 is the one it came from."""
    library = {f"m{number}.py": HEADER + program(10 * number, 10 * number + 1) for number in range(20)}
    for name, files in (("library-1.9", library | {"m3.py": HEADER + program(30)}), ("library-1.10", library)):
        for path, text in files.items():
            (folder / name).mkdir(exist_ok=True)
            (folder / name / path).write_text(text)
    repository = folder / "copy"
    commit(
        repository, {"model.py": library["m3.py"], "README.md": "---\nlicense: mit\n---\n", "m4.py": library["m4.py"]}
    )
    commit(repository, {"model.py": program(30, 31)})
    releases = tuple(folder / name for name in ("library-1.10", "library-1.9"))
    places = Places(repository=repository, history="HEAD", reference=releases[0], releases=releases)
    found = survey(places, command=("attest", "scan", "copy"), now=NOW)
    write_evidence(folder / "evidence", repository_scan_statement(found.evidence), found.details)
    return Scanned(places=places, survey=found, evidence=folder / "evidence")
