"""The page on verifying without attest, run as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import WEIGHTS, TinyEvidence
from verifying import check

from attest.bundle import read_bundle
from attest.renewal import renew
from attest.signer import KeyType
from attest.timestamp import request_time_stamp

PAGE = Path(__file__).resolve().parents[1] / "docs" / "verify-without-attest.md"


def recipe(*marks: str) -> str:
    """The shell blocks of the page on verifying without attest that hold these words."""
    blocks = PAGE.read_text().split("```sh\n")[1:]
    code = [block.split("```")[0] for block in blocks]
    return "".join(next(block for block in code if mark in block) for mark in marks)


def run_recipe(tiny: TinyEvidence, *marks: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "CHECKPOINT": str(tiny.checkpoint)}
    return subprocess.run(
        ["sh", "-e", "-c", recipe(*marks)],  # noqa: S607
        cwd=tiny.directory,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


CHECKS: dict[KeyType, tuple[str, str]] = {
    "p256": ("openssl dgst", "Verified OK"),
    "ed25519": ("openssl pkeyutl", "Signature Verified Successfully"),
}


@pytest.mark.parametrize("take_apart", ['sed \'s/.*"payload"', "python3 -c"], ids=["sed", "python"])
def test_openssl_alone_verifies_a_signature(tiny: TinyEvidence, key_type: KeyType, take_apart: str):
    tiny.sign(key_type)
    shutil.copy(tiny.key(key_type).with_suffix(".pub.pem"), tiny.directory / "key.pub.pem")
    command, expected = CHECKS[key_type]
    done = run_recipe(tiny, take_apart, "DSSEv1", command)
    assert (done.returncode, done.stdout.strip()) == (0, expected)
    bundle, _ = read_bundle(tiny.bundle)
    assert (tiny.directory / "payload.json").read_bytes() == bundle.envelope.payload
    altered = bundle.envelope.payload.replace(b"tiny", b"tinz")
    tiny.bundle.write_bytes(replace(bundle, content=replace(bundle.envelope, payload=altered)).to_json())
    done = run_recipe(tiny, take_apart, "DSSEv1", command)
    assert done.returncode != 0
    assert expected not in done.stdout


def test_openssl_alone_verifies_a_time_stamp(tiny: TinyEvidence):
    with LoopbackSigstore.serving() as loopback:
        (tiny.directory / "tsa.pem").write_bytes(loopback.authority.chain_pem)
        bundle, _ = read_bundle(tiny.bundle)
        stamps = (request_time_stamp(bundle.content.signature, loopback.time_stamp_url),)
        tiny.bundle.write_bytes(replace(bundle, timestamps=stamps).to_json())
        marks = ('sed \'s/.*"payload"', "openssl ts")
        done = run_recipe(tiny, *marks)
        assert (done.returncode, "Time stamp:" in done.stdout) == (0, True), done.stderr
        assert "Verification: OK" in done.stdout + done.stderr
        other = (request_time_stamp(b"another", loopback.time_stamp_url),)
    tiny.bundle.write_bytes(replace(bundle, timestamps=other).to_json())
    assert run_recipe(tiny, *marks).returncode != 0


def test_openssl_alone_verifies_a_renewal(tiny: TinyEvidence):
    with LoopbackSigstore.serving() as loopback:
        (tiny.directory / "tsa.pem").write_bytes(loopback.authority.chain_pem)
        for _ in range(2):
            renew(tiny.bundle, tiny.bundle.read_bytes(), loopback.time_stamp_url)
    done = run_recipe(tiny, "attest renewal v1")
    assert (done.returncode, "Verification: OK" in done.stdout + done.stderr) == (0, True), done.stderr
    tiny.bundle.write_bytes(tiny.bundle.read_bytes() + b"\n")
    assert run_recipe(tiny, "attest renewal v1").returncode != 0


def test_sha256sum_alone_checks_detail_and_checkpoint_files(tiny: TinyEvidence):
    marks = ('sed \'s/.*"payload"', '"name":"detail/', "subjects.txt")
    done = run_recipe(tiny, *marks)
    assert (done.returncode, done.stdout.count(": OK")) == (0, 6)
    (tiny.checkpoint / WEIGHTS).write_bytes(b"")
    done = run_recipe(tiny, *marks)
    assert done.returncode != 0
    assert f"{WEIGHTS}: FAILED" in done.stdout
    (tiny.directory / "detail/bytes.bin").write_bytes(b"")
    assert run_recipe(tiny, *marks).returncode != 0


def test_a_shell_computes_the_tree_digest(tiny: TinyEvidence):
    (tiny.checkpoint / "sub-b").mkdir()
    (tiny.checkpoint / "sub-b" / "a file é").write_bytes(b"x")
    (tiny.checkpoint / "sub" / ".git").mkdir()
    tiny.write()
    tiny.sign()
    expected = tiny.measure().checkpoint.tree_digest
    (tiny.checkpoint / "sub" / ".git" / "hook").touch()
    assert check(tiny).exit_code == 0
    signed, computed = run_recipe(tiny, 'sed \'s/.*"payload"', "attest tree v1").stdout.split()
    assert signed == computed == expected
    (tiny.checkpoint / "evil.py").touch()
    signed, computed = run_recipe(tiny, 'sed \'s/.*"payload"', "attest tree v1").stdout.split()
    assert signed != computed
