"""Links, pipes, devices, twins of names and files that change, in every place that `attest verify` reads from."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from keyless_evidence import attest
from readers import Readers
from tiny_evidence import WEIGHTS, TinyEvidence, state
from verifying import check, failed, step

from attest.bundle import BUNDLE_NAME
from attest.claims import CLAIMS_NAME
from attest.evidence_directory import SIGNER_KEY_NAME, STATEMENT_NAME
from attest.renewal import RENEWALS_SUFFIX


def result(tiny: TinyEvidence) -> tuple[list[str], int]:
    found = check(tiny)
    return failed(found), found.exit_code


# What lies in the place of a file of the evidence directory.


def pipe(path: Path) -> None:
    os.mkfifo(path)


def link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def link_out(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def folder(path: Path) -> None:
    path.mkdir()


OBSTACLES = (pipe, link_to_a_device, link_out, link_to_itself, folder)
NAMES = (BUNDLE_NAME, STATEMENT_NAME, CLAIMS_NAME, BUNDLE_NAME + RENEWALS_SUFFIX, SIGNER_KEY_NAME)


@pytest.mark.parametrize("obstacle", OBSTACLES, ids=lambda one: one.__name__)
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_file_of_the_directory_is_refused_and_not_waited_for(
    tiny: TinyEvidence, name: str, obstacle: Callable[[Path], None]
):
    policy = Readers(tiny).policy()
    (tiny.directory / name).unlink(missing_ok=True)
    obstacle(tiny.directory / name)
    who = ["--any-signer"] if name == SIGNER_KEY_NAME else ["--policy", policy]
    done = attest("verify", tiny.directory, *who, "--checkpoint", tiny.checkpoint)
    assert done.exit_code == (1 if name == STATEMENT_NAME else 3), done.output
    assert isinstance(done.exception, SystemExit)


# What lies in the checkpoint.


def test_a_link_to_a_device_in_a_checkpoint_is_refused(tiny: TinyEvidence):
    (tiny.checkpoint / "zero").symlink_to("/dev/zero")
    assert result(tiny) == (["checkpoint"], 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="making a device takes root")
def test_a_device_in_a_checkpoint_is_refused(tiny: TinyEvidence):
    os.mknod(tiny.checkpoint / "zero", 0o666 | 0o020000, os.makedev(1, 5))
    assert result(tiny) == (["checkpoint"], 1)


def test_a_hard_link_is_the_file_that_it_leads_to(tiny: TinyEvidence):
    path = tiny.checkpoint / "config.json"
    path.rename(tiny.root / "elsewhere")
    path.hardlink_to(tiny.root / "elsewhere")
    assert result(tiny) == ([], 0)
    (tiny.root / "elsewhere").write_bytes(b"{}")
    assert result(tiny) == (["checkpoint"], 1)


def test_a_sparse_file_of_a_terabyte_is_told_by_its_size(tiny: TinyEvidence):
    read: list[int] = []
    os.truncate(tiny.checkpoint / WEIGHTS, 2**40)
    found = check(tiny, progress=lambda _done, total: read.append(total))
    assert failed(found) == ["checkpoint"]
    assert max(read) < 100


def append(path: Path) -> None:
    with path.open("ab") as stream:
        stream.write(b"x")


def overwrite(path: Path) -> None:
    with path.open("r+b") as stream:
        stream.seek(-1, os.SEEK_END)
        stream.write(b"x")


def put_another(path: Path) -> None:
    path.with_name("new").write_bytes(path.read_bytes())
    path.with_name("new").replace(path)


@pytest.mark.parametrize("change", [append, overwrite, put_another, Path.unlink], ids=lambda one: one.__name__)
def test_a_file_that_changes_while_it_is_verified_fails(tiny: TinyEvidence, change: Callable[[Path], None]):
    """Behind its first blocks, and before its last."""
    big = tiny.checkpoint / "big.bin"
    big.write_bytes(bytes(3_000_000))
    tiny.write()
    tiny.sign()
    changes = iter([change])

    def meddle(done: int, _all: int) -> None:
        if done > 1_000_000:
            for one in changes:
                one(big)

    found = check(tiny, progress=meddle)
    assert (failed(found), found.exit_code) == (["checkpoint"], 1)
    assert any("big.bin" in problem for problem in step(found, "checkpoint").problems)


# Names that some systems take for one.

TWINS = {
    "case": ("Model.bin", "model.bin"),
    "Unicode form": (unicodedata.normalize("NFC", "é.bin"), unicodedata.normalize("NFD", "é.bin")),
    "width": ("\N{FULLWIDTH LATIN SMALL LETTER A}.bin", "a.bin"),
}


@pytest.mark.parametrize(("one", "other"), TWINS.values(), ids=TWINS)
def test_no_file_stands_in_for_its_twin(tiny: TinyEvidence, one: str, other: str):
    paths = [tiny.checkpoint / name for name in (one, other)]
    paths[0].write_bytes(b"1")
    paths[1].write_bytes(b"2")
    tiny.write()
    tiny.sign()
    assert result(tiny) == ([], 0)
    paths[0].write_bytes(b"2")
    paths[1].write_bytes(b"1")
    assert result(tiny) == (["checkpoint"], 1)
    paths[1].unlink()
    paths[0].write_bytes(b"1")
    problems = step(check(tiny), "checkpoint").problems
    assert problems == (f"missing: {other}",)
    paths[0].rename(paths[1])
    assert {problem.partition(":")[0] for problem in step(check(tiny), "checkpoint").problems} == {"missing", "differs"}


# Time and versions.


def test_a_time_that_the_signer_claims_is_nobodys(tiny: TinyEvidence):
    for claimed in ("1999-01-01T00:00:00Z", "2999-01-01T00:00:00Z"):
        tiny.write(state(replace(tiny.measure(), measured_at=claimed)))
        tiny.sign()
        found = check(tiny)
        assert (found.times, found.time, found.exit_code) == ((), "SKIPPED", 0)
        assert "the signer alone says" in step(found, "time").message


def test_the_version_of_sigstore_checks_the_state_of_an_oauth_answer():
    """GHSA-hm8f-75xx-w2vr, mended in sigstore 4.2."""
    assert tuple(int(part) for part in version("sigstore").split(".")[:2]) >= (4, 2)
