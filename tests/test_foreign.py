"""Every door to a library that reads certificates, keys, time stamps or bundles: what it leaks has a code."""

from __future__ import annotations

import base64
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from keyless_evidence import Signed, signed_evidence

from attest.bundle import Bundle
from attest.digest import sha256
from attest.envelope import Envelope
from attest.errors import AttestError, InputError, SignatureError
from attest.foreign import translated
from attest.identity import CertifiedIdentity
from attest.keyless import bundled_root, verify_keyless
from attest.log_entry import LoggedSignature, refuse_other_entry
from attest.renewal import check_renewals
from attest.signer import PublicKey, open_signer, write_key_pair
from attest.timestamp import check_time_stamp, request_time_stamp
from attest.trust import TrustedRoot, read_time_authority

DATA = b"data"
BYTES = (0x00, 0x01, 0x02, 0x06, 0x0C, 0x13, 0x17, 0x18, 0x30, 0x31, 0x7F, 0x80, 0x81, 0x84, 0xA0, 0xA3, 0xFF)
"""Tags and lengths of ASN.1, and its borders."""
MUTANTS = 400
OF_SIGSTORE = 60


@dataclass(frozen=True, kw_only=True)
class Material:
    """Bytes as they are good, one sort a field."""

    root: Mapping[str, Any]
    bundle: Mapping[str, Any]
    token: bytes
    chain: Sequence[bytes]
    keys: Sequence[Path]
    folder: Path


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Material]:
    folder = tmp_path_factory.mktemp("foreign")
    with signed_evidence(folder, 2) as signed:
        yield material_of(signed, folder)


def material_of(signed: Signed, folder: Path) -> Material:
    keys = [folder / "first.pem", folder / "second.pem"]
    write_key_pair(keys[0])
    write_key_pair(keys[1], key_type="ed25519")
    return Material(
        root=signed.loopback.trusted_root(),
        bundle=json.loads(signed.good),
        token=request_time_stamp(DATA, signed.loopback.time_stamp_url),
        chain=[one.public_bytes(Encoding.DER) for one in signed.loopback.authority.chain],
        keys=keys,
        folder=folder,
    )


def pem(der: bytes, label: str) -> bytes:
    return f"-----BEGIN {label}-----\n{base64.encodebytes(der).decode()}-----END {label}-----\n".encode()


def der_of(text: bytes) -> bytes:
    return base64.b64decode(b"".join(text.splitlines()[1:-1]))


def mutants(seeds: Sequence[bytes], count: int) -> Iterator[bytes]:
    """Bytes that were good: a bit flipped, a tag or length replaced, some taken out, put in or overwritten."""
    rng = random.Random(0)  # noqa: S311 - no secret
    for _ in range(count):
        data = bytearray(rng.choice(seeds))
        for _ in range(rng.choice((1, 1, 1, 3))):
            place, end = rng.randrange(len(data)), rng.randint(1, 8)
            new = (bytes([data[place] ^ 1 << rng.randrange(8)]), bytes([rng.choice(BYTES)]), b"", rng.randbytes(end))
            choice = rng.randrange(5)
            data[place : place + (1, 1, end, 0, end)[choice]] = new[min(choice, 3)]
        yield bytes(data)


# One function a door. Each is given hostile bytes.


def identity(_material: Material, data: bytes) -> None:
    CertifiedIdentity.read(data)


def time_stamp(material: Material, data: bytes) -> None:
    root = TrustedRoot.parse(json.dumps(material.root).encode(), source="x")
    check_time_stamp(data, DATA, root.authorities)


def renewal(material: Material, data: bytes) -> None:
    root = TrustedRoot.parse(json.dumps(material.root).encode(), source="x")
    check_renewals(DATA, [data], root.authorities)


def authority_of_a_root(material: Material, data: bytes) -> None:
    root = json.loads(json.dumps(material.root))
    root["timestampAuthorities"][0]["certChain"]["certificates"][-1]["rawBytes"] = base64.b64encode(data).decode()
    found = TrustedRoot.parse(json.dumps(root).encode(), source="x")
    check_time_stamp(material.token, DATA, found.authorities)


def authority_of_a_file(material: Material, data: bytes) -> None:
    path = material.folder / "authority.pem"
    path.write_bytes(pem(data, "CERTIFICATE"))
    check_time_stamp(material.token, DATA, [read_time_authority(path)])


