from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attest.digest import sha256
from attest.document import canonical
from attest.errors import DocumentError
from attest.statement import MAX_STATEMENT, STATEMENT_TYPE, DigestSet, Statement, Subject

DIGEST = sha256(b"")


def wire(**changes: Any) -> dict[str, Any]:
    subject = [{"name": "a", "digest": {"sha256": DIGEST}}]
    return {"_type": STATEMENT_TYPE, "subject": subject, "predicateType": "t", "predicate": {}} | changes


def test_what_is_built_is_canonical_and_reads_back():
    subjects = (Subject(name="é", digest=DigestSet(sha256=DIGEST)),)
    built = Statement.build(subjects=subjects, predicate_type="https://x/v1", predicate={"b": 1, "a": [None]})
    assert built == Statement.parse(built.payload, where="x")
    assert built.payload == canonical(json.loads(built.payload))
    assert (built.subjects, built.predicate) == (subjects, {"b": 1, "a": [None]})
    assert built.digest == sha256(built.payload)


def test_the_bytes_are_kept_as_they_were_given():
    payload = json.dumps(wire(), indent=3).encode() + b"\n"
    assert Statement.parse(payload, where="x").payload == payload


def subject(name: Any = "a", **digests: Any) -> list[dict[str, Any]]:
    return [{"name": name, "digest": digests}]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param([], id="a list"),
        pytest.param({}, id="empty"),
        pytest.param(wire(_type="https://in-toto.io/Statement/v0.1"), id="an older type"),
        pytest.param(wire(more=1), id="an unknown field"),
        pytest.param({key: value for key, value in wire().items() if key != "predicate"}, id="no predicate"),
        pytest.param(wire(predicate=[]), id="predicate is a list"),
        pytest.param(wire(predicateType=None), id="predicateType is null"),
        pytest.param(wire(subject=[]), id="no subject"),
        pytest.param(wire(subject={}), id="subject is an object"),
        pytest.param(wire(subject=subject(sha512="0" * 128)), id="no sha256"),
        pytest.param(wire(subject=subject(sha256=DIGEST, blake3=DIGEST)), id="a second digest"),
        pytest.param(wire(subject=subject(sha256=DIGEST.upper())), id="upper-case digest"),
        pytest.param(wire(subject=subject(sha256=DIGEST[1:])), id="short digest"),
        pytest.param(wire(subject=subject(sha256=DIGEST + "\n")), id="newline behind the digest"),
        pytest.param(wire(subject=subject(sha256=None)), id="null digest"),
        pytest.param(wire(subject=subject(name=None, sha256=DIGEST)), id="null name"),
        pytest.param(wire(subject=[{"digest": {"sha256": DIGEST}}]), id="no name"),
    ],
)
def test_is_refused(value: Any):
    with pytest.raises(DocumentError) as caught:
        Statement.parse(canonical(value), where="x")
    assert caught.value.code in {"not-a-statement", "not-of-schema"}


def test_a_statement_over_the_limit_is_refused():
    payload = canonical(wire(predicate={"a": "b" * MAX_STATEMENT}))
    with pytest.raises(DocumentError) as caught:
        Statement.parse(payload, where="x")
    assert caught.value.code == "document-too-large"


@given(st.binary())
def test_random_bytes_raise_nothing_else(payload: bytes):
    with pytest.raises(DocumentError):
        Statement.parse(payload, where="x")
