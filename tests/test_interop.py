"""The programs of others, unmodified, on what attest signed. Skipped where they are not installed."""

from __future__ import annotations

import io
import json
import logging
import runpy
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Ran:
    """How a program ended, and everything that it printed."""

    returncode: int
    output: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run a program of another project as ``python -m`` does, in this process, with a home of its own."""
    for name in ("HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setattr(logging.root, "handlers", list(logging.root.handlers))

    def run(module: str, *arguments: Any) -> Ran:
        monkeypatch.setattr(sys, "argv", [module, *(str(argument) for argument in arguments)])
        printed = io.StringIO()
        with redirect_stdout(printed), redirect_stderr(printed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they are not ours
            try:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            except SystemExit as ended:
                return Ran(
                    ended.code if isinstance(ended.code, int) else int(ended.code is not None), printed.getvalue()
                )
        return Ran(0, printed.getvalue())

    return run


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
def test_model_signing_verifies_our_model_sig_of_a_key(tiny: TinyEvidence, run: Callable[..., Ran]):
    done = attest("sign", tiny.directory, "--key", tiny.key(), "--model-sig", "--force")
    assert done.exit_code == 0, done.stderr
    signature, public = tiny.directory / MODEL_SIGNATURE_NAME, tiny.key().with_suffix(".pub.pem")
    arguments = ["verify", "key", "--signature", signature, "--public_key", public, tiny.checkpoint]
    done_by_them = run("model_signing", *arguments)
    assert done_by_them.returncode == 0, done_by_them.output
    assert "Verification succeeded" in done_by_them.output
    ours = ["verify", signature, "--key", public, "--checkpoint", tiny.checkpoint]
    assert attest(*ours).exit_code == 0
    (tiny.checkpoint / WEIGHTS).write_bytes(b"another")
    assert run("model_signing", *arguments).returncode != 0
    assert attest(*ours).exit_code == 1


@needs_model_signing
def test_model_signing_verifies_our_keyless_model_sig(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, run: Callable[..., Ran]
):
    token = loopback.token()
    arguments = ["--keyless", "--trust-config", config, "--identity-token", token, "--model-sig", "--force"]
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    signature = tiny.directory / MODEL_SIGNATURE_NAME
    whom = ["--identity", ALICE, "--identity_provider", loopback.url]
    arguments = ["verify", "sigstore", "--trust_config", config, "--signature", signature, *whom, tiny.checkpoint]
    done = run("model_signing", *arguments)
    assert done.returncode == 0, done.output
    (tiny.checkpoint / WEIGHTS).write_bytes(b"another")
    assert run("model_signing", *arguments).returncode != 0


@needs_model_signing
def test_we_verify_what_model_signing_signed(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, tmp_path: Path, run: Callable[..., Ran]
):
    signature, root = tmp_path / "theirs.sig", tmp_path / "root.json"
    root.write_text(json.dumps(loopback.trusted_root()))
    whom = ["--trust_config", config, "--identity_token", loopback.token()]
    done = run("model_signing", "sign", "sigstore", *whom, "--signature", signature, tiny.checkpoint)
    assert done.returncode == 0, done.output
    arguments = ["--identity", ALICE, "--issuer", loopback.url, "--trusted-root", root, "--checkpoint", tiny.checkpoint]
    assert attest("verify", signature, *arguments).exit_code == 0


@needs_model_signing
def test_we_verify_what_model_signing_signed_with_a_key(tiny: TinyEvidence, tmp_path: Path, run: Callable[..., Ran]):
    signature, public = tmp_path / "theirs.sig", tiny.key().with_suffix(".pub.pem")
    arguments = ["--private_key", tiny.key(), "--signature", signature, tiny.checkpoint]
    done = run("model_signing", "sign", "key", *arguments)
    assert done.returncode == 0, done.output
    assert attest("verify", signature, "--key", public, "--checkpoint", tiny.checkpoint).exit_code == 0


def test_sigstore_verifies_our_keyless_evidence(
    tiny: TinyEvidence, loopback: LoopbackSigstore, config: Path, run: Callable[..., Ran]
):
    arguments = ["--keyless", "--trust-config", config, "--identity-token", loopback.token(), "--force"]
    assert attest("sign", tiny.directory, *arguments).exit_code == 0
    digest = sha256((tiny.checkpoint / WEIGHTS).read_bytes()).hexdigest()
    whom = ["--cert-identity", ALICE, "--cert-oidc-issuer", loopback.url, f"sha256:{digest}"]
    arguments = ["--trust-config", config, "verify", "identity", "--offline", "--bundle", tiny.bundle, *whom]
    done = run("sigstore", *arguments)
    assert done.returncode == 0, done.output
    assert "OK" in done.output
    elsewhere = [f"sha256:{'0' * 64}" if argument == f"sha256:{digest}" else argument for argument in arguments]
    somebody = ["bob@example.test" if argument == ALICE else argument for argument in arguments]
    assert all(run("sigstore", *others).returncode != 0 for others in (elsewhere, somebody))
    tiny.bundle.write_text(tiny.bundle.read_text().replace('"payload":"eyJ', '"payload":"eyK'))
    assert run("sigstore", *arguments).returncode != 0


def test_we_verify_a_file_that_sigstore_signed(
    loopback: LoopbackSigstore, config: Path, tmp_path: Path, run: Callable[..., Ran]
):
    file, bundle, root = tmp_path / "file.bin", tmp_path / "file.sigstore.json", tmp_path / "root.json"
    file.write_bytes(b"file")
    root.write_text(json.dumps(loopback.trusted_root()))
    token = ["--identity-token", loopback.token()]
    done = run("sigstore", "--trust-config", config, "sign", *token, "--bundle", bundle, file)
    assert done.returncode == 0, done.output
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
