import shutil
from pathlib import Path

import pytest
from git_repository import commit
from scanned import Scanned
from tiny_evidence import TinyEvidence

from attest.errors import InputError
from attest.evidence_directory import read_statement
from attest.reproduction import Reproduction
from attest.resurvey import resurvey
from attest.survey import Places


def again(found: Scanned, repository: Path) -> Reproduction:
    copies = Places(repository=repository, reference=found.places.reference, releases=found.places.releases)
    return resurvey(read_statement(found.evidence), found.evidence, copies)


def outcomes(result: Reproduction) -> dict[str, str]:
    return {value.name: value.outcome for value in result.values}


def test_a_scan_comes_out_the_same_under_another_name(found: Scanned, tmp_path: Path):
    shutil.copytree(found.places.repository, tmp_path / "mine")
    result = again(found, tmp_path / "mine")
    assert result.reproduced, result.values
    assert set(outcomes(result).values()) == {"identical"}
    assert "files of library-1.9" in outcomes(result)


def test_what_has_no_copy_is_not_measured(found: Scanned):
    result = resurvey(read_statement(found.evidence), found.evidence, Places(repository=found.places.repository))
    assert result.reproduced
    missing = {name for name, outcome in outcomes(result).items() if outcome == "not-measured"}
    assert missing == {
        "files of the reference", "files of library-1.9", "files of library-1.10", "origins of code", "all origins of code",
    }  # fmt: skip


def test_one_changed_line_differs(found: Scanned, tmp_path: Path):
    shutil.copytree(found.places.repository, tmp_path / "mine")
    commit(tmp_path / "mine", {"README.md": "---\nlicense: apache-2.0\n---\n"})
    result = again(found, tmp_path / "mine")
    assert not result.reproduced
    assert {name for name, outcome in outcomes(result).items() if outcome == "differs"} == {
        "files of the repository", "licenses", "all findings",
    }  # fmt: skip


def test_another_kind_of_evidence_is_refused(found: Scanned, tiny: TinyEvidence):
    with pytest.raises(InputError) as refused:
        resurvey(read_statement(tiny.directory), tiny.directory, found.places)
    assert refused.value.code == "not-a-scan"