def public_key(_material: Material, data: bytes) -> None:
    PublicKey.parse(pem(data, "PUBLIC KEY"), where="x").verify(b"", b"")


def private_key(material: Material, data: bytes) -> None:
    path = material.folder / "key.pem"
    path.write_bytes(pem(data, "PRIVATE KEY"))
    open_signer(str(path)).sign(b"")


def key_of_a_log_entry(material: Material, data: bytes) -> None:
    """As a log could hold it that proves whatever it is given; the words are those of ``verify_log_entries``."""
    key = PublicKey.read(material.keys[0].with_suffix(".pub.pem"))
    envelope = Envelope(payload=b"{}", payload_type="text/plain", signature=b"s")
    named = {"signature": "cw==", "verifier": base64.b64encode(pem(data, "PUBLIC KEY")).decode()}
    spec = {"payloadHash": {"algorithm": "sha256", "value": sha256(b"{}")}, "signatures": [named]}
    body = json.dumps({"kind": "dsse", "apiVersion": "0.0.1", "spec": spec}).encode()
    with translated("log-entry-wrong", SignatureError, "a log entry does not hold", fix="ask for an intact copy"):
        refuse_other_entry(body, LoggedSignature.of(envelope, key))


def signature(material: Material, data: bytes) -> None:
    first, second = (PublicKey.read(key.with_suffix(".pub.pem")) for key in material.keys)
    with pytest.raises(SignatureError):
        second.verify(data, b"other")
    with pytest.raises(SignatureError):
        first.verify_digest(data, {"sha256": "00" * 32})
    first.verify(data, b"other")


def certificate_for_sigstore(material: Material, data: bytes) -> None:
    value = json.loads(json.dumps(material.bundle))
    value["verificationMaterial"]["certificate"]["rawBytes"] = base64.b64encode(data).decode()
    _ask_sigstore(value, material.root)


def entry_for_sigstore(material: Material, data: bytes) -> None:
    value = json.loads(json.dumps(material.bundle))
    value["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"] = base64.b64encode(data).decode()
    _ask_sigstore(value, material.root)


