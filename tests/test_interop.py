"""The programs of others, unmodified, on what attest signed. Skipped where they are not installed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import WEIGHTS, TinyEvidence

from attest.cli import main
from attest.oms import MODEL_SIGNATURE_NAME

pytestmark = pytest.mark.interop
ALICE = "alice@example.test"
needs_model_signing = pytest.mark.skipif(
    not find_spec("model_signing") or not find_spec("OpenSSL"), reason="model-signing and pyOpenSSL are not installed"
)


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run(tmp_path: Path, module: str, *arguments: Any) -> subprocess.CompletedProcess[str]:
    """A program of another project, with a home of its own."""
    homes = {name: str(tmp_path) for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")}
    command = [sys.executable, "-m", module, *(str(argument) for argument in arguments)]
    environment = {**os.environ, **homes, "NO_PROXY": "127.0.0.1"}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def loopback(request: pytest.FixtureRequest) -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving(rekor=request.param) as running:
        yield running


@pytest.fixture
def config(loopback: LoopbackSigstore, tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(loopback.client_trust_config()))
    return path


@needs_model_signing
def test_model_signing_verifies_our_model_sig_of_a_key(tiny: TinyEvidence, tmp_path: Path):
    done = attest("sign", tiny.directory, "--key", tiny.key(), "--model-sig", "--force")
    assert done.exit_code == 0, done.stderr
    signature, public = tiny.directory / MODEL_SIGNATURE_NAME, tiny.key().with_suffix(".pub.pem")
    arguments = ["verify", "key", "--signature", signature, "--public_key", public, tiny.checkpoint]
    done_by_them = run(tmp_path, "model_signing", *arguments)
    assert done_by_them.returncode == 0, done_by_them.stderr
    assert "Verification succeeded" in done_by_them.stdout
    ours = ["verify", signature, "--key", public, "--checkpoint", tiny.checkpoint]
    assert attest(*ours).exit_code == 0
    (tiny.checkpoint / WEIGHTS).write_bytes(b"another")
    assert run(tmp_path, "model_signing", *arguments).returncode != 0
    assert attest(*ours).exit_code == 1


@needs_model_signing
def test_model_signing_verifies_our_keyless_model_sig(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, tmp_path: Path
):
    token = loopback.token()
    arguments = ["--keyless", "--trust-config", config, "--identity-token", token, "--model-sig", "--force"]
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    signature = tiny.directory / MODEL_SIGNATURE_NAME
    whom = ["--identity", ALICE, "--identity_provider", loopback.url]
    arguments = ["verify", "sigstore", "--trust_config", config, "--signature", signature, *whom, tiny.checkpoint]
    done = run(tmp_path, "model_signing", *arguments)
    assert done.returncode == 0, done.stderr


@needs_model_signing
def test_we_verify_what_model_signing_signed(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, tmp_path: Path
):
    signature, root = tmp_path / "theirs.sig", tmp_path / "root.json"
    root.write_text(json.dumps(loopback.trusted_root()))
    whom = ["--trust_config", config, "--identity_token", loopback.token()]
    done = run(tmp_path, "model_signing", "sign", "sigstore", *whom, "--signature", signature, tiny.checkpoint)
    assert done.returncode == 0, done.stderr
    arguments = ["--identity", ALICE, "--issuer", loopback.url, "--trusted-root", root, "--checkpoint", tiny.checkpoint]
    assert attest("verify", signature, *arguments).exit_code == 0
    done = run(tmp_path, "model_signing", "sign", "key", "--private_key", tiny.key(), "--signature", signature,
               tiny.checkpoint)  # fmt: skip
    assert done.returncode == 0, done.stderr
    public = tiny.key().with_suffix(".pub.pem")
    assert attest("verify", signature, "--key", public, "--checkpoint", tiny.checkpoint).exit_code == 0


def test_sigstore_verifies_our_keyless_evidence(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, tmp_path: Path
):
    arguments = ["--keyless", "--trust-config", config, "--identity-token", loopback.token(), "--force"]
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    digest = sha256((tiny.checkpoint / WEIGHTS).read_bytes()).hexdigest()
    whom = ["--cert-identity", ALICE, "--cert-oidc-issuer", loopback.url, f"sha256:{digest}"]
    arguments = ["--trust-config", config, "verify", "identity", "--offline", "--bundle", tiny.bundle, *whom]
    done = run(tmp_path, "sigstore", *arguments)
    assert done.returncode == 0, done.stderr
    assert "OK" in done.stderr + done.stdout


def test_we_verify_a_file_that_sigstore_signed(loopback: LoopbackSigstore, config: Path, tmp_path: Path):
    file, bundle, root = tmp_path / "file.bin", tmp_path / "file.sigstore.json", tmp_path / "root.json"
    file.write_bytes(b"file")
    root.write_text(json.dumps(loopback.trusted_root()))
    token = ["--identity-token", loopback.token()]
    done = run(tmp_path, "sigstore", "--trust-config", config, "sign", *token, "--bundle", bundle, file)
    assert done.returncode == 0, done.stderr
    arguments = ["verify", bundle, "--identity", ALICE, "--issuer", loopback.url, "--trusted-root", root]
    assert attest(*arguments, "--artifact", file).exit_code == 0
    file.write_bytes(b"filf")
    assert attest(*arguments, "--artifact", file).exit_code == 1


# Refusals.


def test_a_key_that_model_signing_cannot_check_is_refused_before_anything_is_written(tiny: TinyEvidence):
    shutil.rmtree(tiny.directory)
    tiny.write()
    done = attest("sign", tiny.directory, "--key", tiny.key("ed25519"), "--model-sig")
    assert (done.exit_code, done.stderr.split(":")[0]) == (3, "error[no-model]")
    assert not tiny.bundle.exists()
