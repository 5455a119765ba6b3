from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from signed import sign_statement
from tiny_evidence import TinyEvidence, state

from attest.bundle import BUNDLE_NAME, read_bundle
from attest.digest import sha256
from attest.errors import AttestError, DigestMismatchError, DocumentError, InputError
from attest.evidence import Detail
from attest.evidence_directory import (
    MAX_DETAIL,
    SIGNER_KEY_NAME,
    describe_detail,
    named_details,
    read_detail,
    read_statement,
    read_unsigned_statement,
)
from attest.signer import PublicKey, open_signer
from attest.statement import MAX_STATEMENT, DigestSet, Statement, Subject

DATA = b"some detail"
DETAIL = describe_detail("detail/x.json", "application/json", DATA)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "evidence" / "detail").mkdir(parents=True)
    (tmp_path / "evidence" / "detail" / "x.json").write_bytes(DATA)
    (tmp_path / "secret.json").write_bytes(DATA)
    return tmp_path / "evidence"


def test_a_detail_is_read(directory: Path):
    assert read_detail(directory, DETAIL) == DATA


def test_a_detail_is_described():
    assert Detail(name="detail/x.json", media_type="application/json", size=11, sha256=sha256(DATA)) == DETAIL


@pytest.mark.parametrize(
    "name",
    [
        "detail/../../secret.json",
        "../secret.json",
        "detail/..",
        "detail/.",
        "detail/",
        "detail",
        "detail//x.json",
        "detail/./x.json",
        "detail/sub/x.json",
        "/detail/x.json",
        "detail\\x.json",
        "Detail/x.json",
        "detail/.hidden",
        "detail/x.json\n",
        "detail/x\x00.json",
        "detail/é.json",
        "statement.json",
        "",
    ],
)
def test_a_name_that_is_no_detail_file_is_never_opened(directory: Path, name: str):
    with pytest.raises(DocumentError) as caught:
        read_detail(directory, Detail(name=name, media_type="", size=len(DATA), sha256=sha256(DATA)))
    assert caught.value.code == "unsafe-path"


@pytest.mark.parametrize("size", [-2, -1, MAX_DETAIL + 1, 2**62])
def test_a_size_out_of_limits_is_never_read(directory: Path, size: int):
    with pytest.raises(DocumentError) as caught:
        read_detail(directory, Detail(name=DETAIL.name, media_type="", size=size, sha256=DETAIL.sha256))
    assert caught.value.code == "document-too-large"


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(DATA[:-1], id="one byte less"),
        pytest.param(DATA + b"\n", id="one byte more"),
        pytest.param(b"Some detail", id="one bit"),
    ],
)
def test_an_altered_detail_is_refused(directory: Path, data: bytes):
    (directory / DETAIL.name).write_bytes(data)
    with pytest.raises(DigestMismatchError):
        read_detail(directory, DETAIL)


def gone(directory: Path) -> None:
    (directory / DETAIL.name).unlink()


def link_to_file_outside(directory: Path) -> None:
    (directory / DETAIL.name).unlink()
    (directory / DETAIL.name).symlink_to(directory.parent / "secret.json")


def link_to_folder_outside(directory: Path) -> None:
    (directory / "detail").rename(directory.parent / "elsewhere")
    (directory / "detail").symlink_to(directory.parent / "elsewhere")


def loop_of_links(directory: Path) -> None:
    (directory / "detail").rename(directory.parent / "elsewhere")
    (directory / "detail").symlink_to("detail")


def fifo(directory: Path) -> None:
    (directory / DETAIL.name).unlink()
    os.mkfifo(directory / DETAIL.name)


def folder(directory: Path) -> None:
    (directory / DETAIL.name).unlink()
    (directory / DETAIL.name).mkdir()


@pytest.mark.parametrize(
    "spoil",
    [gone, link_to_file_outside, link_to_folder_outside, loop_of_links, fifo, folder],
    ids=lambda spoil: spoil.__name__,
)
def test_what_is_no_file_of_the_directory_is_not_read(directory: Path, spoil: Any):
    spoil(directory)
    with pytest.raises(InputError) as caught:
        read_detail(directory, DETAIL)
    assert caught.value.code == "no-detail"


def test_a_name_that_no_file_can_have_is_a_coded_error(directory: Path):
    with pytest.raises(InputError) as caught:
        read_detail(directory, Detail(name="detail/" + "a" * 5000, media_type="", size=1, sha256=DETAIL.sha256))
    assert caught.value.code == "no-detail"


def test_what_is_signed_are_the_bytes_that_lie_there(tiny: TinyEvidence):
    payload = (tiny.directory / "statement.json").read_bytes()
    bundle, data = read_bundle(tiny.directory)
    assert bundle.envelope.payload == payload
    assert data == tiny.bundle.read_bytes() == bundle.to_json()
    key = PublicKey.read(tiny.directory / SIGNER_KEY_NAME)
    key.verify(bundle.envelope.signature, bundle.envelope.signed_bytes)
    assert key.hint == bundle.key_hint


def test_the_payload_counts_where_a_bundle_lies(tiny: TinyEvidence):
    signed = read_unsigned_statement(tiny.directory)
    other = Statement.build(subjects=signed.subjects, predicate_type="other", predicate={})
    (tiny.directory / "statement.json").write_bytes(other.payload)
    assert read_statement(tiny.directory) == read_statement(tiny.bundle) == signed
    assert read_unsigned_statement(tiny.directory) == other
    tiny.bundle.unlink()
    assert read_statement(tiny.directory) == other


def test_an_earlier_signature_is_kept_without_force(tiny: TinyEvidence):
    before = {path.name: path.read_bytes() for path in tiny.directory.iterdir() if path.is_file()}
    statement, signer = read_unsigned_statement(tiny.directory), open_signer(str(tiny.key("ed25519")))
    with pytest.raises(InputError) as caught:
        sign_statement(tiny.directory, statement, signer)
    assert caught.value.code == "output-exists"
    assert before == {path.name: path.read_bytes() for path in tiny.directory.iterdir() if path.is_file()}
    tiny.bundle.unlink()
    with pytest.raises(InputError):
        sign_statement(tiny.directory, statement, signer)  # the key of the earlier signature is still there
    assert not tiny.bundle.exists()


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        pytest.param(None, "no-statement", id="missing"),
        pytest.param(b"{}", "not-a-statement", id="not a statement"),
        pytest.param(b" " * (MAX_STATEMENT + 1), "document-too-large", id="too large"),
    ],
)
def test_a_statement_that_cannot_be_read_is_a_coded_error(tmp_path: Path, payload: bytes | None, code: str):
    if payload is not None:
        (tmp_path / "statement.json").write_bytes(payload)
    with pytest.raises(AttestError) as caught:
        read_statement(tmp_path)
    assert (caught.value.code, caught.value.exit_code) == (code, 3)


def test_a_predicate_without_details_names_none(tiny: TinyEvidence):
    subject = Subject(name=".", digest=DigestSet(sha256=sha256(b"")))
    assert named_details(Statement.build(subjects=(subject,), predicate_type="t", predicate={})) == ()
    assert [detail.name for detail in named_details(state(tiny.measure()))] == sorted(tiny.details())
    with pytest.raises(DocumentError):
        named_details(Statement.build(subjects=(subject,), predicate_type="t", predicate={"details": ["x"]}))


def test_a_directory_without_a_bundle_names_the_next_step(tiny: TinyEvidence):
    (tiny.directory / BUNDLE_NAME).unlink()
    with pytest.raises(InputError, match="attest sign"):
        read_bundle(tiny.directory)
