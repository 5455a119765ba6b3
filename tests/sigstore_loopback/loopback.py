"""The whole Sigstore: one web server for all services, what clients must trust, and tokens for anybody."""

from __future__ import annotations

import json
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal

import jwt
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding
from sigstore_loopback.authority import TimeStampAuthority
from sigstore_loopback.certificates import LIFETIME, Authority, public_der
from sigstore_loopback.fulcio import Fulcio
from sigstore_loopback.rekor import RekorV1, RekorV2

_FAULTS = (InvalidSignature, subprocess.CalledProcessError, ValueError, KeyError, TypeError)


def _certificates(chain: Iterable[x509.Certificate]) -> dict[str, Any]:
    return {"certificates": [{"rawBytes": _text(one.public_bytes(Encoding.DER))} for one in chain]}


def _text(data: bytes) -> str:
    return b64encode(data).decode()


@dataclass(kw_only=True)
class LoopbackSigstore:
    """All services and their keys; ``asked`` lists the paths that clients asked for."""

    rekor: RekorV1 | RekorV2
    fulcio: Fulcio
    authority: TimeStampAuthority
    since: datetime
    url: str = ""
    asked: list[str] = field(default_factory=list)
    token_key: EllipticCurvePrivateKey = field(default_factory=lambda: generate_private_key(SECP256R1()))

    @classmethod
    @contextmanager
    def serving(
        cls,
        *,
        rekor: Literal[1, 2] = 1,
        certificate_delay: timedelta = timedelta(),
        lifetimes: Sequence[timedelta] = (LIFETIME, LIFETIME),
    ) -> Iterator[Any]:
        """An instance that answers until the block ends.

        ``lifetimes`` are those of the root and of the authority below it, which begin an hour ago.
        """
        since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
        above = Authority.make("loopback root", since=since, lifetime=lifetimes[0])
        signing = Authority.make("loopback intermediate", since=since, above=above, lifetime=lifetimes[1])
        with tempfile.TemporaryDirectory() as folder:
            sigstore = cls(
                rekor=RekorV1() if rekor == 1 else RekorV2(),
                fulcio=Fulcio(authority=signing, delay=certificate_delay),
                authority=TimeStampAuthority.make(Path(folder), since=since),
                since=since,
            )
            handler = type("Bound", (_Handler,), {"sigstore": sigstore})
            with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
                sigstore.url = f"http://127.0.0.1:{server.server_port}"
                thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
                thread.start()
                try:
                    yield sigstore
                finally:
                    server.shutdown()
                    thread.join()

    @property
    def time_stamp_url(self) -> str:
        return f"{self.url}/api/v1/timestamp"

    def answer(self, path: str, body: bytes, authorization: str) -> bytes:
        """Answer to a POST; KeyError where nothing is there."""
        now = datetime.now(UTC)
        if path == "/api/v1/timestamp":
            return self.authority.stamp(body)
        if path == f"/api/v{self.rekor.version}/log/entries":
            return json.dumps(self.rekor.log(body, now)).encode()
        if path == "/api/v2/signingCert":
            return json.dumps(self.fulcio.issue(body, self.claims(authorization), now)).encode()
        raise KeyError(path)

    def claims(self, authorization: str) -> dict[str, Any]:
        """What a token says, checked as Fulcio checks it."""
        token = authorization.removeprefix("Bearer ")
        claims: dict[str, Any] = jwt.decode(
            token, self.token_key.public_key(), algorithms=["ES256"], audience="sigstore", issuer=self.url
        )
        return claims

    def token(self, email: str = "alice@example.test", **other: Any) -> str:
        """A token for an address of mail."""
        now = int(datetime.now(UTC).timestamp())
        claims = {"iss": self.url, "aud": "sigstore", "sub": email, "email": email, "email_verified": True}
        times = {"iat": now, "nbf": now - 5, "exp": now + 300}
        return jwt.encode({**claims, **times, **other}, self.token_key, algorithm="ES256")

    def trusted_root(self) -> dict[str, Any]:
        """What a verifier must trust."""
        period = {"start": self.since.isoformat()}
        log, certificate_log = self.rekor, self.fulcio.log

        def instance(url: str, key: bytes, details: str, log_id: bytes) -> dict[str, Any]:
            public = {"rawBytes": _text(key), "keyDetails": details, "validFor": period}
            return {"baseUrl": url, "hashAlgorithm": "SHA2_256", "publicKey": public, "logId": {"keyId": _text(log_id)}}

        def authority(chain: Iterable[x509.Certificate], name: str) -> dict[str, Any]:
            subject = {"organization": "loopback.test", "commonName": name}
            return {"subject": subject, "uri": self.url, "certChain": _certificates(chain), "validFor": period}

        key = public_der(certificate_log.key)
        return {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [instance(log.base_url, log.public_key, log.key_details, log.log_id)],
            "certificateAuthorities": [authority(self.fulcio.authority.chain, "loopback intermediate")],
            "ctlogs": [instance(self.url, key, "PKIX_ECDSA_P256_SHA_256", certificate_log.id)],
            "timestampAuthorities": [authority(self.authority.chain, "loopback time-stamp authority")],
        }

    def client_trust_config(self) -> dict[str, Any]:
        """What a signer must trust, and where its services are."""

        def service(url: str, version: int) -> list[dict[str, Any]]:
            period = {"start": self.since.isoformat()}
            return [{"url": url, "majorApiVersion": version, "validFor": period, "operator": "loopback.test"}]

        return {
            "mediaType": "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json",
            "trustedRoot": self.trusted_root(),
            "signingConfig": {
                "mediaType": "application/vnd.dev.sigstore.signingconfig.v0.2+json",
                "caUrls": service(self.url, 1),
                "oidcUrls": service(self.url, 1),
                "rekorTlogUrls": service(self.url, self.rekor.version),
                "rekorTlogConfig": {"selector": "ANY"},
                "tsaUrls": service(self.time_stamp_url, 1),
                "tsaConfig": {"selector": "ANY"},
            },
        }


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    sigstore: LoopbackSigstore

    def do_GET(self) -> None:
        self.sigstore.asked.append(self.path)
        url = self.sigstore.url
        if self.path == "/.well-known/openid-configuration":
            endpoints = {"authorization_endpoint": f"{url}/auth", "token_endpoint": f"{url}/token"}
            self._give(200, json.dumps({"issuer": url, **endpoints}).encode())
        else:
            self._give(404, b"{}")

    def do_POST(self) -> None:
        self.sigstore.asked.append(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._give(201, self.sigstore.answer(self.path, body, self.headers.get("Authorization", "")))
        except jwt.PyJWTError as error:
            self._give(401, json.dumps({"code": 401, "message": str(error)}).encode())
        except _FAULTS as error:
            self._give(400, json.dumps({"code": 400, "message": repr(error)}).encode())

    def _give(self, status: int, body: bytes) -> None:
        self.send_response(status)
        is_json = body.startswith(b"{")
        self.send_header("Content-Type", "application/json" if is_json else "application/timestamp-reply")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name that http.server gives it
        """Keep quiet."""
