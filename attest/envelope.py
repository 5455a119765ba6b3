"""DSSE: the envelope around a signed payload.

References
----------
Dead Simple Signing Envelope v1.0.2, protocol.md (pre-authentication encoding) and envelope.md.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from attest.errors import DocumentError

__all__ = ["Envelope", "b64decode", "b64encode", "pre_authentication_encoding"]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """Bytes that are signed: type and payload, each with its length in bytes.

    References
    ----------
    DSSE v1.0.2, protocol.md, "Signature Definition".
    """
    kind = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)


def b64encode(data: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(data).decode("ascii")


def b64decode(text: str, *, where: str) -> bytes:
    """Bytes of canonical base64.

    Raises
    ------
    DocumentError
        A foreign character, missing padding, or unused bits that are not zero: two texts never decode to
        the same bytes.
    """
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if b64encode(data) != text:
        raise DocumentError("not-base64", "not canonical base64", fix="ask for an intact copy", where=where)
    return data


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """A payload, its type, and exactly one signature over both.

    Parameters
    ----------
    payload : bytes
    payload_type : str
        Media type.
    signature : bytes
        Raw signature; DER for ECDSA, 64 bytes for Ed25519.
    """

    payload: bytes
    payload_type: str
    signature: bytes

    @property
    def signed_bytes(self) -> bytes:
        """The pre-authentication encoding that the signature covers."""
        return pre_authentication_encoding(self.payload_type, self.payload)
