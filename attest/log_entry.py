"""What an entry of a transparency log is about: which bytes, which signature, whose key.

That the log holds the entry is checked elsewhere (``attest.keyless``); an entry that is about another signature says
nothing of this one, however well it is proved (CVE-2022-36056, CVE-2026-22703).

References
----------
sigstore/rekor, pkg/types/hashedrekord and pkg/types/dsse, version 0.0.1; sigstore/rekor-tiles,
api/proto/rekor/v2 (version 0.0.2); Sigstore client specification, section 4.3.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key

from attest.bundle import MAX_BUNDLE
from attest.digest import sha256
from attest.document import JSON, canonical, parse
from attest.envelope import Envelope, b64encode
from attest.errors import DocumentError
from attest.signer import PublicKey

__all__ = ["LoggedSignature", "propose_v1", "propose_v2", "refuse_other_entry"]

_DIGESTS = {"SHA2_256": "sha256", "SHA2_384": "sha384", "SHA2_512": "sha512"}


@dataclass(frozen=True, kw_only=True, slots=True)
class LoggedSignature:
    """The signature that an entry must be about.

    Parameters
    ----------
    key : PublicKey
    signature : bytes
    digests : mapping of str to str
        Of the bytes that are signed, hexadecimal: ``sha256``, ``sha384``, ``sha512``.
    payload_sha256 : str or None
        Of the statement; None where a file was signed.
    """

    key: PublicKey
    signature: bytes
    digests: Mapping[str, str]
    payload_sha256: str | None

    @classmethod
    def of(cls, envelope: Envelope, key: PublicKey) -> LoggedSignature:
        """The signature of a statement."""
        names = _DIGESTS.values()
        return cls(
            key=key,
            signature=envelope.signature,
            digests={name: hashlib.new(name, envelope.signed_bytes).hexdigest() for name in names},
            payload_sha256=sha256(envelope.payload),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Entry:
    """What a body says; ``covers`` is ``signed`` or ``payload``."""

    covers: str
    algorithm: str
    digest: str
    signature: bytes
    key: bytes


def refuse_other_entry(body: bytes, expected: LoggedSignature) -> None:
    """Refuse a body that is not about a signature.

    Parameters
    ----------
    body : bytes
        ``canonicalizedBody`` of the entry.
    expected : LoggedSignature

    Raises
    ------
    ValueError
        It is about other bytes, another signature or key, or of a kind that is not read here.
    LookupError, TypeError
        It is malformed.
    """
    try:
        value = parse(body, where="log entry", max_bytes=MAX_BUNDLE)
    except DocumentError as error:
        raise ValueError(str(error)) from error
    kind = f"{value['kind']}/{value['apiVersion']}"
    if kind not in _READERS:
        raise ValueError(f"entries of the kind {kind[:100]} are not read")
    entry = _READERS[kind](value["spec"])
    digests = {"sha256": expected.payload_sha256} if entry.covers == "payload" else expected.digests
    if entry.digest != digests.get(entry.algorithm):
        raise ValueError("the log entry is about other bytes")
    if entry.signature != expected.signature:
        raise ValueError("the log entry is about another signature")
    if entry.key != expected.key.der:
        raise ValueError("the log entry names another key")


def _hashedrekord_v1(spec: Any) -> _Entry:
    digest, signature = spec["data"]["hash"], spec["signature"]
    return _Entry(
        covers="signed",
        algorithm=digest["algorithm"],
        digest=digest["value"],
        signature=_bytes(signature["content"]),
        key=_key(signature["publicKey"]["content"]),
    )


def _dsse_v1(spec: Any) -> _Entry:
    (signature,) = spec["signatures"]
    return _Entry(
        covers="payload",
        algorithm=spec["payloadHash"]["algorithm"],
        digest=spec["payloadHash"]["value"],
        signature=_bytes(signature["signature"]),
        key=_key(signature["verifier"]),
    )


def _hashedrekord_v2(spec: Any) -> _Entry:
    record = spec["hashedRekordV002"]
    return _entry_v2("signed", record["data"], record["signature"])


def _dsse_v2(spec: Any) -> _Entry:
    record = spec["dsseV002"]
    (signature,) = record["signatures"]
    return _entry_v2("payload", record["payloadHash"], signature)


def _entry_v2(covers: str, digest: Any, signature: Any) -> _Entry:
    return _Entry(
        covers=covers,
        algorithm=_DIGESTS[digest["algorithm"]],
        digest=_bytes(digest["digest"]).hex(),
        signature=_bytes(signature["content"]),
        key=_bytes(signature["verifier"]["publicKey"]["rawBytes"]),
    )


_READERS: Mapping[str, Callable[[Any], _Entry]] = {
    "hashedrekord/0.0.1": _hashedrekord_v1,
    "dsse/0.0.1": _dsse_v1,
    "hashedrekord/0.0.2": _hashedrekord_v2,
    "dsse/0.0.2": _dsse_v2,
}


def propose_v1(envelope: Envelope, key: PublicKey) -> dict[str, Any]:
    """What Rekor v1 is asked to log of a statement's signature."""
    signatures = [{"keyid": "", "sig": b64encode(envelope.signature)}]
    text: JSON = {
        "payload": b64encode(envelope.payload),
        "payloadType": envelope.payload_type,
        "signatures": signatures,
    }
    content = {"envelope": canonical(text).decode(), "verifiers": [b64encode(key.pem)]}
    return {"apiVersion": "0.0.1", "kind": "dsse", "spec": {"proposedContent": content}}


def propose_v2(envelope: Envelope, key: PublicKey) -> dict[str, Any]:
    """What Rekor v2 is asked to log of a statement's signature. Raises ValueError for keys that it does not take."""
    if key.type != "p256":
        raise ValueError(f"this log takes no {key.type} keys")
    verifier = {"publicKey": {"rawBytes": b64encode(key.der)}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}
    signature = {"content": b64encode(envelope.signature), "verifier": verifier}
    digest = b64encode(bytes.fromhex(sha256(envelope.signed_bytes)))
    return {"hashedRekordRequestV002": {"digest": digest, "signature": signature}}


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)


def _key(text: str) -> bytes:
    """DER of a key that an entry holds as base64 of its PEM."""
    return load_pem_public_key(_bytes(text)).public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
