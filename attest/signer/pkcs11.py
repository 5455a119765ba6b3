"""Keys that never leave a token (smart card, HSM), reached through PKCS #11: P-256 or Ed25519.

Each signature is made in a session of its own, which ends with it: nothing stays logged in.

References
----------
PKCS #11 v3.1, sections 6.3 (elliptic curves) and 5.6 (sessions and login); RFC 7512.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from attest.errors import InputError, SignatureError, SigningError
from attest.foreign import translated
from attest.signer.key import AskPassword, PublicKey, no_password
from attest.signer.pkcs11_uri import Pkcs11Uri

if TYPE_CHECKING:
    from pkcs11 import Session, Token

__all__ = ["Pkcs11Key"]

T = TypeVar("T")
_MODULE_VARIABLE = "PKCS11_MODULE_PATH"
_P256 = bytes.fromhex("06082a8648ce3d030107")
_ED25519 = (bytes.fromhex("06032b6570"), b"\x13\x0cedwards25519")
"""Parameters of the curves: an object identifier, or for Ed25519 its name too (PKCS #11 v3.1, section 6.3.6)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pkcs11Key:
    """A signer whose private key lies on a token.

    Parameters
    ----------
    public_key : PublicKey
    cautions : tuple of str
        What the user should hear before anything is signed.
    """

    schemes: ClassVar[tuple[str, ...]] = ("pkcs11",)

    public_key: PublicKey
    cautions: tuple[str, ...]
    _location: str
    _pin: str = field(repr=False, compare=False)

    @classmethod
    def open(cls, location: str, *, ask_password: AskPassword = no_password) -> Pkcs11Key:
        """Signer of a key on a token; its PIN is asked for, and shown to the token once.

        Raises
        ------
        SigningError
            No token or key, or several, are what the URI names, the PIN is wrong or not at hand, the token refuses,
            or the key is neither P-256 nor Ed25519.
        InputError
            The URI cannot be used, no library is named or it does not load, or the extra ``pkcs11`` is not installed.
        """
        uri = Pkcs11Uri.parse(location)
        with _translated(location):
            token = _token(uri, location)  # before anybody is asked for the PIN of a token that is not there
            pin = _text(ask_password(f"pkcs11:{location}"), location)
            with token.open(user_pin=pin) as session:
                private = _private_key(session, uri, location)
                public_key = _public_key(session, private, location)
        return cls(public_key=public_key, cautions=(), _location=location, _pin=pin)

    def sign(self, data: bytes) -> bytes:
        """Signature over bytes: DER for P-256, of whose bytes the token sees the SHA-256; 64 bytes for Ed25519.

        Raises
        ------
        SigningError
            The token is gone or refuses, or what it gives does not hold.
        """
        from pkcs11 import Attribute, AttributeTypeInvalid, Mechanism  # noqa: PLC0415 - an extra

        uri = Pkcs11Uri.parse(self._location)
        with _translated(self._location), _token(uri, self._location).open(user_pin=self._pin) as session:
            key = _private_key(session, uri, self._location)
            try:
                again = self._pin if key[Attribute.ALWAYS_AUTHENTICATE] else None
            except AttributeTypeInvalid:  # a token that does not know this
                again = None
            if self.public_key.type == "ed25519":
                signature: bytes = key.sign(data, mechanism=Mechanism.EDDSA, pin=again)
            else:
                signature = _der(key.sign(sha256(data).digest(), mechanism=Mechanism.ECDSA, pin=again))
            self.public_key.verify(signature, data)
        return signature


def _token(uri: Pkcs11Uri, location: str) -> Token:
    """The one token that a URI names."""
    import pkcs11  # noqa: PLC0415 - an extra

    module = uri.module or os.environ.get(_MODULE_VARIABLE)
    if not module:
        fix = f"add ?module-path=/path/of/library.so, or set {_MODULE_VARIABLE}"
        raise InputError("no-pkcs11-module", "no library is named for it", fix=fix, where=f"pkcs11:{location}")
    try:
        library = pkcs11.lib(module)
    except pkcs11.PKCS11Error as error:
        reason = f"its library cannot be loaded ({str(error) or type(error).__name__})"
        fix = "check the path of the library and its own configuration"
        raise InputError("no-pkcs11-module", reason, fix=fix, where=f"pkcs11:{location}") from error
    initialized = library.get_tokens(token_flags=pkcs11.TokenFlag.TOKEN_INITIALIZED)
    return _only([token for token in initialized if _is_meant(token, uri)], "token", location)


def _is_meant(token: Token, uri: Pkcs11Uri) -> bool:
    said = {
        "token": token.label,
        "manufacturer": token.manufacturer_id,
        "serial": token.serial.decode("utf-8", "replace"),
        "model": token.model,
    }
    return all(said[name] == value for name, value in uri.token.items())


def _private_key(session: Session, uri: Pkcs11Uri, location: str) -> Any:
    from pkcs11 import Attribute, ObjectClass  # noqa: PLC0415 - an extra

    asked = {Attribute.LABEL: uri.label, Attribute.ID: uri.id}
    template = {name: value for name, value in asked.items() if value is not None}
    found = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, **template})
    return _only(list(found), "key", location)


