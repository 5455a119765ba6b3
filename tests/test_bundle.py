from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.bundle import BUNDLE_NAME, MAX_BUNDLE, MEDIA_TYPE, Bundle, read_bundle
from attest.envelope import Envelope
from attest.errors import DocumentError, InputError
from attest.statement import PAYLOAD_TYPE

HINT = "ab" * 32
ENVELOPE = Envelope(payload=b"{}", payload_type=PAYLOAD_TYPE, signature=b"signature")
BUNDLE = Bundle(content=ENVELOPE, key_hint=HINT)


def wire() -> Any:
    return json.loads(BUNDLE.to_json())


def changed(*path: str | int, to: Any) -> bytes:
    """The bundle with one value set."""
    value = wire()
    place = value
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = to
    return json.dumps(value).encode()


def removed(*path: str) -> bytes:
    """The bundle without one value."""
    value = wire()
    place = value
    for part in path[:-1]:
        place = place[part]
    del place[path[-1]]
    return json.dumps(value).encode()


@given(st.binary(), st.binary(), st.from_regex("[0-9a-f]{64}", fullmatch=True))
def test_what_is_written_reads_back(payload: bytes, signature: bytes, hint: str):
    envelope = Envelope(payload=payload, payload_type=PAYLOAD_TYPE, signature=signature)
    bundle = Bundle(content=envelope, key_hint=hint)
    assert Bundle.from_json(bundle.to_json(), where="x") == bundle


def test_another_payload_type_is_never_written_as_ours():
    other = Bundle(content=Envelope(payload=b"{}", payload_type="text/plain", signature=b""), key_hint=HINT)
    with pytest.raises(DocumentError):
        Bundle.from_json(other.to_json(), where="x")


def test_an_indented_bundle_is_the_same_bundle():
    assert Bundle.from_json(json.dumps(wire(), indent=4).encode() + b"\n", where="x") == BUNDLE


SIGNATURE = {"keyid": "", "sig": "AAAA"}
MATERIAL = "verificationMaterial"
PUBLIC_KEY = (MATERIAL, "publicKey")
PAYLOAD = ("dsseEnvelope", "payload")
SIGNATURES = ("dsseEnvelope", "signatures")
STAMPS, TOKENS, TOKEN = "timestampVerificationData", "rfc3161Timestamps", "signedTimestamp"
INTOTO = {"kindVersion": {"kind": "intoto", "version": "0.0.2"}}


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"[]", "not-a-bundle", id="a list"),
        pytest.param(b"{}", "not-a-bundle", id="an empty object"),
        pytest.param(b"null", "not-a-bundle", id="null"),
        pytest.param(BUNDLE.to_json()[:-1], "not-json", id="cut short"),
        pytest.param(BUNDLE.to_json() + b"x", "not-json", id="trailing bytes"),
        pytest.param(b"\xef\xbb\xbf" + BUNDLE.to_json(), "not-json", id="byte order mark"),
        pytest.param(BUNDLE.to_json()[:-1] + b',"mediaType":"x"}', "duplicate-key", id="duplicate key"),
        pytest.param(BUNDLE.to_json()[:-1] + b',"x":NaN}', "not-finite", id="NaN"),
        pytest.param(
            BUNDLE.to_json()[:-1] + b',"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}", "too-deep", id="depth 10,000"
        ),
        pytest.param(b" " * (MAX_BUNDLE + 1), "document-too-large", id="huge"),
        pytest.param(changed("more", to=1), "not-of-schema", id="unknown field"),
        pytest.param(changed(*PUBLIC_KEY, "more", to=1), "not-of-schema", id="unknown field beside the hint"),
        pytest.param(changed(*SIGNATURES, 0, "more", to=1), "not-of-schema", id="unknown field in the signature"),
        pytest.param(changed("mediaType", to=MEDIA_TYPE + " "), "not-of-schema", id="media type with a space"),
        pytest.param(changed("mediaType", to=MEDIA_TYPE.replace("0.3", "0.2")), "not-of-schema", id="bundle v0.2"),
        pytest.param(changed(*PUBLIC_KEY, "hint", to=HINT.upper()), "not-of-schema", id="upper-case hint"),
        pytest.param(changed(*PUBLIC_KEY, "hint", to=HINT[1:]), "not-of-schema", id="short hint"),
        pytest.param(changed(*PUBLIC_KEY, "hint", to=HINT + "\n"), "not-of-schema", id="newline behind the hint"),
        pytest.param(changed("dsseEnvelope", "payloadType", to="text/plain"), "not-of-schema", id="payload type"),
        pytest.param(changed(*PAYLOAD, to="e30"), "not-base64", id="payload without padding"),
        pytest.param(changed(*PAYLOAD, to="e31="), "not-base64", id="payload with unused bits set"),
        pytest.param(changed(*PAYLOAD, to="e30=\n"), "not-base64", id="payload with a newline"),
        pytest.param(changed(*PAYLOAD, to=["e30="]), "not-of-schema", id="payload in a list"),
        pytest.param(changed(*SIGNATURES, 0, "sig", to="A"), "not-base64", id="signature that is not base64"),
        pytest.param(changed(*SIGNATURES, 0, "keyid", to="x"), "not-of-schema", id="a key id"),
        pytest.param(changed(*SIGNATURES, to=[]), "signature-count", id="no signature"),
        pytest.param(changed(*SIGNATURES, to=[SIGNATURE] * 2), "signature-count", id="two signatures"),
        pytest.param(changed(MATERIAL, "tlogEntries", to=[1]), "not-of-schema", id="log entry that is none"),
        pytest.param(changed(MATERIAL, "tlogEntries", to=[{}] * 33), "not-of-schema", id="33 log entries"),
        pytest.param(changed(MATERIAL, "tlogEntries", to=[INTOTO]), "unsupported-bundle", id="log entry, intoto"),
        pytest.param(changed(MATERIAL, "certificate", to={}), "unsupported-bundle", id="certificate and key"),
        pytest.param(changed(MATERIAL, "x509CertificateChain", to={}), "unsupported-bundle", id="chain and key"),
        pytest.param(changed(MATERIAL, STAMPS, to={"x": 1}), "not-of-schema", id="unknown kind of time stamp"),
        pytest.param(changed(MATERIAL, STAMPS, to={TOKENS: [{TOKEN: "A"}]}), "not-base64", id="time stamp, not base64"),
        pytest.param(changed(MATERIAL, STAMPS, to={TOKENS: [{TOKEN: ""}] * 33}), "not-of-schema", id="33 time stamps"),
        pytest.param(changed("messageSignature", to={}), "unsupported-bundle", id="statement and file"),
        pytest.param(removed(MATERIAL), "not-of-schema", id="no verification material"),
        pytest.param(removed(MATERIAL, "publicKey"), "unsupported-bundle", id="no public key"),
        pytest.param(removed(MATERIAL, "tlogEntries"), "not-of-schema", id="no list of log entries"),
        pytest.param(removed("dsseEnvelope"), "not-a-bundle", id="no envelope"),
        pytest.param(removed(*SIGNATURES), "not-of-schema", id="no list of signatures"),
    ],
)
def test_is_refused(data: bytes, code: str):
    with pytest.raises(DocumentError) as caught:
        Bundle.from_json(data, where="x")
    assert caught.value.code == code


