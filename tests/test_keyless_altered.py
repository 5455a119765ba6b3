"""Byte by byte and at random: a keyless bundle that was altered is noticed, or says the very same."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from keyless_evidence import Signed, signed_evidence
from verifying import rewriting

from attest.bundle import Bundle
from attest.errors import AttestError
from attest.trust import TrustedRoot
from attest.verify import Trust, verify

STRIDE = 29
"""Every so many bytes are flipped here; ``scripts/write_trust_report.py`` flips all of them."""


@pytest.fixture(scope="module", params=[1, 2], ids=["rekor-v1", "rekor-v2"])
def signed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Signed]:
    with signed_evidence(tmp_path_factory.mktemp("altered"), request.param) as made:
        yield made


def ending(signed: Signed, data: bytes) -> int:
    """Exit code for a bundle on its own; any other exception than a coded one fails the test."""
    lone = signed.tiny.root / "lone.json"
    with rewriting(lone) as write:
        write(data)
    trust = Trust(root=TrustedRoot.read(signed.root))
    try:
        return verify(lone, expectation=signed.expectation(), trust=trust).exit_code
    except AttestError as error:
        return error.exit_code


def is_promised(data: bytes) -> bool:
    """Whether the log promised what it took up, and so vouches for its time; an authority may tell one as well."""
    return all(entry.get("inclusionPromise") for entry in Bundle.from_json(data, where="x").log_entries)


def signed_parts(data: bytes, *, promised: bool = True) -> Any:
    """What a bundle says, without the places that no signature covers and no check reads."""
    bundle = Bundle.from_json(data, where="x")
    entries = [dict(entry) for entry in bundle.log_entries]
    for entry in entries:
        if (
            "integratedTime" not in entry
        ):  # Rekor v2 signs the place in the inclusion proof alone, and no name of itself
            del entry["logIndex"], entry["logId"]
        elif not promised:
            entry |= {"inclusionPromise": None, "integratedTime": None}
        note = entry["inclusionProof"]["checkpoint"]["envelope"]
        entry["inclusionProof"]["checkpoint"]["envelope"] = note.partition("\n\n")[0]
    return bundle.content, bundle.certificate, entries


def test_a_flipped_byte_is_noticed_or_no_part_of_what_is_signed(signed: Signed):
    assert ending(signed, signed.good) == 0
    good = signed_parts(signed.good)
    for place in range(0, len(signed.good), STRIDE):
        altered = bytearray(signed.good)
        altered[place] ^= 1 << place % 8
        if ending(signed, bytes(altered)) == 0:
            assert signed_parts(bytes(altered)) == good, place


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.just("AAAA"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_value_in_any_place_ends_with_a_code(signed: Signed, data: st.DataObject):
    value = json.loads(signed.good)
    place: Any = value
    while True:
        keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    before = place[key]
    place[key] = data.draw(JSON_VALUES)
    code = ending(signed, json.dumps(value).encode())
    assert code in {0, 1, 3, 4}
    if code == 0 and place[key] != before:
        altered = json.dumps(value).encode()
        promised = is_promised(altered)
        assert signed_parts(altered, promised=promised) == signed_parts(signed.good, promised=promised)


def test_the_time_of_a_log_that_promised_nothing_is_not_believed(signed: Signed):
    """Where an authority told the time as well, the rest stands without the log's promise."""
    value = json.loads(signed.good)
    material = value["verificationMaterial"]
    (entry,) = material["tlogEntries"]
    entry["inclusionPromise"] = None
    if "integratedTime" in entry:
        entry["integratedTime"] = "1"
    assert ending(signed, json.dumps(value).encode()) == 0
    material["timestampVerificationData"] = None
    assert ending(signed, json.dumps(value).encode()) == 1
