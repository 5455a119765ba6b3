"""The bundles of sigstore-conformance and of the OpenSSF Model Signing specification, each as its name says."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from foreign_vectors import VECTORS, cases, needs_vectors

from attest.cli import main

IDENTITY = (
    "https://github.com/sigstore-conformance/extremely-dangerous-public-oidc-beacon/.github/workflows/"
    "extremely-dangerous-oidc-beacon.yml@refs/heads/main"
)
ISSUER = "https://token.actions.githubusercontent.com"

DEVIATIONS: Mapping[str, str] = {
    "intoto-with-custom-trust-root": "sigstore-python reads no log entries of the kind intoto/0.0.2",
}
"""Every case that ends in another way than its name says, and why. None of them is accepted against its name."""


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def text_of(file: Path, otherwise: str) -> str:
    return file.read_text().strip() if file.exists() else otherwise


def verify_case(case: Path) -> Result:
    """``attest verify`` with what a case says, or the defaults of the suite."""
    artifact = case / "artifact" if (case / "artifact").exists() else case.parent / "a.txt"
    arguments = ["verify", case / "bundle.sigstore.json", "--artifact", artifact]
    if (case / "key.pub").exists():
        arguments += ["--key", case / "key.pub"]
    else:
        arguments += ["--identity", text_of(case / "identity", IDENTITY), "--issuer", text_of(case / "issuer", ISSUER)]
    if (case / "trusted_root.json").exists():
        arguments += ["--trusted-root", case / "trusted_root.json"]
    return attest(*arguments)


@needs_vectors
@pytest.mark.parametrize(
    "case", cases("sigstore-conformance", "*", "bundle.sigstore.json"), ids=lambda p: p.parent.name
)
def test_a_case_ends_as_its_name_says(case: Path):
    name = case.parent.name
    done = verify_case(case.parent)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    accepted = done.exit_code == 0
    assert done.exit_code in {0, 1, 3, 4}
    assert accepted == (not name.endswith("_fail") and name not in DEVIATIONS), done.output
    if accepted:
        assert "FAILED" not in done.stdout


@needs_vectors
def test_every_deviation_is_a_case():
    names = {case.parent.name for case in cases("sigstore-conformance", "*", "bundle.sigstore.json")}
    assert names >= set(DEVIATIONS)


UNDECIDED = {"certificate.bundle.json": "a chain of certificates without a log: nothing says when it was valid"}
OMS_KEY = VECTORS / "model-signing" / "keys" / "signing-key-pub.pem"


@needs_vectors
@pytest.mark.parametrize(
    "case", cases("oms", "v1.0", "*", "*.json"), ids=lambda path: f"{path.parent.name}-{path.stem}"
)
def test_a_bundle_of_model_signing_ends_as_its_folder_says(case: Path):
    arguments = ["verify", case, "--any-signer"] if "sigstore" in case.name else ["verify", case, "--key", OMS_KEY]
    code = attest(*arguments).exit_code
    decided = case.parent.name == "valid" and case.name not in UNDECIDED
    assert code in ({0} if decided else {1, 3})


MODELS = VECTORS / "model-signing"
PRODUCTION = ["--identity", "stefanb@us.ibm.com", "--issuer", "https://sigstore.verify.ibm.com/oauth2"]
SIGNERS: Mapping[str, list[Any]] = {"v1.1.0-elliptic-key": ["--key", OMS_KEY], "v1.1.0-sigstore": PRODUCTION}


@needs_vectors
@pytest.mark.parametrize("name", SIGNERS)
def test_a_signed_model_of_others_is_verified_with_what_the_reader_leaves_out(name: str, tmp_path: Path):
    model = tmp_path / name
    shutil.copytree(MODELS / name, model, copy_function=shutil.copyfile)
    arguments = ["verify", model / "model.sig", *SIGNERS[name], "--checkpoint", model]
    aside = ["--ignore", "ignore-me", "--ignore", "model.sig"]
    done = attest(*arguments, *aside)
    assert done.exit_code == 0, done.output
    assert "You left out 2." in done.stdout
    done = attest(*arguments)  # the signer's own list hides nothing
    assert done.exit_code == 1
    assert "not named: ignore-me" in done.stdout
    (model / "signme-1").write_bytes(b"another")
    assert attest(*arguments, *aside).exit_code == 1
    (model / "signme-1").unlink()
    assert attest(*arguments, *aside).exit_code == 1


@needs_vectors
def test_a_signed_model_of_others_with_one_more_file_fails(tmp_path: Path):
    model = tmp_path / "model"
    shutil.copytree(MODELS / "v1.1.0-sigstore", model, copy_function=shutil.copyfile)
    (model / "more.bin").touch()
    aside = ["--ignore", "ignore-me", "--ignore", "model.sig"]
    done = attest("verify", model / "model.sig", *PRODUCTION, "--checkpoint", model, *aside)
    assert (done.exit_code, "not named: more.bin" in done.stdout) == (1, True)