def time_stamp_for_sigstore(material: Material, data: bytes) -> None:
    value = json.loads(json.dumps(material.bundle))
    stamps = value["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]
    stamps[0]["signedTimestamp"] = base64.b64encode(data).decode()
    _ask_sigstore(value, material.root)


def root_for_sigstore(material: Material, data: bytes) -> None:
    root = json.loads(json.dumps(material.root))
    for one in (root["tlogs"][0], root["ctlogs"][0]):
        one["publicKey"]["rawBytes"] = base64.b64encode(data).decode()
    _ask_sigstore(material.bundle, root)


def _ask_sigstore(bundle: Mapping[str, Any], root: Mapping[str, Any]) -> None:
    data = json.dumps(bundle).encode()
    trusted = TrustedRoot.parse(json.dumps(root).encode(), source="x")
    verify_keyless(Bundle.from_json(data, where="x"), data, trusted, artifact_sha256=None)


Door = Callable[[Material, bytes], None]


def of_a_key(material: Material, *, private: bool) -> list[bytes]:
    return [der_of((key if private else key.with_suffix(".pub.pem")).read_bytes()) for key in material.keys]


def held(material: Material, *path: str | int) -> list[bytes]:
    value: Any = material.bundle["verificationMaterial"]
    for key in path:
        value = value[key]
    return [base64.b64decode(value)]


def log_key(material: Material) -> list[bytes]:
    return [base64.b64decode(material.root["tlogs"][0]["publicKey"]["rawBytes"])]


def certificate(material: Material) -> list[bytes]:
    return held(material, "certificate", "rawBytes")


def token(material: Material) -> list[bytes]:
    return [material.token]


def chain(material: Material) -> list[bytes]:
    return list(material.chain)


DOORS: Mapping[Door, tuple[int, Callable[[Material], list[bytes]]]] = {
    identity: (MUTANTS, certificate),
    time_stamp: (MUTANTS, token),
    renewal: (OF_SIGSTORE, token),
    authority_of_a_root: (MUTANTS, chain),
    authority_of_a_file: (MUTANTS, chain),
    public_key: (MUTANTS, partial(of_a_key, private=False)),
    private_key: (MUTANTS, partial(of_a_key, private=True)),
    key_of_a_log_entry: (MUTANTS, partial(of_a_key, private=False)),
    signature: (OF_SIGSTORE, token),
    certificate_for_sigstore: (OF_SIGSTORE, certificate),
    entry_for_sigstore: (OF_SIGSTORE, lambda one: held(one, "tlogEntries", 0, "canonicalizedBody")),
    time_stamp_for_sigstore: (
        OF_SIGSTORE,
        lambda one: held(one, "timestampVerificationData", "rfc3161Timestamps", 0, "signedTimestamp"),
    ),
    root_for_sigstore: (OF_SIGSTORE, log_key),
}
"""How many mutants of what are shown to a door."""


@pytest.mark.parametrize("door", DOORS, ids=lambda one: one.__name__)
def test_what_a_library_leaks_has_a_code(material: Material, door: Door):
    count, seeds = DOORS[door]
    refused = []
    for data in mutants(seeds(material), count):
        try:
            door(material, data)
        except AttestError as error:
            refused.append(str(error))
    assert not any("\n" in line for line in refused)
    assert len(refused) > count / 10


def test_a_library_in_rust_that_panics_is_a_coded_error(material: Material):
    """OpenSSL refuses a name that is a time, which the parser of the certificate accepts."""
    root = bytearray(material.chain[-1])
    for place in range(len(root)):
        if root[place : place + 3] == bytes.fromhex("550403"):
            root[place + 3] = 0x17
    with pytest.raises(SignatureError) as caught:
        authority_of_a_file(material, bytes(root))
    assert "PanicException" in str(caught.value)


class Panic(BaseException):
    """What pyo3 raises is of this kind, and no Exception."""


@pytest.mark.parametrize("leaked", [Panic("x"), MemoryError(), RecursionError(), KeyError("x"), Exception("a\nb")])
def test_whatever_leaks_is_translated(leaked: BaseException):
    with pytest.raises(InputError) as caught, translated("a-code", InputError, "words", fix="fix", where="place"):
        raise leaked
    assert str(caught.value).startswith(f"place: words ({type(leaked).__name__}:")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("ending", [KeyboardInterrupt(), SystemExit(3)])
def test_the_user_ends_the_program(ending: BaseException):
    with pytest.raises(type(ending)), translated("a-code", InputError, "words", fix="fix"):
        raise ending


def test_a_sigstore_without_its_root_is_a_coded_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("attest.keyless.resources.files", lambda _package: tmp_path)
    with pytest.raises(InputError) as caught:
        bundled_root()
    assert caught.value.code == "no-trust-file"


@pytest.mark.parametrize("period", [{"start": "2026-01-01T00:00:00"}, {"end": "tomorrow"}, {"start": 1}, 7])
def test_a_root_with_a_time_that_is_none_is_a_coded_error(material: Material, period: Any):
    for part in ("timestampAuthorities", "certificateAuthorities", "tlogs"):
        root = json.loads(json.dumps(material.root))
        (root[part][0]["publicKey"] if part == "tlogs" else root[part][0])["validFor"] = period
        with pytest.raises(InputError) as caught:
            TrustedRoot.parse(json.dumps(root).encode(), source="x")
        assert caught.value.code == "not-a-trusted-root"


# Doors that nobody has listed.

LIBRARIES = re.compile(
    r"^\s*(?:from|import) (?:asn1|cryptography|google|OpenSSL|pyasn1|rfc3161_client|sigstore|sigstore_models)\b",
    re.MULTILINE,
)
KNOWN = {
    "attest/identity.py": {"identity"},
    "attest/keyless.py": {
        "certificate_for_sigstore", "entry_for_sigstore", "root_for_sigstore", "time_stamp_for_sigstore"
    },
    "attest/log_entry.py": {"key_of_a_log_entry"},
    "attest/signer/key.py": {"private_key", "public_key", "signature"},
    "attest/timestamp.py": {"renewal", "time_stamp"},
    "attest/trust.py": {"authority_of_a_file", "authority_of_a_root"},
}  # fmt: skip
"""Modules that call such a library, and what tries each of them here; the other signers ask the user's own devices."""


def test_no_other_module_calls_such_a_library():
    root = Path(__file__).resolve().parent.parent
    calling = {
        path.relative_to(root).as_posix()
        for path in (root / "attest").rglob("*.py")
        if LIBRARIES.search(path.read_text(encoding="utf-8"))
    }
    other_signers = {path for path in calling if path.startswith("attest/signer/")} - KNOWN.keys()
    assert calling - other_signers == KNOWN.keys()
    assert set.union(*KNOWN.values()) == {door.__name__ for door in DOORS}