def _only(found: Sequence[T], noun: str, location: str) -> T:
    where, fix = f"pkcs11:{location}", "see what there is with pkcs11-tool -L -O; name it by token=, object= or id="
    if not found:
        raise SigningError("not-on-token", f"there is no such {noun}", fix=fix, where=where)
    if len(found) > 1:
        raise SigningError("several-on-token", f"it is the name of {len(found)} {noun}s", fix=fix, where=where)
    return found[0]


def _public_key(session: Session, private: Any, location: str) -> PublicKey:
    """The public half: the public key on the token that has the private one's identifier."""
    from pkcs11 import Attribute, KeyType, ObjectClass  # noqa: PLC0415 - an extra

    kind = private.key_type
    wanted = {Attribute.CLASS: ObjectClass.PUBLIC_KEY, Attribute.KEY_TYPE: kind, Attribute.ID: private.id}
    halves = list(session.get_objects(wanted)) if kind in {KeyType.EC, KeyType.EC_EDWARDS} else []
    if len(halves) == 1:
        curve, point = halves[0][Attribute.EC_PARAMS], halves[0][Attribute.EC_POINT]
        key: EllipticCurvePublicKey | Ed25519PublicKey | None = None
        if (kind, curve) == (KeyType.EC, _P256):
            key = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), _octets(point, 65))
        elif kind == KeyType.EC_EDWARDS and curve in _ED25519:
            key = Ed25519PublicKey.from_public_bytes(_octets(point, 32))
        if key is not None:
            pem = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            return PublicKey.parse(pem, where=f"pkcs11:{location}")
    reason = "not a P-256 or Ed25519 key with one public key of the same identifier beside it"
    raise SigningError("unusable-key", reason, fix="name another key", where=f"pkcs11:{location}")


def _octets(point: bytes, length: int) -> bytes:
    """A point as tokens give it: in an OCTET STRING, or bare."""
    return point[2:] if point[:2] == bytes((4, length)) and len(point) == length + 2 else point


def _der(signature: bytes) -> bytes:
    """ECDSA's two numbers, side by side, as X9.62 writes them."""
    half = len(signature) // 2
    return encode_dss_signature(int.from_bytes(signature[:half]), int.from_bytes(signature[half:]))


def _text(pin: bytes, location: str) -> str:
    try:
        return pin.decode()
    except UnicodeDecodeError:
        reason = "the PIN is not UTF-8 text"
        raise SigningError("pin-refused", reason, fix="give the PIN as text", where=f"pkcs11:{location}") from None


@contextmanager
def _translated(location: str) -> Iterator[None]:
    """Errors of the token, and the absence of the library for it, with a code; none of them quotes a PIN."""
    where = f"pkcs11:{location}"
    try:
        import pkcs11  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        fix = "pip install 'attest-checkpoints[pkcs11]'"
        raise InputError("extra-missing", f"needs {error.name}, which is not installed", fix=fix) from error
    fix = "check that it is there, and whether its key may sign"
    with translated("token-refused", SigningError, "the token did not sign", fix=fix, where=where):
        try:
            yield
        except (
            pkcs11.PinIncorrect,
            pkcs11.PinInvalid,
            pkcs11.PinLenRange,
            pkcs11.PinLocked,
            pkcs11.PinExpired,
        ) as error:
            fix = "check it before you try again: a token locks itself after a few wrong ones"
            reason = f"the PIN was refused ({type(error).__name__})"
            raise SigningError("pin-refused", reason, fix=fix, where=where) from error
        except SignatureError as error:
            reason = f"what the token gave does not verify: {error.message}"
            raise SigningError("token-refused", reason, fix=fix, where=where) from error
