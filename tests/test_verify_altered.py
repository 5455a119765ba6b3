"""No byte of anything that was signed can be altered unnoticed."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import chain

import pytest
from tiny_evidence import TinyEvidence
from verifying import ALL_STEPS, ANYBODY, check, exit_code, failed, mutations, step

from attest.bundle import BUNDLE_NAME, read_bundle
from attest.evidence_directory import SIGNER_KEY_NAME
from attest.signer import KeyType


@pytest.mark.parametrize(("key_type", "others"), [("p256", b"A"), ("ed25519", b"")])
def test_no_byte_of_a_bundle_can_be_altered(tiny: TinyEvidence, key_type: KeyType, others: bytes):
    tiny.sign(key_type)
    expectation, good = tiny.expectation(key_type), tiny.bundle.read_bytes()
    folder = tiny.root / "alone"
    folder.mkdir()
    lone = folder / BUNDLE_NAME
    lone.write_bytes(good)
    assert exit_code(lone, expectation) == 0
    survivors = []
    for place, altered in chain(mutations(good, others), mutations(good[-500:], b' "\x00,0{')):
        lone.write_bytes(good[: len(good) - len(altered)] + altered)
        if exit_code(lone, expectation) not in {1, 3, 4}:
            survivors.append((place, altered[place]))
    assert survivors == []


def test_no_byte_of_a_bundle_can_be_altered_where_any_signer_will_do(tiny: TinyEvidence):
    good = tiny.bundle.read_bytes()
    folder = tiny.root / "alone"
    folder.mkdir()
    lone = folder / BUNDLE_NAME
    shutil.copy(tiny.directory / SIGNER_KEY_NAME, folder)
    lone.write_bytes(good)
    assert exit_code(lone, ANYBODY) == 0
    survivors = []
    for place, altered in mutations(good, b""):
        lone.write_bytes(altered)
        if exit_code(lone, ANYBODY) not in {1, 3}:
            survivors.append(place)
    assert survivors == []


def test_no_byte_of_the_payload_can_be_altered_and_all_steps_are_still_reported(tiny: TinyEvidence):
    bundle, _ = read_bundle(tiny.bundle)
    payload = bundle.envelope.payload
    for _, altered in mutations(payload, b""):
        tiny.bundle.write_bytes(replace(bundle, content=replace(bundle.envelope, payload=altered)).to_json())
        result = check(tiny, checkpoint=None)
        assert [one.id for one in result.checks] == ALL_STEPS
        assert step(result, "signature").outcome == "FAILED"
        assert (result.integrity, result.identity, result.exit_code) == ("FAILED", "SKIPPED", 1)


def test_no_byte_of_a_signature_can_be_altered(tiny: TinyEvidence, key_type: KeyType):
    tiny.sign(key_type)
    bundle, _ = read_bundle(tiny.bundle)
    signature = bundle.envelope.signature
    for _, altered in mutations(signature, bytes(range(0, 256, 32))):
        tiny.bundle.write_bytes(replace(bundle, content=replace(bundle.envelope, signature=altered)).to_json())
        assert failed(check(tiny, expectation=tiny.expectation(key_type), checkpoint=None)) == ["signature"]


def test_no_byte_of_a_detail_file_can_be_altered(tiny: TinyEvidence):
    for name in tiny.details():
        file = tiny.directory / name
        good = file.read_bytes()
        for altered in [*(altered for _, altered in mutations(good)), good + b"\x00", good[:-1] or b"x"]:
            file.write_bytes(altered)
            result = check(tiny, checkpoint=None)
            assert (failed(result), result.content, result.exit_code) == (["details"], "FAILED", 1)
            assert step(result, "details").problems[0].startswith(name)
        file.write_bytes(good)
    assert check(tiny).exit_code == 0


def test_no_byte_of_a_checkpoint_can_be_altered(tiny: TinyEvidence):
    for file in [path for path in tiny.checkpoint.rglob("*") if path.is_file()]:
        name, good = file.relative_to(tiny.checkpoint).as_posix(), file.read_bytes()
        for place, altered in mutations(good):
            file.write_bytes(altered)
            result = check(tiny)
            assert (failed(result), result.content, result.exit_code) == (["checkpoint"], "FAILED", 1)
            assert result.coverage is not None
            (differing,) = result.coverage.differing
            assert differing.path == name
            (chunk,) = differing.chunks or ()
            assert chunk.begin <= place < chunk.end
            assert result.coverage.files_covered == 2
        file.write_bytes(good)
