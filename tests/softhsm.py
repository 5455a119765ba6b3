"""Tokens of SoftHSM, a real PKCS #11 library without hardware."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, Session
from pkcs11.util.ec import encode_named_curve_parameters

PIN = "9182736450"
_PLACES = ("/usr/lib/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so")
MODULE = next((place for place in _PLACES if Path(place).exists()), None)
CURVES = {
    "p256": (KeyType.EC, encode_named_curve_parameters("secp256r1")),
    "p384": (KeyType.EC, encode_named_curve_parameters("secp384r1")),
    "ed25519": (KeyType.EC_EDWARDS, bytes.fromhex("06032b6570")),
}


@dataclass(frozen=True)
class SoftHsm:
    """A folder of tokens, and the environment that leads to it."""

    folder: Path

    @classmethod
    def start(cls, folder: Path) -> SoftHsm:
        """An empty folder of tokens, which the library reads when it is next used; skips where it is not installed."""
        if MODULE is None or shutil.which("softhsm2-util") is None:
            pytest.skip("SoftHSM is not installed (Debian: softhsm2)")
        tokens = folder / "tokens"
        tokens.mkdir()
        (folder / "softhsm2.conf").write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
        made = cls(folder)
        made.lead()
        return made

    def lead(self) -> None:
        """Lead the library to this folder; it reads its configuration anew when it is next used."""
        os.environ["SOFTHSM2_CONF"] = str(self.folder / "softhsm2.conf")
        pkcs11.unload(str(MODULE))

    def stop(self) -> None:
        """Forget it, so that the library reads its configuration anew."""
        pkcs11.unload(str(MODULE))
        os.environ.pop("SOFTHSM2_CONF", None)

    def add_token(self, label: str) -> None:
        """Make a token whose PIN is ``PIN``."""
        command = ["softhsm2-util", "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"]
        subprocess.run(command, check=True, capture_output=True)
        pkcs11.unload(str(MODULE))

    def remove_tokens(self) -> None:
        """Take all tokens away, as a card is pulled out."""
        shutil.rmtree(self.folder / "tokens")

    def session(self, label: str) -> Session:
        """A session that may write on a token."""
        return pkcs11.lib(str(MODULE)).get_token(token_label=label).open(rw=True, user_pin=PIN)

    def add_keys(self, label: str, keys: Sequence[tuple[str, str, bytes]]) -> None:
        """Make pairs of keys on a token: the name of the curve, a label, an identifier."""
        with self.session(label) as session:
            for curve, name, identifier in keys:
                kind, parameters = CURVES[curve]
                domain = session.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
                domain.generate_keypair(store=True, label=name, id=identifier)


def uri(label: str, *, name: str | None = None, identifier: bytes | None = None) -> str:
    """The URI of a key on one of these tokens."""
    parts = [f"token={label}"]
    parts += [] if name is None else [f"object={name}"]
    parts += [] if identifier is None else ["id=" + "".join(f"%{byte:02x}" for byte in identifier)]
    return f"pkcs11:{';'.join(parts)}?module-path={MODULE}"
