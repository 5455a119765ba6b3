"""A repository on a hub: its small files are read, at one commit, within limits."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from known_license import license_words
from servers.hub import COMMIT, Hub

from attest.cli import main
from attest.errors import AttestError
from attest.licenses import remote
from attest.licenses.readable import Skipped
from attest.licenses.scan import read_files, scan
from attest.survey import Places, survey

URI = "hf://org/model"


@pytest.fixture
def files(hub: Hub) -> dict[str, bytes]:
    made = {
        "LICENSE": license_words("MIT").encode(),
        "README.md": b"---\nlicense: apache-2.0\n---\n",
        "empty": b"",
        "logo.png": b"\x89PNG",
        "notes.txt": b"a" * (1024 * 1024 + 1),
        "strange.txt": b"a\0b",
        "model.safetensors": hub.repositories["org/seed-1"]["model.safetensors"],
    }
    hub.repositories["org/model"] = made
    return made


@pytest.mark.usefixtures("files")
def test_small_files_are_scanned_and_large_ones_never_asked_for(hub: Hub):
    result = scan(URI)
    assert result.files_scanned == 3
    assert result.files_skipped == {"binary": 2, "too-large": 1, "weights": 1}
    assert {"license-text", "declared-and-found-differ"} <= {finding.code for finding in result.findings}
    asked = {request.path.rpartition("/")[2] for request in hub.log if "/resolve/" in request.path}
    assert asked == {"LICENSE", "README.md", "strange.txt", "model.safetensors"}
    assert all(f"/resolve/{COMMIT}/" in request.path for request in hub.log if "/resolve/" in request.path)


@pytest.mark.usefixtures("files")
def test_the_command_takes_a_revision(hub: Hub):
    hub.revisions["v1"] = "a" * 40
    value = CliRunner().invoke(main, ["scan", URI, "--revision", "v1", "--format", "json"]).output
    assert json.loads(value)["filesScanned"] == 3
    page = CliRunner().invoke(main, ["scan", f"{URI}@v1"]).output
    assert page.startswith("Scan of hf://org/model@v1: 3 text files read\n")
    assert {request.path.split("/")[4] for request in hub.log if "/resolve/" in request.path} == {"a" * 40}


@pytest.mark.usefixtures("files")
def test_evidence_names_the_commit_and_every_pass_reads_it(hub: Hub):
    hub.revisions["v1"] = "a" * 40
    found = survey(Places(repository=f"{URI}@v1", reference=URI)).evidence
    assert (found.repository.name, found.repository.revision, found.repository.commit) == (f"{URI}@v1", "v1", "a" * 40)
    assert found.origins is not None
    assert (found.origins.reference.revision, found.origins.reference.commit) == (None, COMMIT)
    assert sum("/revision/v1" in request.path for request in hub.log) == 1


@pytest.mark.parametrize(("limit", "value"), [("MAX_FILES", 2), ("MAX_BYTES", 100)])
@pytest.mark.usefixtures("files")
def test_too_much_is_refused_before_anything_is_read(hub: Hub, monkeypatch: pytest.MonkeyPatch, limit: str, value: int):
    monkeypatch.setattr(remote, limit, value)
    with pytest.raises(AttestError) as caught:
        scan(URI)
    assert caught.value.code == "repository-too-large"
    assert not any("/resolve/" in request.path for request in hub.log)


@pytest.mark.usefixtures("files")
def test_names_that_no_folder_could_hold(hub: Hub):
    hub.repositories["org/model"] = {"a/" * 300 + "b": b"x", "fine": b"x"}
    assert [item for item in read_files(URI) if isinstance(item, Skipped)] == [
        Skipped(path=None, reason="path-too-long")
    ]
    for name in ("../b", "/etc/passwd", "a\x1b[2J"):
        hub.repositories["org/model"] = {name: b"x"}
        with pytest.raises(AttestError):
            scan(URI)


def test_a_repository_that_is_not_there_and_one_with_a_history(hub: Hub, tmp_path: Path):
    for arguments in (["hf://org/absent"], ["hf://org/seed-1", "--history"], [str(tmp_path), "--history"]):
        result = CliRunner().invoke(main, ["scan", *arguments])
        assert result.exit_code == 3
        assert result.output.startswith("error[")
        assert result.output.count("\n") == 1
    assert len(hub.log) == 1
