"""Unmodified clients sign with the loopback Sigstore and verify what it signed."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import requests
from sigstore_loopback.loopback import LoopbackSigstore
from sigstore_loopback.merkle import MerkleTree

sigstore = pytest.importorskip("sigstore")
from rfc3161_client import decode_timestamp_response  # noqa: E402 - behind the skip
from sigstore._internal.fulcio import ExpiredCertificate  # noqa: E402
from sigstore._internal.fulcio.client import FulcioClientError  # noqa: E402
from sigstore.dsse import Statement  # noqa: E402
from sigstore.errors import VerificationError  # noqa: E402
from sigstore.models import Bundle, ClientTrustConfig  # noqa: E402
from sigstore.oidc import IdentityToken  # noqa: E402
from sigstore.sign import SigningContext  # noqa: E402
from sigstore.verify import Verifier, policy  # noqa: E402

STATEMENT = (
    b'{"_type":"https://in-toto.io/Statement/v1","subject":[{"name":"a","digest":{"sha256":"'
    + b"0" * 64
    + b'"}}],"predicateType":"https://example.test/p","predicate":{}}'
)


@pytest.fixture(params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def loopback(request: pytest.FixtureRequest) -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving(rekor=request.param) as running:
        yield running


def signer(running: LoopbackSigstore, token: str) -> Any:
    config = ClientTrustConfig.from_json(json.dumps(running.client_trust_config()))
    return SigningContext.from_trust_config(config).signer(IdentityToken(token))


def verifier(running: LoopbackSigstore) -> Verifier:
    config = ClientTrustConfig.from_json(json.dumps(running.client_trust_config()))
    return Verifier(trusted_root=config.trusted_root)


def test_statements_and_files_are_signed_and_verified(loopback: LoopbackSigstore):
    with signer(loopback, loopback.token()) as signs:
        bundles = [signs.sign_dsse(Statement(STATEMENT)) for _ in range(3)]
        of_file = signs.sign_artifact(b"artifact")
    who = policy.Identity(identity="alice@example.test", issuer=loopback.url)
    for bundle in bundles:
        again = Bundle.from_json(bundle.to_json())
        assert verifier(loopback).verify_dsse(again, who) == ("application/vnd.in-toto+json", STATEMENT)
    verifier(loopback).verify_artifact(b"artifact", of_file, who)
    with pytest.raises(VerificationError):
        verifier(loopback).verify_artifact(b"another", of_file, who)
    for other in (("bob@example.test", loopback.url), ("alice@example.test", "https://example.test")):
        with pytest.raises(VerificationError):
            verifier(loopback).verify_dsse(bundles[0], policy.Identity(identity=other[0], issuer=other[1]))


def test_another_instance_is_not_trusted(loopback: LoopbackSigstore):
    with signer(loopback, loopback.token()) as signs:
        bundle = signs.sign_dsse(Statement(STATEMENT))
    with LoopbackSigstore.serving(rekor=loopback.rekor.version) as other, pytest.raises(VerificationError):
        verifier(other).verify_dsse(bundle, policy.UnsafeNoOp())


def test_a_token_of_another_issuer_gets_no_certificate(loopback: LoopbackSigstore):
    with LoopbackSigstore.serving() as other, pytest.raises(FulcioClientError), signer(loopback, other.token()):
        pass


def test_a_certificate_of_another_time_is_noticed():
    with (
        LoopbackSigstore.serving(rekor=2, certificate_delay=timedelta(minutes=-30)) as running,
        signer(running, running.token()) as signs,
        pytest.raises(ExpiredCertificate),
    ):
        signs.sign_dsse(Statement(STATEMENT))
    with LoopbackSigstore.serving(rekor=2, certificate_delay=timedelta(minutes=30)) as running:
        with signer(running, running.token()) as signs:
            bundle = signs.sign_dsse(Statement(STATEMENT))
        with pytest.raises(VerificationError):
            verifier(running).verify_dsse(bundle, policy.UnsafeNoOp())


def test_services_refuse_what_is_not_signed(loopback: LoopbackSigstore):
    for path in ("/api/v2/signingCert", f"/api/v{loopback.rekor.version}/log/entries", "/nothing"):
        assert requests.post(loopback.url + path, data=b"{}", timeout=10).status_code in {400, 401}, path
    refusal = requests.post(loopback.time_stamp_url, data=b"{}", timeout=10).content
    with pytest.raises(ValueError, match="Missing SignedData"):
        decode_timestamp_response(refusal).tst_info  # noqa: B018 - a refusal holds no token
    found = requests.get(f"{loopback.url}/.well-known/openid-configuration", timeout=10).json()
    assert found["issuer"] == loopback.url


def test_openssl_verifies_a_time_stamp(tmp_path: Path):
    (tmp_path / "data").write_bytes(b"data")
    subprocess.run(
        ["openssl", "ts", "-query", "-data", "data", "-sha256", "-cert", "-out", "query"],  # noqa: S607 - the system's
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with LoopbackSigstore.serving() as running:
        reply = requests.post(running.time_stamp_url, data=(tmp_path / "query").read_bytes(), timeout=10)
        (tmp_path / "reply").write_bytes(reply.content)
        (tmp_path / "chain.pem").write_bytes(running.authority.chain_pem)
    done = subprocess.run(
        ["openssl", "ts", "-verify", "-data", "data", "-in", "reply", "-CAfile", "chain.pem"],  # noqa: S607
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert "Verification: OK" in done.stdout + done.stderr


@pytest.mark.parametrize("count", range(1, 18))
def test_every_leaf_has_a_path_to_the_root(count: int):
    tree = MerkleTree()
    for number in range(count):
        tree.append(b"%d" % number)
    for index in range(count):
        node, place, last = tree.leaves[index], index, count - 1
        for other in tree.path(index):
            if place % 2 or place == last:
                node = sha256(b"\1" + other + node).digest()
                while not place % 2 and place:
                    place, last = place >> 1, last >> 1
            else:
                node = sha256(b"\1" + node + other).digest()
            place, last = place >> 1, last >> 1
        assert node == tree.root()
