from __future__ import annotations

import hashlib
import os
import subprocess
from contextlib import nullcontext
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from attest.errors import InputError, SignatureError, SigningError
from attest.signer import KeyFile, KeyType, PublicKey, open_signer, public_path, write_key_pair

KEY_TYPES: tuple[KeyType, ...] = ("p256", "ed25519")
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def private_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None) -> bytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def public_pem(key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def openssl(*arguments: str) -> str:
    return subprocess.run(["openssl", *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S607


def test_a_pair_is_written_as_openssl_reads_it(tmp_path: Path, key_type: KeyType):
    private = tmp_path / "key.pem"
    public_key = write_key_pair(private, key_type=key_type)
    public = tmp_path / "key.pub.pem"
    assert public_path(private) == public
    assert private.stat().st_mode & 0o777 == 0o600
    assert private.read_bytes().startswith(b"-----BEGIN PRIVATE KEY-----\n")
    assert openssl("pkey", "-in", str(private), "-pubout") == public.read_text()
    kind = openssl("pkey", "-pubin", "-in", str(public), "-noout", "-text")
    assert ("NIST CURVE: P-256" in kind, "ED25519" in kind) == (key_type == "p256", key_type == "ed25519")
    assert public_key == PublicKey.read(public) == KeyFile.open(str(private)).public_key
    assert public_key.type == key_type


def test_the_hint_is_the_digest_of_the_file(tmp_path: Path, key_type: KeyType):
    public_key = write_key_pair(tmp_path / "key.pem", key_type=key_type)
    assert public_key.hint == hashlib.sha256((tmp_path / "key.pub.pem").read_bytes()).hexdigest()


def test_the_hint_does_not_depend_on_the_text_of_the_file(tmp_path: Path, key_type: KeyType):
    public_key = write_key_pair(tmp_path / "key.pem", key_type=key_type)
    other = b"A comment\r\n" + public_key.pem.replace(b"\n", b"\r\n")
    assert PublicKey.parse(other, where="x") == public_key


def test_two_keys_differ(tmp_path: Path, key_type: KeyType):
    a, b = (write_key_pair(tmp_path / f"{name}.pem", key_type=key_type) for name in "ab")
    assert a != b
    assert a.hint != b.hint


@pytest.mark.parametrize("standing", ["key.pem", "key.pub.pem"])
def test_nothing_is_overwritten_without_force(tmp_path: Path, standing: str):
    (tmp_path / standing).write_bytes(b"precious")
    with pytest.raises(InputError) as caught:
        write_key_pair(tmp_path / "key.pem")
    assert caught.value.code == "output-exists"
    assert [path.name for path in tmp_path.iterdir()] == [standing]
    assert (tmp_path / standing).read_bytes() == b"precious"


def test_a_link_that_leads_nowhere_is_not_written_through(tmp_path: Path):
    (tmp_path / "key.pem").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError):
        write_key_pair(tmp_path / "key.pem")
    write_key_pair(tmp_path / "key.pem", force=True)
    assert not (tmp_path / "elsewhere").exists()
    assert not (tmp_path / "key.pem").is_symlink()


def test_force_replaces_both(tmp_path: Path):
    first = write_key_pair(tmp_path / "key.pem")
    second = write_key_pair(tmp_path / "key.pem", key_type="ed25519", force=True)
    assert first != second == PublicKey.read(tmp_path / "key.pub.pem")
    assert KeyFile.open(str(tmp_path / "key.pem")).public_key == second


def test_a_folder_that_is_not_there_is_a_coded_error(tmp_path: Path):
    with pytest.raises(InputError) as caught:
        write_key_pair(tmp_path / "none" / "key.pem")
    assert caught.value.code == "cannot-write"


@pytest.mark.parametrize(("name", "public"), [("key.pem", "key.pub.pem"), ("v1.2", "v1.2.pub.pem"), ("k", "k.pub.pem")])
def test_the_public_half_lies_beside(name: str, public: str):
    assert public_path(Path("x") / name) == Path("x") / public


@pytest.mark.parametrize(
    ("mode", "cautions"), [(0o600, 0), (0o400, 0), (0o640, 1), (0o604, 1), (0o620, 1), (0o644, 1), (0o777, 1)]
)
def test_a_key_that_others_can_read_is_cautioned_about(tmp_path: Path, mode: int, cautions: int):
    write_key_pair(tmp_path / "key.pem")
    (tmp_path / "key.pem").chmod(mode)
    assert len(open_signer(str(tmp_path / "key.pem")).cautions) == cautions


P256 = ec.generate_private_key(ec.SECP256R1())
GOOD_PEM = private_pem(P256)
BAD_PRIVATE = {
    "empty": b"",
    "garbage": b"\x00\xff" * 100,
    "PEM of garbage": b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "PEM that does not end": GOOD_PEM[: len(GOOD_PEM) // 2],
    "public key": public_pem(P256.public_key()),
    "encrypted": private_pem(P256, b"secret"),
    "encrypted, old format": P256.private_bytes(
        Encoding.PEM, PrivateFormat.TraditionalOpenSSL, BestAvailableEncryption(b"secret")
    ),
    "RSA": private_pem(rsa.generate_private_key(65537, 2048)),
    "P-384": private_pem(ec.generate_private_key(ec.SECP384R1())),
    "secp256k1": private_pem(ec.generate_private_key(ec.SECP256K1())),
    "brainpool": private_pem(ec.generate_private_key(ec.BrainpoolP256R1())),
    "Ed448": ed448.Ed448PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "X25519": x25519.X25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "DSA": dsa.generate_private_key(2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    "too large a file": b"\n" * 100_000 + GOOD_PEM,
}


@pytest.mark.parametrize("name", BAD_PRIVATE)
def test_a_private_key_that_cannot_be_used_is_one_coded_error(tmp_path: Path, name: str):
    (tmp_path / "key.pem").write_bytes(BAD_PRIVATE[name])
    with pytest.raises(SigningError) as caught:
        KeyFile.open(str(tmp_path / "key.pem"))
    code = "password-needed" if name.startswith("encrypted") else "unusable-key"
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


BAD_PUBLIC = {
    "empty": b"",
    "garbage": b"\x00\xff" * 100,
    "private key": GOOD_PEM,
    "PEM of garbage": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
    "RSA": rsa.generate_private_key(65537, 2048)
    .public_key()
    .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    "P-224": public_pem(ec.generate_private_key(ec.SECP224R1()).public_key()),
    "secp256k1": public_pem(ec.generate_private_key(ec.SECP256K1()).public_key()),
}


@pytest.mark.parametrize("name", BAD_PUBLIC)
def test_a_public_key_that_cannot_be_used_is_one_coded_error(tmp_path: Path, name: str):
    (tmp_path / "key.pub.pem").write_bytes(BAD_PUBLIC[name])
    with pytest.raises(InputError) as caught:
        PublicKey.read(tmp_path / "key.pub.pem")
    assert (caught.value.code, caught.value.exit_code) == ("unusable-key", 3)


# All encodings of points of small order, of which the last two are not canonical.
# libsodium, crypto_core/ed25519/ref10/ed25519_ref10.c, ge25519_has_small_order.
SMALL_ORDER = (
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
)


@pytest.mark.parametrize("sign", [0, 0x80], ids=["even", "odd"])
@pytest.mark.parametrize("encoded", SMALL_ORDER)
def test_a_key_under_which_anything_verifies_is_refused(encoded: str, sign: int):
    raw = bytearray.fromhex(encoded)
    raw[31] |= sign
    weak = ed25519.Ed25519PublicKey.from_public_bytes(bytes(raw))
    with pytest.raises(InputError) as caught:
        PublicKey.parse(public_pem(weak), where="x")
    assert caught.value.code == "unusable-key"


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir], ids=["fifo", "folder"])
def test_what_is_no_file_is_a_coded_error(tmp_path: Path, make: object):
    make(tmp_path / "key.pem")  # type: ignore[operator]
    for read in (KeyFile.open, PublicKey.read):
        with pytest.raises(InputError) as caught:
            read(tmp_path / "key.pem")  # type: ignore[operator]
        assert caught.value.code == "no-key"


def test_a_signature_of_another_kind_does_not_hold(tmp_path: Path):
    signers = []
    for key_type in KEY_TYPES:
        write_key_pair(tmp_path / f"{key_type}.pem", key_type=key_type)
        signers.append(open_signer(str(tmp_path / f"{key_type}.pem")))
    for signer, other in (signers, signers[::-1]):
        with pytest.raises(SignatureError):
            other.public_key.verify(signer.sign(b"data"), b"data")


def test_an_ecdsa_signature_has_a_twin_and_is_der_only():
    key = PublicKey.parse(public_pem(P256.public_key()), where="x")
    signature = P256.sign(b"data", ec.ECDSA(ec.hashes.SHA256()))
    r, s = decode_dss_signature(signature)
    key.verify(encode_dss_signature(r, P256_ORDER - s), b"data")
    for wrong in (r.to_bytes(32, "big") + s.to_bytes(32, "big"), signature + b"\x00", encode_dss_signature(0, 0)):
        with pytest.raises(SignatureError):
            key.verify(wrong, b"data")


def test_openssl_verifies_what_is_signed(tmp_path: Path, key_type: KeyType):
    write_key_pair(tmp_path / "key.pem", key_type=key_type)
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "sig").write_bytes(open_signer(str(tmp_path / "key.pem")).sign(b"data"))
    key, data, signature = (str(tmp_path / name) for name in ("key.pub.pem", "data", "sig"))
    if key_type == "p256":
        printed = openssl("dgst", "-sha256", "-verify", key, "-signature", signature, data)
    else:
        printed = openssl("pkeyutl", "-verify", "-pubin", "-inkey", key, "-rawin", "-in", data, "-sigfile", signature)
    assert printed in {"Verified OK\n", "Signature Verified Successfully\n"}


@pytest.mark.parametrize(
    ("curve", "kind", "digest"),
    [(ec.SECP256R1(), "p256", "sha256"), (ec.SECP384R1(), "p384", "sha384"), (ec.SECP521R1(), "p521", "sha512")],
    ids=lambda one: getattr(one, "name", one),
)
def test_signatures_of_larger_curves_are_checked_with_their_own_digest(curve: ec.EllipticCurve, kind: str, digest: str):
    key = ec.generate_private_key(curve)
    public = PublicKey.parse(public_pem(key.public_key()), where="x")
    assert public.type == kind
    for name in ("sha256", "sha384", "sha512"):
        signature = key.sign(b"data", ec.ECDSA(getattr(hashes, name.upper())()))
        digests = {one: hashlib.new(one, b"data").hexdigest() for one in ("sha256", "sha384", "sha512")}
        with nullcontext() if name == digest else pytest.raises(SignatureError):
            public.verify(signature, b"data")
        with nullcontext() if name == digest else pytest.raises(SignatureError):
            public.verify_digest(signature, digests)


def test_ed25519_signs_no_digest():
    key = ed25519.Ed25519PrivateKey.generate()
    public = PublicKey.parse(public_pem(key.public_key()), where="x")
    digest = hashlib.sha512(b"data")
    with pytest.raises(SignatureError):
        public.verify_digest(key.sign(digest.digest()), {"sha512": digest.hexdigest()})
