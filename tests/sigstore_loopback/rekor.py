"""Rekor v1 and v2: they check a signature, log it, and answer with proof of inclusion and a signed checkpoint.

References
----------
sigstore/rekor, openapi.yaml; sigstore/rekor-tiles, api/proto/rekor/v2; C2SP, signed-note and tlog-checkpoint.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from threading import Lock
from typing import Any, Literal

import rfc8785
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_public_key,
)
from sigstore_loopback.certificates import public_der
from sigstore_loopback.merkle import MerkleTree

_ORIGIN = "rekor.loopback.test"


def _text(data: bytes) -> str:
    return b64encode(data).decode()


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A logged entry with everything that proves it."""

    index: int
    size: int
    root: bytes
    path: list[bytes]
    checkpoint: str


@dataclass(frozen=True, kw_only=True)
class Rekor:
    """What both versions share: the tree, and how an entry gets into it."""

    tree: MerkleTree = field(default_factory=MerkleTree)
    _lock: Any = field(default_factory=Lock)

    def append(self, body: bytes) -> Entry:
        """Log a body."""
        with self._lock:
            index = self.tree.append(body)
            size, root, path = len(self.tree.leaves), self.tree.root(), self.tree.path(index)
        note = f"{self.origin}\n{size}\n{_text(root)}\n"
        checkpoint = f"{note}\n\u2014 {_ORIGIN} {_text(self.log_id[:4] + self.sign(note.encode()))}\n"
        return Entry(index=index, size=size, root=root, path=path, checkpoint=checkpoint)

    @property
    def base_url(self) -> str:
        """What the trusted root calls the log; its host is the origin of checkpoints."""
        return f"https://{_ORIGIN}"


@dataclass(frozen=True, kw_only=True)
class RekorV1(Rekor):
    """The log whose promise to include an entry states a time."""

    version: Literal[1] = 1
    key_details: str = "PKIX_ECDSA_P256_SHA_256"
    origin: str = f"{_ORIGIN} - 1234567890"
    key: Any = field(default_factory=lambda: generate_private_key(SECP256R1()))

    @property
    def public_key(self) -> bytes:
        return public_der(self.key)

    @property
    def log_id(self) -> bytes:
        return sha256(self.public_key).digest()

    def sign(self, data: bytes) -> bytes:
        signature: bytes = self.key.sign(data, ECDSA(SHA256()))
        return signature

    def log(self, request: bytes, now: datetime) -> dict[str, Any]:
        """Answer to ``POST /api/v1/log/entries``."""
        proposed = json.loads(request)
        spec = {"dsse": _dsse_v1, "hashedrekord": _hashedrekord_v1}[proposed["kind"]](proposed["spec"])
        body = rfc8785.dumps({"apiVersion": "0.0.1", "kind": proposed["kind"], "spec": spec})
        entry, log_id, time = self.append(body), self.log_id.hex(), int(now.timestamp())
        logged = {"body": _text(body), "integratedTime": time, "logID": log_id, "logIndex": entry.index}
        proof = {
            "logIndex": entry.index,
            "rootHash": entry.root.hex(),
            "treeSize": entry.size,
            "hashes": [node.hex() for node in entry.path],
            "checkpoint": entry.checkpoint,
        }
        promise = _text(self.sign(rfc8785.dumps(logged)))
        verification = {"signedEntryTimestamp": promise, "inclusionProof": proof}
        return {os.urandom(32).hex(): {**logged, "verification": verification}}


def _dsse_v1(spec: dict[str, Any]) -> dict[str, Any]:
    """What Rekor v1 keeps of an envelope: digests, signatures and who made them."""
    text = spec["proposedContent"]["envelope"]
    envelope, (verifier,) = json.loads(text), spec["proposedContent"]["verifiers"]
    payload, kind = b64decode(envelope["payload"]), envelope["payloadType"].encode()
    signed = b"DSSEv1 %d %b %d %b" % (len(kind), kind, len(payload), payload)
    key = _key_in_pem(b64decode(verifier))
    for signature in envelope["signatures"]:
        if isinstance(key, Ed25519PublicKey):
            key.verify(b64decode(signature["sig"]), signed)
        else:
            key.verify(b64decode(signature["sig"]), signed, ECDSA(SHA256()))
    return {
        "envelopeHash": {"algorithm": "sha256", "value": sha256(text.encode()).hexdigest()},
        "payloadHash": {"algorithm": "sha256", "value": sha256(payload).hexdigest()},
        "signatures": [{"signature": one["sig"], "verifier": verifier} for one in envelope["signatures"]],
    }


def _hashedrekord_v1(spec: dict[str, Any]) -> dict[str, Any]:
    """A signature over a file, logged as it was proposed."""
    key = _ecdsa(_key_in_pem(b64decode(spec["signature"]["publicKey"]["content"])))
    digest = bytes.fromhex(spec["data"]["hash"]["value"])
    key.verify(b64decode(spec["signature"]["content"]), digest, ECDSA(Prehashed(SHA256())))
    return spec


@dataclass(frozen=True, kw_only=True)
class RekorV2(Rekor):
    """The log that states no time: whoever signs gets one from a time-stamp authority."""

    version: Literal[2] = 2
    key_details: str = "PKIX_ED25519"
    origin: str = _ORIGIN
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)

    @property
    def public_key(self) -> bytes:
        return self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def log_id(self) -> bytes:
        return sha256(f"{_ORIGIN}\n\x01".encode() + self.key.public_key().public_bytes_raw()).digest()

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data)

    def log(self, request: bytes, now: datetime) -> dict[str, Any]:  # noqa: ARG002 - this log states no time
        """Answer to ``POST /api/v2/log/entries``."""
        proposed = json.loads(request)["hashedRekordRequestV002"]
        signature, verifier = proposed["signature"], proposed["signature"]["verifier"]
        if "publicKey" in verifier:
            key = _ecdsa(load_der_public_key(b64decode(verifier["publicKey"]["rawBytes"])))
        else:
            key = _ecdsa(
                x509.load_der_x509_certificate(b64decode(verifier["x509Certificate"]["rawBytes"])).public_key()
            )
        key.verify(b64decode(signature["content"]), b64decode(proposed["digest"]), ECDSA(Prehashed(SHA256())))
        record = {"data": {"algorithm": "SHA2_256", "digest": proposed["digest"]}, "signature": signature}
        body = rfc8785.dumps({"apiVersion": "0.0.2", "kind": "hashedrekord", "spec": {"hashedRekordV002": record}})
        entry = self.append(body)
        return {
            "logIndex": str(entry.index),
            "logId": {"keyId": _text(self.log_id)},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "inclusionProof": {
                "logIndex": str(entry.index),
                "rootHash": _text(entry.root),
                "treeSize": str(entry.size),
                "hashes": [_text(node) for node in entry.path],
                "checkpoint": {"envelope": entry.checkpoint},
            },
            "canonicalizedBody": _text(body),
        }


def _key_in_pem(pem: bytes) -> EllipticCurvePublicKey | Ed25519PublicKey:
    """The key of a signer who gave a certificate or a bare public key."""
    is_certificate = b"CERTIFICATE" in pem
    key = x509.load_pem_x509_certificate(pem).public_key() if is_certificate else load_pem_public_key(pem)
    return key if isinstance(key, Ed25519PublicKey) else _ecdsa(key)


def _ecdsa(key: object) -> EllipticCurvePublicKey:
    if not isinstance(key, EllipticCurvePublicKey):
        raise TypeError("signatures of this kind of key are not logged")
    return key
