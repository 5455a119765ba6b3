"""Sigstore's verifier in JavaScript: installed once from the lock file, and asked in a process of its own."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from attest.signer import PublicKey

_HERE = Path(__file__).resolve().parent
_CACHE = _HERE.parents[1] / ".cache"
_PINNED = ("package.json", "package-lock.json")
_NOBODY: Mapping[str, Any] = {"tlogs": [], "ctlogs": [], "certificateAuthorities": [], "timestampAuthorities": []}


def install() -> Path:
    """Folder with the pinned packages; skips where they cannot be had."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    pinned = sha256(b"".join((_HERE / name).read_bytes() for name in _PINNED)).hexdigest()
    folder = _CACHE / f"sigstore-js-{pinned[:16]}"
    if not folder.is_dir():
        _CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_CACHE) as scratch:
            fresh = Path(scratch) / "fresh"
            fresh.mkdir()
            for name in _PINNED:
                shutil.copy(_HERE / name, fresh)
            command = [
                npm,
                "ci",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
                "--fetch-retries=0",
            ]
            done = subprocess.run(command, cwd=fresh, capture_output=True, text=True, check=False, timeout=60)
            if done.returncode:
                pytest.skip(f"npm ci did not install the pinned packages: {(done.stderr or done.stdout)[-200:]!r}")
            with suppress(OSError):  # another worker of the tests was faster
                fresh.rename(folder)
    return folder


@dataclass(frozen=True, kw_only=True)
class SigstoreJs:
    """The verifier, and whom it is told to trust.

    Parameters
    ----------
    folder : Path
        Where the packages are installed.
    root : mapping
        Trusted root; by default it holds nobody.
    keys : tuple of PublicKey
    policy : mapping or None
        ``subjectAlternativeName`` and ``extensions`` of the certificate.
    options : mapping of str to int
        How many of each it asks for: ``ctlogThreshold``, ``tlogThreshold``, ``timestampThreshold``.
    """

    folder: Path
    root: Mapping[str, Any] = field(default_factory=lambda: _NOBODY)
    keys: tuple[PublicKey, ...] = ()
    policy: Mapping[str, Any] | None = None
    options: Mapping[str, int]

    def __call__(self, bundles: Sequence[bytes], **changed: Any) -> list[str]:
        """For each bundle ``verified``, or the verifier's code of what is wrong."""
        told = replace(self, **changed)
        question = {
            "bundles": [bundle.decode() for bundle in bundles],
            "root": told.root,
            "keys": {key.hint: _der(key) for key in told.keys},
            "options": told.options,
            "policy": told.policy,
        }
        command = ["node", str(_HERE / "verify.mjs")]
        done = subprocess.run(
            command,
            input=json.dumps(question),
            cwd=told.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        answers: list[str] = json.loads(done.stdout)
        return answers


def _der(key: PublicKey) -> str:
    public = load_pem_public_key(key.pem).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return b64encode(public).decode()
