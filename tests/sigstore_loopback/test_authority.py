"""The loopback time-stamp authority, as ``openssl ts`` and a client see it."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509 import ExtendedKeyUsage
from cryptography.x509.oid import ExtendedKeyUsageOID
from rfc3161_client import decode_timestamp_response
from sigstore_loopback.authority import TimeStampAuthority


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> TimeStampAuthority:
    since = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    return TimeStampAuthority.make(tmp_path_factory.mktemp("authority"), since=since)


def openssl(folder: Path, *arguments: str) -> str:
    command = ["openssl", "ts", *arguments]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_openssl_verifies_a_time_stamp_over_these_bytes_only(authority: TimeStampAuthority, tmp_path: Path):
    (tmp_path / "data").write_bytes(b"data")
    (tmp_path / "other").write_bytes(b"other")
    openssl(tmp_path, "-query", "-data", "data", "-sha256", "-cert", "-out", "query")
    (tmp_path / "reply").write_bytes(authority.stamp((tmp_path / "query").read_bytes()))
    (tmp_path / "chain.pem").write_bytes(authority.chain_pem)
    verify = ("-verify", "-in", "reply", "-CAfile", "chain.pem", "-data")
    assert "Verification: OK" in openssl(tmp_path, *verify, "data")
    assert "Verification: FAILED" in openssl(tmp_path, *verify, "other")
    time = decode_timestamp_response((tmp_path / "reply").read_bytes()).tst_info.gen_time
    assert abs(time - datetime.now(UTC)) < timedelta(minutes=5)


def test_what_is_no_query_gets_a_refusal_without_a_token(authority: TimeStampAuthority):
    refusal = decode_timestamp_response(authority.stamp(b"{}"))
    assert refusal.status != 0
    with pytest.raises(ValueError, match="Missing SignedData"):
        refusal.tst_info  # noqa: B018 - raises


def test_its_certificate_is_for_time_stamps_only(authority: TimeStampAuthority):
    usage = authority.chain[0].extensions.get_extension_for_class(ExtendedKeyUsage)
    assert (usage.critical, list(usage.value)) == (True, [ExtendedKeyUsageOID.TIME_STAMPING])
    authority.chain[0].verify_directly_issued_by(authority.chain[-1])
