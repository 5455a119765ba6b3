"""Time stamps over signatures, and their renewals, by authorities on loopback."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from servers.web import Handler, Web
from sigstore_loopback.loopback import LoopbackSigstore
from tiny_evidence import TinyEvidence
from verifying import check, failed, step

from attest.bundle import Bundle, read_bundle
from attest.cli import main
from attest.errors import InputError, NetworkError, SignatureError
from attest.renewal import covered_by_renewal, read_renewals, renewals_path
from attest.signer import KeyType
from attest.timestamp import check_time_stamp, request_time_stamp
from attest.trust import TrustedAuthority, TrustedRoot, read_time_authority
from attest.verify import Trust, Verification


def attest(*arguments: Any) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def loopback() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving() as running:
        yield running


@pytest.fixture(scope="module")
def other() -> Iterator[LoopbackSigstore]:
    with LoopbackSigstore.serving() as running:
        yield running


@pytest.fixture
def authority(loopback: LoopbackSigstore, tmp_path: Path) -> Path:
    path = tmp_path / "tsa.pem"
    path.write_bytes(loopback.authority.chain_pem)
    return path


@pytest.fixture
def stamped(tiny: TinyEvidence, loopback: LoopbackSigstore) -> TinyEvidence:
    """Tiny evidence, signed with a key and stamped."""
    done = attest("sign", tiny.directory, "--key", tiny.key(), "--tsa", loopback.time_stamp_url, "--force")
    assert done.exit_code == 0, done.stderr
    assert "Time stamps: 1" in done.stdout
    return tiny


def trusting(*authorities: Path) -> Trust:
    return Trust(authorities=tuple(read_time_authority(path) for path in authorities))


def rewrite(tiny: TinyEvidence, **changes: Any) -> Bundle:
    bundle, _ = read_bundle(tiny.bundle)
    tiny.bundle.write_bytes(replace(bundle, **changes).to_json())
    return bundle


def times(result: Verification) -> list[datetime]:
    return [one.time for one in result.times]


# Key mode.


def test_a_time_stamp_is_verified_for_each_kind_of_key(
    tiny: TinyEvidence, key_type: KeyType, loopback: LoopbackSigstore, authority: Path
):
    arguments = ["--key", tiny.key(key_type), "--tsa", loopback.time_stamp_url, "--tsa", loopback.time_stamp_url]
    begin = datetime.now(UTC) - timedelta(seconds=2)
    assert attest("sign", tiny.directory, *arguments, "--force").exit_code == 0
    result = check(tiny, expectation=tiny.expectation(key_type), trust=trusting(authority))
    assert (failed(result), result.time, result.exit_code) == ([], "PASSED", 0)
    assert len(times(result)) == 2
    assert all(begin <= time <= datetime.now(UTC) + timedelta(seconds=1) for time in times(result))
    assert "time-stamp authority" in step(result, "time").message


def test_a_root_alone_or_a_trusted_root_vouches_too(
    stamped: TinyEvidence, loopback: LoopbackSigstore, tmp_path: Path, authority: Path
):
    root = tmp_path / "root.pem"
    pems = authority.read_bytes().split(b"-----END CERTIFICATE-----\n")
    root.write_bytes(pems[1] + b"-----END CERTIFICATE-----\n")
    trusted = TrustedRoot.parse(json.dumps(loopback.trusted_root()).encode(), source="test")
    for trust in (trusting(root), Trust(root=trusted)):
        assert check(stamped, trust=trust).time == "PASSED"


def test_nobody_is_trusted_unasked(stamped: TinyEvidence):
    result = check(stamped)
    assert (result.time, result.exit_code, times(result)) == ("SKIPPED", 0, [])
    assert "--tsa-certificate" in step(result, "time").message


def test_another_authority_does_not_vouch(stamped: TinyEvidence, other: LoopbackSigstore, tmp_path: Path):
    (tmp_path / "other.pem").write_bytes(other.authority.chain_pem)
    result = check(stamped, trust=trusting(tmp_path / "other.pem"))
    assert (failed(result), result.exit_code) == (["time"], 1)
    assert "loopback time-stamp authority" in step(result, "time").problems[0]


def test_a_root_that_the_reader_gives_makes_no_time_stamp_a_must(stamped: TinyEvidence, other: LoopbackSigstore):
    root = TrustedRoot.parse(json.dumps(other.trusted_root()).encode(), source="test")
    assert check(stamped, trust=Trust(root=root)).exit_code == 0


def test_two_time_stamps_and_a_reader_who_knows_one_authority(
    stamped: TinyEvidence, other: LoopbackSigstore, authority: Path
):
    bundle, _ = read_bundle(stamped.bundle)
    second = request_time_stamp(bundle.content.signature, other.time_stamp_url)
    rewrite(stamped, timestamps=(*bundle.timestamps, second))
    result = check(stamped, trust=trusting(authority))
    assert (result.time, result.exit_code, len(times(result))) == ("PASSED", 0, 1)
    assert "1 more time stamps are of authorities that you did not name" in step(result, "time").message


def test_one_of_several_authorities_is_enough(
    stamped: TinyEvidence, other: LoopbackSigstore, authority: Path, tmp_path: Path
):
    (tmp_path / "other.pem").write_bytes(other.authority.chain_pem)
    assert check(stamped, trust=trusting(tmp_path / "other.pem", authority)).time == "PASSED"


def test_a_stripped_time_stamp_is_noticed_where_one_was_asked_for(stamped: TinyEvidence, authority: Path):
    rewrite(stamped, timestamps=())
    result = check(stamped, trust=trusting(authority))
    assert (failed(result), result.exit_code) == (["time"], 1)
    assert check(stamped).exit_code == 0


def test_a_time_stamp_of_another_signature_is_noticed(
    stamped: TinyEvidence, loopback: LoopbackSigstore, authority: Path
):
    rewrite(stamped, timestamps=(request_time_stamp(b"another signature", loopback.time_stamp_url),))
    result = check(stamped, trust=trusting(authority))
    assert failed(result) == ["time"]
    assert "about other bytes" in step(result, "time").problems[0]


def test_no_byte_of_a_time_stamp_can_be_altered(stamped: TinyEvidence, authority: Path):
    bundle, _ = read_bundle(stamped.bundle)
    (token,), signature = bundle.timestamps, bundle.content.signature
    authorities = [read_time_authority(authority)]
    good = check_time_stamp(token, signature, authorities)
    algorithm = token.rindex(bytes.fromhex("2a8648ce3d040302"))  # ecdsa-with-SHA256: the certificate's key decides
    versions = {token.index(b"\x02\x01\x03") + 2, token.rindex(b"\x02\x01\x01\x30") + 2}  # of SignedData, SignerInfo
    unsigned = versions | set(range(algorithm, algorithm + 8))  # RFC 5652, section 5.4: what a signature covers
    for place in sorted(set(range(len(token))) - unsigned):
        altered = token[:place] + bytes([token[place] ^ 1 << place % 8]) + token[place + 1 :]
        with pytest.raises(SignatureError):
            check_time_stamp(altered, signature, authorities)
    for place in unsigned:
        altered = token[:place] + bytes([token[place] ^ 0x40]) + token[place + 1 :]
        assert check_time_stamp(altered, signature, authorities) == good


def test_a_doubled_time_stamp_is_refused(stamped: TinyEvidence, authority: Path):
    bundle, _ = read_bundle(stamped.bundle)
    rewrite(stamped, timestamps=bundle.timestamps * 2)
    assert failed(check(stamped, trust=trusting(authority))) == ["time"]


@pytest.mark.parametrize("token", [b"", b"x", bytes(100), b"\x30\x00", b"\x30\x80" + bytes(50)])
def test_garbage_is_a_failed_step_and_never_a_traceback(stamped: TinyEvidence, authority: Path, token: bytes):
    rewrite(stamped, timestamps=(token,))
    result = check(stamped, trust=trusting(authority))
    assert (failed(result), result.exit_code) == (["time"], 1)


@pytest.mark.parametrize(("begin", "end"), [(1, None), (None, -1)])
def test_an_authority_is_trusted_only_for_its_time(
    stamped: TinyEvidence, authority: Path, begin: int | None, end: int | None
):
    now = datetime.now(UTC)
    hours = {"begin": begin, "end": end}
    period = {name: now + timedelta(hours=one) for name, one in hours.items() if one is not None}
    trusted = replace(read_time_authority(authority), **period)
    result = check(stamped, trust=Trust(authorities=(trusted,)))
    assert failed(result) == ["time"]
    assert "is not trusted at" in step(result, "time").problems[0]


def test_the_end_of_an_authoritys_time_is_inclusive(authority: Path):
    now = datetime.now(UTC)
    certificates = read_time_authority(authority).certificates
    assert TrustedAuthority(certificates=certificates, begin=now, end=now).is_trusted_at(now)


def test_openssl_verifies_our_time_stamp_of_the_signature(stamped: TinyEvidence, authority: Path, tmp_path: Path):
    bundle, _ = read_bundle(stamped.bundle)
    (tmp_path / "signature.bin").write_bytes(bundle.content.signature)
    (tmp_path / "stamp.tsr").write_bytes(bundle.timestamps[0])
    command = ["openssl", "ts", "-verify", "-data", "signature.bin", "-in", "stamp.tsr", "-CAfile", str(authority)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Verification: OK" in done.stdout + done.stderr


# Asking.


def test_an_authority_that_fails_leaves_everything_as_it_was(tiny: TinyEvidence):
    good = tiny.bundle.read_bytes()
    done = attest("sign", tiny.directory, "--key", tiny.key(), "--tsa", "http://127.0.0.1:9/tsa", "--force")
    assert (done.exit_code, done.stderr.split(":")[0]) == (3, "error[no-answer]")
    assert tiny.bundle.read_bytes() == good


def test_an_answer_about_something_else_is_refused(loopback: LoopbackSigstore):
    answer = LoopbackSigstore.answer
    replayed = request_time_stamp(b"data", loopback.time_stamp_url)
    try:
        for given in (replayed, b"", b"garbage", replayed[:-5]):
            LoopbackSigstore.answer = lambda *_, given=given: given  # type: ignore[method-assign, misc]
            with pytest.raises(NetworkError) as caught:
                request_time_stamp(b"data", loopback.time_stamp_url)
            assert caught.value.code == "bad-answer"
    finally:
        LoopbackSigstore.answer = answer  # type: ignore[method-assign]


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/", "tsa", ""])
def test_only_web_addresses_are_asked(url: str):
    with pytest.raises(InputError) as caught:
        request_time_stamp(b"data", url)
    assert caught.value.code == "bad-address"


def test_a_server_without_an_authority_is_a_coded_error(web: Web):
    web.always = Handler.give
    with pytest.raises(NetworkError) as caught:
        request_time_stamp(b"data", f"{web.url}/tsa")
    assert caught.value.code == "no-answer"


@pytest.mark.parametrize("data", [b"", b"garbage", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_a_file_without_certificates_is_a_coded_error(tmp_path: Path, data: bytes):
    (tmp_path / "tsa.pem").write_bytes(data)
    with pytest.raises(InputError) as caught:
        read_time_authority(tmp_path / "tsa.pem")
    assert caught.value.code == "no-certificate"
    with pytest.raises(InputError) as caught:
        read_time_authority(tmp_path / "missing.pem")
    assert caught.value.code == "no-trust-file"


# Renewals.


@pytest.fixture
def renewed(stamped: TinyEvidence, loopback: LoopbackSigstore) -> TinyEvidence:
    for count in (1, 2):
        done = attest("timestamp", "renew", stamped.directory, "--tsa", loopback.time_stamp_url)
        assert (done.exit_code, done.stderr) == (0, "")
        assert f"{count} renewals" in done.stdout
    return stamped


def test_renewals_are_verified_and_counted(renewed: TinyEvidence, authority: Path):
    result = check(renewed, trust=trusting(authority))
    assert (failed(result), result.exit_code) == ([], 0)
    assert "Renewed 2 times" in step(result, "time").message
    assert len(step(result, "time").details["renewedAt"]) == 2


def test_a_renewal_covers_the_bundle_and_every_renewal_before(renewed: TinyEvidence, authority: Path):
    path, good = renewals_path(renewed.bundle), renewals_path(renewed.bundle).read_bytes()
    stamps = json.loads(good)["timeStamps"]
    for altered in (stamps[1:], stamps[::-1], [*stamps, stamps[0]], ["AAAA"]):
        path.write_text(json.dumps({"schemaVersion": 1, "timeStamps": altered}))
        assert failed(check(renewed, trust=trusting(authority))) == ["time"]
    path.write_bytes(good)
    indented = json.dumps(json.loads(renewed.bundle.read_bytes()), indent=1)
    renewed.bundle.write_text(indented)  # the same bundle in other bytes: the signature holds, the renewals do not
    assert failed(check(renewed, trust=trusting(authority))) == ["time"]


def test_openssl_verifies_a_renewal(renewed: TinyEvidence, authority: Path, tmp_path: Path):
    first, second = read_renewals(renewed.bundle)
    (tmp_path / "covered.bin").write_bytes(covered_by_renewal(renewed.bundle.read_bytes(), [first]))
    (tmp_path / "stamp.tsr").write_bytes(second)
    command = ["openssl", "ts", "-verify", "-data", "covered.bin", "-in", "stamp.tsr", "-CAfile", str(authority)]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    assert "Verification: OK" in done.stdout + done.stderr


def test_a_time_stamp_is_added_later_and_only_before_a_renewal(
    tiny: TinyEvidence, loopback: LoopbackSigstore, authority: Path
):
    url = loopback.time_stamp_url
    signature = read_bundle(tiny.bundle)[0].content
    assert attest("timestamp", "add", tiny.bundle, "--tsa", url).exit_code == 0
    assert read_bundle(tiny.bundle)[0].content == signature
    assert check(tiny, trust=trusting(authority)).time == "PASSED"
    assert attest("timestamp", "renew", tiny.bundle, "--tsa", url).exit_code == 0
    done = attest("timestamp", "add", tiny.bundle, "--tsa", url)
    assert (done.exit_code, done.stderr.split(":")[0]) == (3, "error[has-renewals]")


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"schemaVersion":2,"timeStamps":[]}', b'{"schemaVersion":1,"timeStamps":["A"]}']
)
def test_a_malformed_file_of_renewals_is_a_coded_error(stamped: TinyEvidence, data: bytes):
    renewals_path(stamped.bundle).write_bytes(data)
    done = attest("verify", stamped.directory, "--any-signer")
    assert done.exit_code == 3
    assert done.stderr.startswith("error[")


def test_too_many_renewals_are_refused(stamped: TinyEvidence):
    stamps = [base64.b64encode(b"x").decode()] * 257
    renewals_path(stamped.bundle).write_text(json.dumps({"schemaVersion": 1, "timeStamps": stamps}))
    assert attest("verify", stamped.directory, "--any-signer").exit_code == 3
