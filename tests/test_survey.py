from pathlib import Path

import pytest
from git_repository import git
from scanned import HEADER, Scanned

from attest import survey as survey_module
from attest.digest import git_blob_id
from attest.document import dump, load, parse
from attest.errors import InputError
from attest.repository_scan import NoticeDetail, OriginDetail, RepositoryScan
from attest.survey import MAX_RELEASES, Places, survey

MIB = 1024 * 1024


def test_the_origin_of_each_file_stands_with_its_missing_notice(found: Scanned):
    origins = found.survey.evidence.origins
    assert origins is not None
    lacking = {origin.path: (origin.origin, origin.missing_notices) for origin in origins.origins}
    assert lacking == {"m4.py": ("m4.py", ()), "model.py": ("m3.py", (HEADER.strip(),))}
    assert (origins.origin_count, origins.missing_notice_count, origins.null_files) == (2, 1, 20)
    assert [one.path for one in origins.identical] == ["m4.py"]


def test_releases_stand_in_the_order_of_their_numbers_and_the_peak_is_the_one_it_came_from(found: Scanned):
    origins = found.survey.evidence.origins
    assert origins is not None
    assert origins.dating is not None
    assert [release.name for release in origins.dating.releases] == ["library-1.9", "library-1.10"]
    assert {file.path: file.peaks for file in origins.dating.files} == {"m4.py": (), "model.py": (1,)}


def test_the_history_of_notices_names_the_commit_that_took_a_line_out(found: Scanned):
    notices = found.survey.evidence.notices
    assert notices is not None
    (change,) = notices.changes
    assert (change.path, change.removed, change.added) == ("model.py", (HEADER.strip(),), ())
    assert change.commit == notices.commit == git(found.places.repository, "rev-parse", "HEAD")
    assert [(month.month, month.added, month.removed) for month in notices.months] == [("2026-01", 0, 1)]


def test_a_finding_names_its_file_by_the_id_that_git_gives_it(found: Scanned):
    files = {file.path: file.blob for file in found.survey.evidence.licenses.files}
    assert files["README.md"] == git(found.places.repository, "rev-parse", "HEAD:README.md")
    assert git_blob_id(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"


def test_the_detail_files_hold_what_the_statement_lists_a_part_of(found: Scanned):
    records = {"detail/notices.json": NoticeDetail, "detail/origins.json": OriginDetail}
    held = {
        name: load(record, parse(found.survey.details[name], where=name, max_bytes=MIB), where=name)
        for name, record in records.items()
    }
    evidence = found.survey.evidence
    assert evidence.notices is not None
    assert evidence.origins is not None
    assert held["detail/notices.json"].changes == evidence.notices.changes
    assert held["detail/origins.json"].origins == evidence.origins.origins
    assert load(RepositoryScan, dump(evidence), where="scan") == evidence


def test_nothing_is_said_of_what_was_not_asked_for(found: Scanned):
    evidence = survey(Places(repository=found.places.repository)).evidence
    assert (evidence.notices, evidence.origins) == (None, None)
    assert [detail.name for detail in evidence.details] == ["detail/licenses.json"]
    assert [name for name, _ in evidence.trees] == ["repository:copy"]


def test_a_revision_is_named_by_its_commit(found: Scanned):
    root = found.places.repository
    evidence = survey(Places(repository=root, revision="main")).evidence
    assert (evidence.repository.kind, evidence.repository.revision) == ("revision", "main")
    assert evidence.repository.commit == git(root, "rev-parse", "main")


def test_lists_are_cut_to_what_a_statement_holds(found: Scanned, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(survey_module, "_MAX_LISTED", 1)
    origins = survey(found.places).evidence.origins
    assert origins is not None
    assert origins.dating is not None
    assert origins.origin_count == 2
    assert [one.path for one in origins.origins] == [one.path for one in origins.dating.files] == ["model.py"]


def test_too_many_releases_are_refused():
    with pytest.raises(InputError, match="at most 200") as refused:
        survey(Places(repository=Path(), reference=Path(), releases=(Path(),) * (MAX_RELEASES + 1)))
    assert refused.value.code == "too-many-releases"
