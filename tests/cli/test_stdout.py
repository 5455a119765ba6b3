"""What prints one document prints it to ``-``; what writes folders and several files refuses that name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from measured import FAMILY, measured
from tiny_evidence import TinyEvidence

from attest.cli import main
from attest.evidence_directory import write_evidence

SEED = str(FAMILY / "seed-1")
REFUSED = {
    "keygen": ["keygen", "-o", "-"],
    "measure": ["measure", SEED, "-o", "-"],
    "measure --resume": ["measure", SEED, "-o", "out", "--resume", "-"],
    "protocol": ["protocol", "-o", "-"],
    "compare": ["compare", SEED, SEED, "--evidence", "-"],
    "scan": ["scan", SEED, "--evidence", "-"],
    "library build": ["library", "build", "evidence", "-o", "-"],
    "library panel": ["library", "panel", "library", "-o", "-"],
    "demo": ["demo", "-o", "-"],
}


def attest(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> tuple[int, str, str]:
    """Exit code and both outputs of a run in a folder."""
    monkeypatch.chdir(folder)
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Evidence, and a library that holds it."""
    folder = tmp_path_factory.mktemp("outputs")
    one = measured("seed-1")
    write_evidence(folder / "evidence", one.statement(), one.details)
    built = CliRunner().invoke(main, ["library", "build", str(folder / "evidence"), "-o", str(folder / "library")])
    assert built.exit_code == 0, built.output
    return folder


@pytest.mark.parametrize("arguments", REFUSED.values(), ids=REFUSED)
def test_no_file_is_made_under_that_name(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    before = sorted(folder.iterdir())
    code, printed, told = attest(folder, arguments, monkeypatch)
    assert (code, printed) == (3, ""), told
    assert "not-to-stdout" in told
    assert sorted(folder.iterdir()) == before


def test_not_even_with_force(folder: Path, monkeypatch: pytest.MonkeyPatch):
    code, _, told = attest(folder, ["keygen", "-o", "-", "--force"], monkeypatch)
    assert code == 3
    assert "not-to-stdout" in told


def test_claims_do_not_go_to_stdout(tiny: TinyEvidence, monkeypatch: pytest.MonkeyPatch):
    key = str(tiny.key())
    before = sorted(tiny.root.iterdir())
    words = ["attest-result", str(tiny.directory), "--any-signer", "--sign-with", key, "--claims", "-"]
    code, printed, told = attest(tiny.root, words, monkeypatch)
    assert (code, printed) == (3, "")
    assert "not-to-stdout" in told
    assert sorted(tiny.root.iterdir()) == before


@pytest.mark.parametrize("arguments", [["inspect", SEED], ["library", "list", "library"]], ids=lambda words: words[0])
def test_a_result_goes_to_stdout(folder: Path, arguments: list[str], monkeypatch: pytest.MonkeyPatch):
    plain = attest(folder, arguments, monkeypatch)
    assert plain[0] == 0
    assert attest(folder, [*arguments, "-o", "-"], monkeypatch) == plain
    assert not (folder / "-").exists()


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_what_is_no_file_is_never_replaced(tmp_path: Path, force: tuple[str, ...], monkeypatch: pytest.MonkeyPatch):
    """As ``/dev/null`` is none; a link to one counts as one."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name in ("pipe", "link"):
        code, _, errors = attest(tmp_path, ["inspect", SEED, "-o", name, *force], monkeypatch)
        assert (code, errors.split(":")[0], "--force" in errors) == (3, "error[cannot-write]", False)
    assert (tmp_path / "pipe").is_fifo()
    assert (tmp_path / "link").is_symlink()


def test_a_terminal_that_knows_few_characters(folder: Path):
    """Those that it lacks are written as escapes; the comparison is not lost, and its exit code is not another."""
    words = [sys.executable, "-m", "attest", "compare", SEED, str(folder / "evidence")]
    done = subprocess.run(words, env=os.environ | {"PYTHONIOENCODING": "latin-1"}, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"is seen \\u2026 (p after Holm" in done.stdout
