"""A time-stamp authority (RFC 3161): what it signs is made by the ``openssl`` program."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Lock
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sigstore_loopback.certificates import Authority

_CONFIGURATION = """\
[tsa]
default_tsa = loopback
[loopback]
serial = serial
signer_cert = certificate.pem
signer_key = key.pem
signer_digest = sha256
default_policy = 1.3.6.1.4.1.57264.2
digests = sha256, sha384, sha512
accuracy = secs:1
ordering = yes
tsa_name = no
ess_cert_id_chain = no
ess_cert_id_alg = sha256
"""


@dataclass(frozen=True, kw_only=True)
class TimeStampAuthority:
    """An authority whose files lie in a folder."""

    folder: Path
    chain: tuple[x509.Certificate, ...]
    _lock: Any = field(default_factory=Lock)

    @classmethod
    def make(cls, folder: Path, *, since: datetime) -> TimeStampAuthority:
        """An authority with a root of its own."""
        root = Authority.make("loopback time-stamp root", since=since)
        key, certificate = root.issue_for_time_stamping(since=since)
        folder.mkdir(parents=True, exist_ok=True)
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (folder / "key.pem").write_bytes(private)
        (folder / "certificate.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        (folder / "serial").write_text("01\n")
        (folder / "ts.cnf").write_text(_CONFIGURATION)
        return cls(folder=folder, chain=(certificate, *root.chain))

    @property
    def chain_pem(self) -> bytes:
        """Its certificate and its root's, as one file of PEM."""
        return b"".join(one.public_bytes(Encoding.PEM) for one in self.chain)

    def stamp(self, query: bytes) -> bytes:
        """Answer to a ``TimeStampReq``."""
        command = ["openssl", "ts", "-reply", "-config", "ts.cnf", "-queryfile", "query.tsq", "-out", "reply.tsr"]
        with self._lock:
            (self.folder / "query.tsq").write_bytes(query)
            subprocess.run(command, cwd=self.folder, check=True, capture_output=True)
            return (self.folder / "reply.tsr").read_bytes()
