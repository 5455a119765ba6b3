"""Signers: who can sign a statement, by the scheme of the URI that names the key."""

from __future__ import annotations

import re
from typing import ClassVar, Protocol

from attest.errors import SigningError
from attest.signer.key import AskPassword, KeyFile, KeyType, PublicKey, no_password, public_path, write_key_pair
from attest.signer.kms import KmsKey
from attest.signer.pkcs11 import Pkcs11Key

__all__ = [
    "SIGNERS",
    "AskPassword",
    "KeyFile",
    "KeyType",
    "KmsKey",
    "Pkcs11Key",
    "PublicKey",
    "Signer",
    "no_password",
    "open_signer",
    "public_path",
    "write_key_pair",
]

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")


class Signer(Protocol):
    """What every kind of signer is; ``tests/signer/test_contract.py`` runs over all of them.

    Attributes
    ----------
    schemes : tuple of str
        URI schemes that name this kind; the empty one is a bare path.
    """

    schemes: ClassVar[tuple[str, ...]]

    @classmethod
    def open(cls, location: str, *, ask_password: AskPassword = no_password) -> Signer:
        """Signer at a location: the URI without its scheme. Raises SigningError or InputError."""

    @property
    def public_key(self) -> PublicKey:
        """The key that its signatures are checked with."""

    @property
    def cautions(self) -> tuple[str, ...]:
        """What the user should hear before anything is signed."""

    def sign(self, data: bytes) -> bytes:
        """Signature over bytes."""


SIGNERS: tuple[type[Signer], ...] = (KeyFile, KmsKey, Pkcs11Key)
"""Every kind of signer. A new one is a file in this folder and a line here."""


def open_signer(uri: str, *, ask_password: AskPassword = no_password) -> Signer:
    """Signer that a URI or a bare path names.

    Parameters
    ----------
    uri : str
        ``key.pem``, ``file:key.pem``, ``awskms:alias/name`` or ``pkcs11:token=LABEL;object=LABEL``.
    ask_password : callable
        Asked where a key is encrypted, or for the PIN of a token.

    Raises
    ------
    SigningError
        No signer has that scheme, or it cannot sign.
    InputError
        The key cannot be read.
    """
    scheme, colon, location = uri.partition(":")
    if not colon or not _SCHEME.fullmatch(scheme):
        scheme, location = "", uri
    for kind in SIGNERS:
        if scheme in kind.schemes:
            return kind.open(location, ask_password=ask_password)
    raise SigningError(
        "unknown-signer", f"no signer is called {scheme}:", fix=f"for a file of that name write file:{uri}", where=uri
    )
