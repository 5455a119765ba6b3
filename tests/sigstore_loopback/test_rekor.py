"""The loopback logs: what they take up, and that what they answer proves it."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sigstore_loopback.merkle import climb
from sigstore_loopback.rekor import RekorV1, RekorV2

from attest.envelope import Envelope, pre_authentication_encoding
from attest.log_entry import propose_v1, propose_v2
from attest.signer import KeyType, PublicKey, open_signer, write_key_pair
from attest.statement import PAYLOAD_TYPE

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@dataclass(frozen=True)
class Entry:
    """What both versions answer, in one form."""

    body: bytes
    index: int
    size: int
    root: bytes
    path: list[bytes]
    checkpoint: str


def entry_v1(answer: dict[str, Any]) -> Entry:
    (entry,) = answer.values()
    proof = entry["verification"]["inclusionProof"]
    path = [bytes.fromhex(node) for node in proof["hashes"]]
    root = bytes.fromhex(proof["rootHash"])
    return Entry(b64decode(entry["body"]), proof["logIndex"], proof["treeSize"], root, path, proof["checkpoint"])


def entry_v2(answer: dict[str, Any]) -> Entry:
    proof = answer["inclusionProof"]
    path = [b64decode(node) for node in proof["hashes"]]
    index, size, note = int(proof["logIndex"]), int(proof["treeSize"]), proof["checkpoint"]["envelope"]
    return Entry(b64decode(answer["canonicalizedBody"]), index, size, b64decode(proof["rootHash"]), path, note)


VERSIONS: dict[str, tuple[Callable[[], Any], Any, Any]] = {
    "rekor-v1": (RekorV1, propose_v1, entry_v1),
    "rekor-v2": (RekorV2, propose_v2, entry_v2),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("keys")


def envelope(folder: Path, payload: bytes, key_type: KeyType = "p256") -> tuple[Envelope, PublicKey]:
    """A statement that is signed with a key."""
    path = folder / f"{key_type}.pem"
    if not path.exists():
        write_key_pair(path, key_type=key_type)
    signer = open_signer(str(path))
    signature = signer.sign(pre_authentication_encoding(PAYLOAD_TYPE, payload))
    return Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signature=signature), signer.public_key


@pytest.mark.parametrize("version", VERSIONS)
def test_every_entry_is_proved_by_a_signed_checkpoint(folder: Path, version: str):
    make, propose, read = VERSIONS[version]
    log = make()
    for number in range(5):
        answer = log.log(json.dumps(propose(*envelope(folder, b"%d" % number))).encode(), NOW)
        entry = read(answer)
        assert (entry.index, entry.size) == (number, number + 1)
        assert climb(entry.body, entry.index, entry.size, entry.path) == entry.root
        note, _, signatures = entry.checkpoint.partition("\n\n")
        assert note.split("\n") == [log.origin, str(entry.size), b64encode(entry.root).decode()]
        (signature,) = signatures.splitlines()
        data = b64decode(signature.split()[-1])
        assert data[:4] == log.log_id[:4]
        check(log, data[4:], f"{note}\n".encode())


def check(log: Any, signature: bytes, data: bytes) -> None:
    key: Any = load_der_public_key(log.public_key)
    if log.version == 1:
        key.verify(signature, data, ECDSA(SHA256()))
    else:
        key.verify(signature, data)


def test_version_1_promises_an_entry_and_its_time(folder: Path):
    log = RekorV1()
    (entry,) = log.log(json.dumps(propose_v1(*envelope(folder, b"x"))).encode(), NOW).values()
    promised = {name: entry[name] for name in ("body", "integratedTime", "logID", "logIndex")}
    assert promised["integratedTime"] == int(NOW.timestamp())
    check(log, b64decode(entry["verification"]["signedEntryTimestamp"]), rfc8785.dumps(promised))


@pytest.mark.parametrize("version", VERSIONS)
def test_a_signature_that_does_not_hold_is_not_logged(folder: Path, version: str):
    make, propose, _ = VERSIONS[version]
    log = make()
    signed, key = envelope(folder, b"x")
    other, _ = envelope(folder, b"y")
    forged = Envelope(payload=signed.payload, payload_type=PAYLOAD_TYPE, signature=other.signature)
    with pytest.raises(InvalidSignature):
        log.log(json.dumps(propose(forged, key)).encode(), NOW)
    with pytest.raises((KeyError, ValueError)):
        log.log(b"{}", NOW)
    assert log.tree.leaves == []


def test_version_1_logs_ed25519_and_version_2_takes_none(folder: Path):
    signed, key = envelope(folder, b"x", "ed25519")
    body = entry_v1(RekorV1().log(json.dumps(propose_v1(signed, key)).encode(), NOW)).body
    assert json.loads(body)["spec"]["payloadHash"]["value"] == sha256(b"x").hexdigest()
    of_p256, p256 = envelope(folder, b"x")
    request = propose_v2(of_p256, p256)
    verifier = request["hashedRekordRequestV002"]["signature"]["verifier"]
    verifier["publicKey"]["rawBytes"] = b64encode(key.der).decode()
    with pytest.raises(TypeError):
        RekorV2().log(json.dumps(request).encode(), NOW)