@given(st.binary() | st.text(alphabet='{}[]",:mediaType0').map(str.encode))
def test_random_bytes_raise_nothing_but_document_errors(data: bytes):
    with pytest.raises(DocumentError):
        Bundle.from_json(data, where="x")


@given(st.dictionaries(st.sampled_from(sorted(wire())), st.none() | st.integers() | st.lists(st.none()) | st.text()))
def test_values_of_any_type_raise_nothing_but_document_errors(values: dict[str, Any]):
    with pytest.raises(DocumentError):
        Bundle.from_json(json.dumps(wire() | {"mediaType": 1} | values).encode(), where="x")


def test_a_bundle_is_read_from_its_file_and_its_directory(tmp_path: Path):
    (tmp_path / BUNDLE_NAME).write_bytes(BUNDLE.to_json())
    (tmp_path / "link.json").symlink_to(tmp_path / BUNDLE_NAME)
    for path in (tmp_path, tmp_path / BUNDLE_NAME, tmp_path / "link.json"):
        assert read_bundle(path) == (BUNDLE, BUNDLE.to_json())


def test_a_file_over_the_limit_is_not_read_whole(tmp_path: Path):
    file = tmp_path / BUNDLE_NAME
    with file.open("wb") as stream:
        stream.truncate(2**40)
    with pytest.raises(DocumentError) as caught:
        read_bundle(file)
    assert caught.value.code == "document-too-large"


def missing(path: Path) -> None:
    """Put nothing there."""


def folder(path: Path) -> None:
    path.mkdir()


def fifo(path: Path) -> None:
    os.mkfifo(path)


def loop(path: Path) -> None:
    path.symlink_to(path)


def link_out(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [missing, folder, fifo, loop, link_out], ids=lambda make: make.__name__)
def test_what_is_no_file_is_a_coded_error(tmp_path: Path, make: Any):
    make(tmp_path / BUNDLE_NAME)
    for path in (tmp_path, tmp_path / BUNDLE_NAME):
        with pytest.raises(InputError) as caught:
            read_bundle(path)
        assert (caught.value.code, caught.value.exit_code) == ("no-bundle", 3)


def test_a_name_that_no_file_can_have_is_a_coded_error():
    with pytest.raises(InputError) as caught:
        read_bundle(Path("a" * 5000))
    assert caught.value.code == "no-bundle"
