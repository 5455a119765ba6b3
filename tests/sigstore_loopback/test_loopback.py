"""Unmodified clients sign with the loopback Sigstore and verify what it signed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import requests
from sigstore_loopback.loopback import LoopbackSigstore

sigstore = pytest.importorskip("sigstore")
from sigstore._internal.fulcio import ExpiredCertificate  # noqa: E402 - behind the skip
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


@pytest.mark.parametrize(
    "claims", [{"exp": 1}, {"aud": "another"}, {"iss": "https://issuer.test"}], ids=lambda claims: next(iter(claims))
)
def test_a_token_that_does_not_hold_gets_no_certificate(claims: dict[str, Any]):
    with LoopbackSigstore.serving() as running:
        refused, bearer = running.token(**claims), {"Authorization": f"Bearer {running.token(**claims)}"}
        answer = requests.post(f"{running.url}/api/v2/signingCert", data=b"{}", headers=bearer, timeout=10)
    assert answer.status_code == 401
    assert refused not in answer.text


def test_services_refuse_what_is_not_signed(loopback: LoopbackSigstore):
    for path in ("/api/v2/signingCert", f"/api/v{loopback.rekor.version}/log/entries", "/nothing"):
        assert requests.post(loopback.url + path, data=b"{}", timeout=10).status_code in {400, 401}, path
    assert requests.get(f"{loopback.url}/nothing", timeout=10).status_code == 404


def test_the_issuer_of_tokens_says_where_it_is(loopback: LoopbackSigstore):
    found = requests.get(f"{loopback.url}/.well-known/openid-configuration", timeout=10).json()
    assert found["issuer"] == loopback.url
    assert loopback.asked[-1] == "/.well-known/openid-configuration"
