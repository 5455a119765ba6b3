"""Keys that are encrypted, and what must never be seen of a private key."""

from __future__ import annotations

import base64
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from tiny_evidence import TinyEvidence

from attest.cli import main
from attest.errors import SigningError
from attest.signer import open_signer


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text("correct horse\n")
    return path


@pytest.fixture
def key(tmp_path: Path, secret: Path) -> Path:
    path = tmp_path / "encrypted.pem"
    done = attest("keygen", "-o", path, "--password-file", secret)
    assert (done.exit_code, "encrypted private key" in done.stdout) == (0, True)
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    return path


def test_an_encrypted_key_signs_with_its_password(tiny: TinyEvidence, key: Path, secret: Path):
    done = attest("sign", tiny.directory, "--key", key, "--password-file", secret, "--force")
    assert done.exit_code == 0, done.stderr
    public = key.with_name("encrypted.pub.pem")
    assert attest("verify", tiny.directory, "--key", public).exit_code == 0


def test_without_its_password_or_with_another_nothing_is_signed(tiny: TinyEvidence, key: Path, tmp_path: Path):
    good = tiny.bundle.read_bytes()
    (tmp_path / "wrong").write_text("wrong horse")
    (tmp_path / "empty").write_text("\n")
    endings = {
        "password-needed": [],
        "unusable-key": ["--password-file", tmp_path / "wrong"],
        "no-password": ["--password-file", tmp_path / "empty"],
    }
    for code, arguments in endings.items():
        done = attest("sign", tiny.directory, "--key", key, *arguments, "--force")
        assert (done.exit_code, done.stderr.split(":")[0]) == (3, f"error[{code}]")
        assert "horse" not in done.stderr
    assert attest("keygen", "-o", tmp_path / "k.pem", "--password-file", tmp_path / "missing").exit_code == 3
    assert tiny.bundle.read_bytes() == good


def test_a_password_is_asked_for_in_a_terminal(tiny: TinyEvidence, key: Path):
    command = [sys.executable, "-m", "attest", "sign", str(tiny.directory), "--key", str(key), "--force"]
    mine, theirs = pty.openpty()
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as running:
        os.close(theirs)
        seen = b""
        while b"Password of" not in seen:
            seen += os.read(mine, 1024)
        os.write(mine, b"correct horse\n")
        while True:
            try:
                block = os.read(mine, 1024)
            except OSError:
                break
            seen += block
        assert running.wait() == 0, seen
    os.close(mine)
    assert b"horse" not in seen


def test_keygen_asks_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "k.pem"
    monkeypatch.setattr("attest.cli.signing.is_terminal", lambda _: True)
    done = CliRunner().invoke(main, ["keygen", "-o", str(path), "--encrypt"], input="a horse\na horse\n")
    assert done.exit_code == 0, done.stderr
    assert "horse" not in done.stdout
    assert b"ENCRYPTED" in path.read_bytes()
    with pytest.raises(SigningError) as caught:
        open_signer(str(path))
    assert caught.value.code == "password-needed"
    assert open_signer(str(path), ask_password=lambda _: b"a horse").public_key.type == "p256"


def test_keygen_where_nobody_sits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "k.pem"
    done = attest("keygen", "-o", path, "--encrypt")
    assert (done.exit_code, done.stderr.split(":")[0], path.exists()) == (3, "error[password-needed]", False)
    monkeypatch.setenv("ATTEST_PASSWORD", "a horse")
    assert attest("keygen", "-o", path, "--encrypt").exit_code == 0
    assert open_signer(str(path), ask_password=lambda _: b"a horse").public_key.type == "p256"


@pytest.mark.parametrize("key_type", ["p256", "ed25519"])
def test_no_part_of_a_private_key_gets_into_any_output(tiny: TinyEvidence, key_type: Any):
    path = tiny.key(key_type)
    body = b"".join(line for line in path.read_bytes().splitlines() if not line.startswith(b"-----"))
    der = base64.b64decode(body)
    secret = der[36:68] if key_type == "p256" else der[16:48]
    arguments = ["sign", tiny.directory, "--key", path, "--force"]
    done = attest(*arguments, "--format", "json")
    again = attest("sign", tiny.directory, "--key", path)  # refused: it is there already
    assert (done.exit_code, again.exit_code) == (0, 3)
    texts = [done.stdout, done.stderr, again.stdout, again.stderr, repr(open_signer(str(path)))]
    files = [file.read_bytes() for file in tiny.directory.rglob("*") if file.is_file()]
    for data in [*files, *(text.encode() for text in texts)]:
        for form in (secret, secret.hex().encode(), base64.b64encode(secret)[:-4], body[30:60]):
            assert form not in data
