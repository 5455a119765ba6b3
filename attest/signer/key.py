"""Keys in files: P-256 (ECDSA with SHA-256) or Ed25519, as PEM.

The two kinds that OpenSSL, WebCrypto and every Sigstore client check with one algorithm each, so a signature never
has to say which algorithm it wants. Signatures of others are checked with P-384 and P-521 too, each with its own
digest.

References
----------
FIPS 186-5 (ECDSA); RFC 8032 (Ed25519); RFC 5958 (PKCS #8); RFC 7468, section 13 (public keys in PEM).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from attest.atomic import refuse_existing, write_atomically
from attest.digest import sha256
from attest.envelope import b64encode
from attest.errors import InputError, SignatureError, SigningError
from attest.foreign import translated

__all__ = [
    "AskPassword",
    "CheckedKeyType",
    "KeyFile",
    "KeyType",
    "PublicKey",
    "no_password",
    "public_path",
    "write_key_pair",
]

KeyType = Literal["p256", "ed25519"]
"""Kinds of keys that attest makes and signs with."""
CheckedKeyType = Literal["p256", "p384", "p521", "ed25519"]
"""Kinds of keys that signatures are checked with."""
_Private: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey
_Public: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey

_CURVES: Mapping[str, tuple[CheckedKeyType, HashAlgorithm]] = {
    "secp256r1": ("p256", SHA256()),
    "secp384r1": ("p384", SHA384()),
    "secp521r1": ("p521", SHA512()),
}
"""The one digest of each curve (OpenSSF Model Signing v1.0, algorithm registry)."""
AskPassword: TypeAlias = Callable[[str], bytes]
"""Password of the key at a location."""
_ENCRYPTED = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
_MAX_KEY_FILE = 64 * 1024
_FIELD_PRIME = 2**255 - 19
_NOT_PRIVATE = "not a P-256 or Ed25519 private key in PEM"
_NOT_PUBLIC = "not a P-256, P-384, P-521 or Ed25519 public key in PEM"
_GIVE_INTACT = "ask the signer for an intact copy"
_GIVE_PRIVATE = "give the key.pem that attest keygen writes"
_GIVE_PUBLIC = "give the key.pub.pem that attest keygen writes"


@dataclass(frozen=True, kw_only=True, slots=True)
class PublicKey:
    """A public key that signatures are checked with.

    Parameters
    ----------
    pem : bytes
        SubjectPublicKeyInfo as OpenSSL writes it, whatever the text was that it was read from.
    """

    pem: bytes
    _key: _Public = field(repr=False, compare=False)

    @classmethod
    def parse(cls, pem: bytes, *, where: str) -> PublicKey:
        """Public key in PEM.

        Raises
        ------
        InputError
            Not PEM, a private key, another algorithm or curve, or an Ed25519 key of small order, under which
            a signature can hold over bytes that nobody signed.
        """
        with translated("unusable-key", InputError, _NOT_PUBLIC, fix=_GIVE_PUBLIC, where=where):
            try:
                key = load_pem_public_key(pem)
            except (ValueError, UnsupportedAlgorithm) as error:
                raise InputError("unusable-key", _NOT_PUBLIC, fix=_GIVE_PUBLIC, where=where) from error
        if not (
            (isinstance(key, EllipticCurvePublicKey) and key.curve.name in _CURVES)
            or (isinstance(key, Ed25519PublicKey) and not _is_of_small_order(key))
        ):
            raise InputError("unusable-key", _NOT_PUBLIC, fix=_GIVE_PUBLIC, where=where)
        return cls._of(key)

    @classmethod
    def read(cls, path: Path) -> PublicKey:
        """Public key in a file.

        Raises
        ------
        InputError
            The file cannot be read, or holds no key that is supported.
        """
        pem, _ = _read_key_file(path, fix="check the path; whoever signed hands out the public key")
        return cls.parse(pem, where=str(path))

    @classmethod
    def _of(cls, key: _Public) -> PublicKey:
        return cls(pem=key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo), _key=key)

    @property
    def hint(self) -> str:
        """SHA-256 of the PEM text: how a bundle names its key, and what ``sha256sum`` prints for the file.

        References
        ----------
        OpenSSF Model Signing v1.0, section 4.1.
        """
        return sha256(self.pem)

    @property
    def names(self) -> frozenset[str]:
        """What bundles call this key: ``hint``, or as cosign does the SHA-256 of its DER in base64."""
        return frozenset({self.hint, b64encode(bytes.fromhex(sha256(self.der)))})

    @property
    def der(self) -> bytes:
        """SubjectPublicKeyInfo in DER."""
        return self._key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def type(self) -> CheckedKeyType:
        """Kind of the key."""
        return "ed25519" if isinstance(self._key, Ed25519PublicKey) else _CURVES[self._key.curve.name][0]

    def verify(self, signature: bytes, data: bytes) -> None:
        """Check a signature over bytes.

        Parameters
        ----------
        signature : bytes
            DER for ECDSA, 64 bytes for Ed25519.

        Raises
        ------
        SignatureError
            It does not hold.

        Notes
        -----
        An ECDSA signature is not unique: anybody can turn one into a second one that holds over the same bytes.
        What names a statement is the digest of its payload, never that of its bundle.
        """
        with _holding():
            if isinstance(self._key, Ed25519PublicKey):
                self._key.verify(signature, data)
            else:
                self._key.verify(signature, data, ECDSA(_CURVES[self._key.curve.name][1]))

    def verify_digest(self, signature: bytes, digests: Mapping[str, str]) -> None:
        """Check a signature over bytes of which only digests are at hand.

        Parameters
        ----------
        signature : bytes
            DER.
        digests : mapping of str to str
            Hexadecimal, by name: ``sha256``, ``sha384``, ``sha512``.

        Raises
        ------
        SignatureError
            It does not hold, or the key is Ed25519, which signs the bytes themselves.
        """
        if isinstance(self._key, Ed25519PublicKey):
            raise SignatureError("signature-wrong", "Ed25519 signs no digest", fix="ask for one with another key")
        algorithm = _CURVES[self._key.curve.name][1]
        with _holding():
            self._key.verify(signature, bytes.fromhex(digests[algorithm.name]), ECDSA(Prehashed(algorithm)))


@contextmanager
def _holding() -> Iterator[None]:
    """Say of a signature that does not hold, or cannot be checked, that it does not."""
    with translated("signature-wrong", SignatureError, "the signature cannot be checked", fix=_GIVE_INTACT):
        try:
            yield
        except InvalidSignature as error:
            raise SignatureError("signature-wrong", "the signature does not hold", fix=_GIVE_INTACT) from error


def no_password(location: str) -> bytes:
    """Refuse, where nobody can be asked. Raises SigningError."""
    fix = "give it with --password-file or in ATTEST_PASSWORD, or run it in a terminal"
    raise SigningError("password-needed", "needs a password or PIN", fix=fix, where=location)


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyFile:
    """A signer whose private key lies in a file.

    Parameters
    ----------
    public_key : PublicKey
    cautions : tuple of str
        What the user should hear before anything is signed.
    """

    schemes: ClassVar[tuple[str, ...]] = ("", "file")

    public_key: PublicKey
    cautions: tuple[str, ...]
    _key: _Private = field(repr=False, compare=False)

    @classmethod
    def open(cls, location: str, *, ask_password: AskPassword = no_password) -> KeyFile:
        """Signer of a PEM file; the password is asked for where the key is encrypted.

        Raises
        ------
        SigningError
            Not a private key, the password is wrong or not at hand, or the key is of another algorithm or curve.
        InputError
            The file cannot be read.
        """
        pem, mode = _read_key_file(Path(location), fix="check the path; attest keygen makes a key")
        is_encrypted = any(mark in pem for mark in _ENCRYPTED)
        password = ask_password(location) if is_encrypted else None
        reason = "the password is wrong, or it is damaged" if is_encrypted else _NOT_PRIVATE
        with translated("unusable-key", SigningError, reason, fix=_GIVE_PRIVATE, where=location):
            try:
                key = load_pem_private_key(pem, password=password)
            except (ValueError, TypeError, UnsupportedAlgorithm) as error:
                raise SigningError("unusable-key", reason, fix=_GIVE_PRIVATE, where=location) from error
        if not (
            isinstance(key, Ed25519PrivateKey)
            or (isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1))
        ):
            raise SigningError("unusable-key", _NOT_PRIVATE, fix=_GIVE_PRIVATE, where=location)
        exposed = stat.S_IMODE(mode) & 0o077
        return cls(
            public_key=PublicKey._of(key.public_key()),  # noqa: SLF001 - a constructor within one file
            cautions=(f"{location} is open to other users of this machine; chmod 600 it",) if exposed else (),
            _key=key,
        )

    def sign(self, data: bytes) -> bytes:
        """Signature over bytes: DER for P-256, 64 bytes for Ed25519."""
        if isinstance(self._key, Ed25519PrivateKey):
            return self._key.sign(data)
        return self._key.sign(data, ECDSA(SHA256()))


def public_path(private_path: Path) -> Path:
    """Where the public half of a key file lies: ``key.pub.pem`` beside ``key.pem``."""
    return private_path.with_name(f"{private_path.name.removesuffix('.pem')}.pub.pem")


def write_key_pair(
    private_path: Path, *, key_type: KeyType = "p256", password: bytes | None = None, force: bool = False
) -> PublicKey:
    """Make a key and write both halves: the private one as PKCS #8 with mode 600, the public one beside it.

    With a password the private half is encrypted.

    Raises
    ------
    InputError
        One of the files is there already and ``force`` is not set, or cannot be written.
    """
    key = Ed25519PrivateKey.generate() if key_type == "ed25519" else generate_private_key(SECP256R1())
    public_key = PublicKey._of(key.public_key())  # noqa: SLF001 - a constructor within one file
    encryption = NoEncryption() if password is None else BestAvailableEncryption(password)
    private_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
    refuse_existing(public_path(private_path), force=force)
    write_atomically(private_path, private_pem, force=force, mode=0o600)
    write_atomically(public_path(private_path), public_key.pem, force=force)
    return public_key


def _is_of_small_order(key: Ed25519PublicKey) -> bool:
    """Whether 8 times the point is the neutral element, so that one signature can hold over any bytes.

    The points have y = 0, 1 or -1, or d y**4 + 2 y**2 - 1 = 0 with the curve's d = -121665/121666.

    References
    ----------
    RFC 8032, section 5.1; Brendel et al., "The Provable Security of Ed25519", 2021, section 5.
    """
    encoded = int.from_bytes(key.public_bytes_raw(), "little")
    square = pow(encoded & (2**255 - 1), 2, _FIELD_PRIME)
    return square * (square - 1) * (121665 * square**2 - 243332 * square + 121666) % _FIELD_PRIME == 0


def _read_key_file(path: Path, *, fix: str) -> tuple[bytes, int]:
    """Bytes of a key file, and its mode."""
    try:
        if path.is_file():
            with path.open("rb") as stream:
                return stream.read(_MAX_KEY_FILE), os.fstat(stream.fileno()).st_mode
        reason = "is a folder" if path.is_dir() else "there is no such file"
    except OSError as error:
        reason = f"cannot be read ({error.strerror})"
    raise InputError("no-key", reason, fix=fix, where=str(path))
